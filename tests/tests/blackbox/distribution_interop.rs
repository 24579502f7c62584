//! One directory, two registries: CNCF Distribution (Debian's `docker-registry`) and Roadstead take turns.

use roadstead_tests::image::{MANIFEST_TYPES, OCI_MANIFEST, noise};
use roadstead_tests::registry::Setup;
use roadstead_tests::store::Kind;
use roadstead_tests::{
    Image, Implementation, Registry, Response, Store, only_over, path_of, require, sha256, sha512,
};

const BOTH_WAYS: [[Implementation; 2]; 2] = [
    [Implementation::Distribution, Implementation::Roadstead],
    [Implementation::Roadstead, Implementation::Distribution],
];

/// Distribution 2 ends the upload of an empty blob to a bucket as one without a part, which Swift refuses,
/// as S3 does; MiniStack takes it.
fn takes_empty_blobs() -> bool {
    Kind::of_tests() != Kind::Swift
}

/// Everything a registry is asked to store in these tests.
pub(crate) fn push_everything(registry: &Registry) {
    let (one, two) = (Image::seeded(1), Image::docker(2));
    registry.push_image("library/app", "latest", &one);
    registry.push_image("library/app", "old", &two);
    registry.push_image("library/app", "old", &one);
    registry.push_image("library/app/nested", "v1", &two);
    let index = Image::index(&[&one, &two]);
    registry.push_image("library/app", "multi", &index);
    let signature = signature();
    registry.push_image("library/app", &signature.digest(), &signature);
    if takes_empty_blobs() {
        registry.push_blob("library/app", b"");
    }
    registry.push_blob("library/app", &[0; 1024]);
    let location = registry.append(&registry.begin_upload("library/app"), &noise(3, 500));
    let _ = registry
        .finish_upload(&location, &sha512(&noise(3, 1000)), &noise(3, 1000)[500..])
        .expect(201);
}

pub(crate) fn signature() -> Image {
    Image::referrer(
        &Image::seeded(1).descriptor(),
        "application/vnd.example.signature",
        b"signed",
    )
}

pub(crate) fn assert_everything_is_served(registry: &Registry) {
    let (one, two) = (Image::seeded(1), Image::docker(2));
    registry.assert_pullable("library/app", "latest", &one);
    registry.assert_pullable("library/app", "old", &one);
    registry.assert_pullable("library/app", &two.digest(), &two);
    registry.assert_pullable("library/app/nested", "v1", &two);
    registry.assert_pullable("library/app", "multi", &Image::index(&[&one, &two]));
    registry.assert_pullable("library/app", &signature().digest(), &signature());
    let empty = takes_empty_blobs().then(|| (sha256(b""), Vec::new()));
    let others = [
        (sha256(&[0; 1024]), vec![0; 1024]),
        (sha512(&noise(3, 1000)), noise(3, 1000)),
        (sha256(&noise(3, 1000)), noise(3, 1000)),
    ];
    for (digest, content) in empty.into_iter().chain(others) {
        let answer = registry
            .get(&format!("/v2/library/app/blobs/{digest}"))
            .expect(200);
        assert!(answer.body == content, "{digest}");
    }
    let mut tags = registry.tags("library/app");
    tags.sort();
    assert_eq!(tags, ["latest", "multi", "old"]);
    assert_eq!(
        registry.repositories(),
        ["library/app", "library/app/nested"]
    );
}

#[test]
fn what_one_stores_the_other_serves() {
    only_over!(Filesystem | S3 | Swift: "Distribution knows no table");
    require!("docker-registry");
    for [writer, reader] in BOTH_WAYS {
        let store = Store::new();
        let registry = Registry::over(writer, &store);
        push_everything(&registry);
        assert_everything_is_served(&registry);
        drop(registry);
        assert_everything_is_served(&Registry::over(reader, &store));
    }
}

#[test]
fn signatures_that_were_pushed_to_distribution_are_found() {
    only_over!(Filesystem | S3 | Swift: "Distribution knows no table");
    require!("docker-registry");
    let store = Store::new();
    let theirs = Registry::over(Implementation::Distribution, &store);
    let (image, signature) = (Image::seeded(1), signature());
    theirs.push_image("app", "latest", &image);
    theirs.push_image("app", &signature.digest(), &signature);
    // A client keeps a list under a tag, since Distribution has no list of its own.
    theirs.push_image(
        "app",
        &image.digest().replace(':', "-"),
        &Image::index(&[&signature]),
    );
    drop(theirs);
    let ours = Registry::over(Implementation::Roadstead, &store);
    let listed = ours
        .get(&format!("/v2/app/referrers/{}", image.digest()))
        .expect(200)
        .json();
    assert_eq!(listed["manifests"][0]["digest"], signature.digest());
    assert_eq!(
        listed["manifests"][0]["artifactType"],
        "application/vnd.example.signature"
    );
    assert_eq!(listed["manifests"].as_array().map(Vec::len), Some(1));
}

#[test]
fn both_may_serve_the_same_directory_at_once() {
    only_over!(Filesystem | S3 | Swift: "Distribution knows no table");
    require!("docker-registry");
    let store = Store::new();
    let registries = [Implementation::Distribution, Implementation::Roadstead]
        .map(|kind| Registry::over(kind, &store));
    for seed in 0..6 {
        let image = Image::seeded(seed);
        let writer = usize::try_from(seed % 2).unwrap();
        registries[writer].push_image("app", "latest", &image);
        for registry in &registries {
            registry.assert_pullable("app", "latest", &image);
        }
    }
}

#[test]
fn the_same_pushes_leave_the_same_files() {
    only_over!(Filesystem: "it looks at the files");
    require!("docker-registry");
    let [theirs, ours] = [Implementation::Distribution, Implementation::Roadstead].map(|kind| {
        let registry = Registry::over(kind, &Store::new());
        push_everything(&registry);
        registry.kill()
    });
    let names = |files: &[(String, Vec<u8>)]| {
        files
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    // Ours has more, for what Distribution does not know: directories by whose name it passes over them, and locks
    // beside all that it looks at.
    let known = |(name, _): &(String, Vec<u8>)| {
        !name.contains("/_roadstead/") && !name.starts_with("roadstead/")
    };
    let (theirs, ours): (_, Vec<_>) = (
        theirs.files(),
        ours.files().into_iter().filter(known).collect(),
    );
    assert_eq!(names(&ours), names(&theirs));
    for ((name, our), (_, their)) in ours.iter().zip(&theirs) {
        assert!(
            our == their,
            "{name}: {:?} is not {:?}",
            String::from_utf8_lossy(our),
            String::from_utf8_lossy(their)
        );
    }
}

/// The files of the one upload session, by their names within it.
fn session_files(store: &Store) -> Vec<(String, Vec<u8>)> {
    let inside = |(name, content): (String, Vec<u8>)| {
        let (_, session) = name.split_once("/_uploads/")?;
        Some((session.split_once('/')?.1.to_owned(), content))
    };
    store.files().into_iter().filter_map(inside).collect()
}

#[test]
fn an_unfinished_upload_looks_the_same_on_disk() {
    only_over!(Filesystem: "it looks at the files");
    require!("docker-registry");
    let [theirs, ours] = [Implementation::Distribution, Implementation::Roadstead].map(|kind| {
        let registry = Registry::over(kind, &Store::new());
        let location = registry.begin_upload("app");
        let _ = registry.append(&location, &noise(4, 12_345));
        session_files(&registry.kill())
    });
    let names = |files: &[(String, Vec<u8>)]| {
        files
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    for file in ["data", "startedat", "hashstates/sha256/12345"] {
        assert!(
            names(&theirs).contains(&file.to_owned()),
            "{file}: {:?}",
            names(&theirs)
        );
        assert!(
            names(&ours).contains(&file.to_owned()),
            "{file}: {:?}",
            names(&ours)
        );
    }
    let content = |files: &[(String, Vec<u8>)], wanted: &str| {
        files
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, content)| content.clone())
            .unwrap()
    };
    for file in ["data", "hashstates/sha256/12345"] {
        assert!(
            content(&ours, file) == content(&theirs, file),
            "{file} differs"
        );
    }
    // 2026-11-20T23:29:36Z
    let started =
        |files: &[(String, Vec<u8>)]| String::from_utf8(content(files, "startedat")).unwrap();
    for text in [started(&ours), started(&theirs)] {
        assert_eq!(text.len(), 20, "{text}");
        assert!(text.ends_with('Z'), "{text}");
    }
}

#[test]
fn an_upload_that_one_began_the_other_finishes() {
    only_over!(Filesystem: "an unfinished upload in a bucket is not as Distribution has it");
    require!("docker-registry");
    for [first, second] in BOTH_WAYS {
        // Around the edges of SHA-256's blocks, where a hash state could go wrong.
        for cut in [1, 55, 56, 63, 64, 65, 127, 128, 4096, 99_999] {
            let store = Store::new();
            let content = noise(5, 100_000);
            let registry = Registry::over(first, &store);
            let location = registry.append(&registry.begin_upload("app"), &content[..cut]);
            drop(registry);
            let registry = Registry::over(second, &store);
            let created = registry
                .finish_upload(&location, &sha256(&content), &content[cut..])
                .expect(201);
            assert!(
                registry.get(&created.location()).expect(200).body == content,
                "{first:?}, cut at {cut}"
            );
        }
    }
}

#[test]
fn an_upload_goes_to_and_fro() {
    only_over!(Filesystem: "an unfinished upload in a bucket is not as Distribution has it");
    require!("docker-registry");
    let store = Store::new();
    let registries = [Implementation::Distribution, Implementation::Roadstead]
        .map(|kind| Registry::over(kind, &store));
    let content = noise(6, 50_000);
    let mut location = registries[0].begin_upload("app");
    for (turn, chunk) in content.chunks(7_001).enumerate() {
        location = registries[turn % 2].append(&location, chunk);
    }
    let created = registries[1]
        .finish_upload(&location, &sha256(&content), b"")
        .expect(201);
    for registry in &registries {
        assert!(registry.get(&created.location()).expect(200).body == content);
    }
}

#[test]
fn an_upload_that_one_began_the_other_cancels() {
    only_over!(Filesystem: "an unfinished upload in a bucket is not as Distribution has it");
    require!("docker-registry");
    for [first, second] in BOTH_WAYS {
        let store = Store::new();
        let [first, second] = [first, second].map(|kind| Registry::over(kind, &store));
        let location = first.append(&first.begin_upload("app"), b"content");
        let _ = second.delete(&location).expect(204);
        let _ = first.get(&location).expect(404);
    }
}

#[test]
fn what_one_deletes_is_gone_for_the_other() {
    only_over!(Filesystem | S3 | Swift: "Distribution knows no table");
    require!("docker-registry");
    for [first, second] in BOTH_WAYS {
        let store = Store::new();
        let (gone, kept) = (Image::seeded(7), Image::docker(8));
        let writer = Registry::over(second, &store);
        for (tag, image) in [
            ("gone", &gone),
            ("kept", &kept),
            ("moved", &gone),
            ("moved", &kept),
        ] {
            writer.push_image("app", tag, image);
        }
        drop(writer);
        let deleter = Registry::over(first, &store);
        let _ = deleter
            .delete(&format!("/v2/app/manifests/{}", gone.digest()))
            .expect(202);
        let layer = sha256(&gone.blobs()[1]);
        let _ = deleter
            .delete(&format!("/v2/app/blobs/{layer}"))
            .expect(202);
        drop(deleter);
        let reader = Registry::over(second, &store);
        for reference in ["gone", &gone.digest()] {
            let _ = reader.get_manifest("app", reference).expect(404);
        }
        let _ = reader.get(&format!("/v2/app/blobs/{layer}")).expect(404);
        reader.assert_pullable("app", "moved", &kept);
        let mut tags = reader.tags("app");
        tags.sort();
        assert_eq!(tags, ["kept", "moved"]);
        writer_can_go_on(&reader, &gone);
    }
}

fn writer_can_go_on(registry: &Registry, image: &Image) {
    registry.push_image("app", "again", image);
    registry.assert_pullable("app", "again", image);
}

#[test]
fn what_one_collects_the_other_misses_nothing_of() {
    only_over!(Filesystem: "it looks at the files");
    require!("docker-registry");
    for [collector, server] in BOTH_WAYS {
        let store = Store::new();
        let registry = Registry::over(server, &store);
        push_everything(&registry);
        let garbage = registry.push_blob("library/app", b"garbage");
        drop(registry);
        // Version 3 stops, with an error, at a link that has another name besides.
        std::fs::remove_dir_all(store.repository("library/app").join("_layers/sha512")).unwrap();
        let setup = Setup::new(collector)
            .store(&store)
            .config(super::garbage_collect::at_once());
        let config = setup.write_config(&roadstead_tests::registry::free_address());
        let _ = roadstead_tests::tool::finish(
            setup.command(&["garbage-collect", config.to_str().unwrap()]),
        )
        .success();
        assert!(!store.blob(&garbage).exists());
        let registry = Registry::over(server, &store);
        registry.assert_pullable("library/app", "latest", &Image::seeded(1));
        registry.assert_pullable("library/app/nested", "v1", &Image::docker(2));
        let index = Image::index(&[&Image::seeded(1), &Image::docker(2)]);
        registry.assert_pullable("library/app", "multi", &index);
        writer_can_go_on(&registry, &Image::seeded(9));
    }
}

/// What a client can see of an answer, without what is different on every run.
fn visible(answer: &Response, host: &str) -> Vec<String> {
    let mut seen = vec![answer.status.to_string()];
    for name in [
        "content-type",
        "content-range",
        "docker-content-digest",
        "etag",
        "range",
        "accept-ranges",
    ] {
        let value = answer
            .header(name)
            .unwrap_or("-")
            .replace("; charset=utf-8", "");
        seen.push(format!("{name}: {value}"));
    }
    let location = answer.header("location").unwrap_or("-");
    let absolute = location.starts_with(&format!("http://{host}/"));
    let upload = path_of(location)
        .split_once("/blobs/uploads/")
        .map(|(repository, _)| repository.to_owned());
    seen.push(format!(
        "location: {} absolute={absolute}",
        upload.as_deref().unwrap_or(path_of(location))
    ));
    seen.extend(answer.codes());
    if answer.status < 300 {
        seen.push(answer.header("content-length").unwrap_or("-").to_owned());
        seen.push(answer.text());
    }
    seen
}

#[test]
fn the_same_requests_get_the_same_answers() {
    only_over!(Filesystem | S3 | Swift: "Distribution knows no table");
    require!("docker-registry");
    let image = Image::seeded(10);
    let layer = sha256(&image.blobs()[1]);
    let (digest, absent) = (image.digest(), roadstead_tests::digest::absent('a'));
    let registries = [Implementation::Distribution, Implementation::Roadstead]
        .map(|kind| Registry::over(kind, &Store::new()));
    for registry in &registries {
        registry.push_image("app", "latest", &image);
    }
    let nothing: &[(&str, &str)] = &[];
    for (method, target, headers, body) in [
        ("GET", "/v2/", nothing, &b""[..]),
        ("GET", "/v2/_catalog", nothing, b""),
        ("GET", "/v2/_catalog?n=1", nothing, b""),
        ("GET", "/v2/app/tags/list", nothing, b""),
        ("GET", "/v2/nowhere/tags/list", nothing, b""),
        ("GET", "/v2/app/manifests/latest", nothing, b""),
        ("HEAD", "/v2/app/manifests/latest", nothing, b""),
        ("GET", &format!("/v2/app/manifests/{digest}"), nothing, b""),
        ("GET", "/v2/app/manifests/other", nothing, b""),
        ("GET", &format!("/v2/app/manifests/{absent}"), nothing, b""),
        ("GET", &format!("/v2/app/blobs/{layer}"), nothing, b""),
        ("HEAD", &format!("/v2/app/blobs/{layer}"), nothing, b""),
        (
            "GET",
            &format!("/v2/app/blobs/{layer}"),
            &[("Range", "bytes=0-9")],
            b"",
        ),
        (
            "GET",
            &format!("/v2/app/blobs/{layer}"),
            &[("Range", "bytes=-9")],
            b"",
        ),
        ("GET", &format!("/v2/app/blobs/{absent}"), nothing, b""),
        ("GET", "/v2/app/blobs/sha256:abc", nothing, b""),
        ("POST", "/v2/app/blobs/uploads/", nothing, b""),
        (
            "POST",
            &format!("/v2/other/blobs/uploads/?mount={layer}&from=app"),
            nothing,
            b"",
        ),
        (
            "POST",
            &format!("/v2/other/blobs/uploads/?mount={absent}&from=app"),
            nothing,
            b"",
        ),
        (
            "PUT",
            "/v2/app/manifests/again",
            &[("Content-Type", OCI_MANIFEST)],
            image.manifest(),
        ),
        (
            "PUT",
            "/v2/app/manifests/bad",
            &[("Content-Type", OCI_MANIFEST)],
            b"{",
        ),
        (
            "PUT",
            "/v2/third/manifests/x",
            &[("Content-Type", OCI_MANIFEST)],
            image.manifest(),
        ),
        (
            "PUT",
            &format!("/v2/app/manifests/{absent}"),
            &[("Content-Type", OCI_MANIFEST)],
            image.manifest(),
        ),
        ("DELETE", &format!("/v2/app/blobs/{absent}"), nothing, b""),
        (
            "DELETE",
            &format!("/v2/app/manifests/{absent}"),
            nothing,
            b"",
        ),
        ("DELETE", &format!("/v2/app/blobs/{layer}"), nothing, b""),
        ("GET", &format!("/v2/app/blobs/{layer}"), nothing, b""),
        (
            "DELETE",
            &format!("/v2/app/manifests/{digest}"),
            nothing,
            b"",
        ),
        ("GET", "/v2/app/manifests/latest", nothing, b""),
    ] {
        let answers = registries.each_ref().map(|registry| {
            let mut request = registry
                .request(method, target)
                .header("Accept", MANIFEST_TYPES.join(","));
            for (name, value) in headers {
                request = request.header(name, *value);
            }
            visible(&request.body(body).send(), &registry.host())
        });
        let [theirs, ours] = answers;
        assert_eq!(ours, theirs, "{method} {target}");
    }
}
