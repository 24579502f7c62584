//! Names, paths, digests and tags that someone made up to do harm (list A of the attacks).

use roadstead_tests::digest::absent;
use roadstead_tests::image::{OCI_MANIFEST, noise};
use roadstead_tests::{Image, Registry, only_over, sha256, sha512};

/// What is no repository name, as it would be written in a URL.
const BAD_NAMES: &[&str] = &[
    "..",
    ".",
    "../..",
    "a/..",
    "a/../b",
    "a/./b",
    "%2e%2e",
    "%2e%2e/%2e%2e",
    "a%2f..%2fb",
    "..%2f..%2fetc",
    "%252e%252e",
    "a%252fb",
    "a%5cb",
    "..%5c..",
    "a\\b",
    "a%00b",
    "%00",
    "a%0d%0ab",
    "a%0ab",
    "%c0%ae%c0%ae",
    "%c0%af",
    "%ff",
    "a%20b",
    "%D0%B0pp",
    "UPPER",
    "camelCase",
    "a/B",
    "-a",
    "a-",
    ".a",
    "a.",
    "_a",
    "a_",
    "a..b",
    "a._b",
    "a___b",
    "a/-b",
    "a/_b",
    "_uploads",
    "_manifests",
    "_layers",
    "app/_layers",
    "app/_uploads",
    "app/_manifests/tags",
    "a:b",
    "a@b",
    "a*",
    "a+b",
    "a~",
    "$a",
    "a;b",
    "a,b",
    "a=b",
    "a!b",
    "host:5000/app",
    "a//b",
    "/a",
    "a/",
];

#[test]
fn a_bad_name_is_refused_on_every_route() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let before = registry.store().tree();
    for name in BAD_NAMES {
        for (method, route) in [
            ("GET", "tags/list".to_owned()),
            ("GET", "manifests/latest".to_owned()),
            ("PUT", "manifests/latest".to_owned()),
            ("DELETE", "manifests/latest".to_owned()),
            ("GET", format!("blobs/{}", absent('a'))),
            ("DELETE", format!("blobs/{}", absent('a'))),
            ("POST", "blobs/uploads/".to_owned()),
            ("GET", format!("referrers/{}", absent('a'))),
        ] {
            let request = registry.request(method, &format!("/v2/{name}/{route}"));
            let answer = request.header("Content-Type", OCI_MANIFEST).send();
            assert!(
                (400..500).contains(&answer.status),
                "{method} {name} {route}: {answer:?}"
            );
        }
    }
    assert_eq!(registry.store().tree(), before, "something was written");
}

#[test]
fn a_name_that_breaks_the_grammar_is_called_invalid() {
    let registry = Registry::start();
    for name in [
        "UPPER",
        "a..b",
        "-a",
        "a-",
        "_a",
        "a/_layers",
        "a:b",
        "a___b",
        "a/B",
    ] {
        let answer = registry
            .request("POST", &format!("/v2/{name}/blobs/uploads/"))
            .send();
        let _ = answer.expect_error(400, "NAME_INVALID");
    }
}

#[test]
fn names_made_of_path_words_are_names() {
    let registry = Registry::start();
    for name in [
        "blobs",
        "manifests",
        "tags",
        "uploads",
        "referrers",
        "tags/list",
        "blobs/uploads",
        "a/blobs/uploads",
        "v2",
        "list",
        "manifests/latest",
        "a/tags/list",
        "blobs/blobs/blobs",
        "a/manifests/manifests",
        "a--b/c__d/e.f",
        "0",
        "con/nul",
    ] {
        let image = Image::seeded(2);
        registry.push_image(name, "latest", &image);
        registry.assert_pullable(name, "latest", &image);
        assert_eq!(registry.tags(name), ["latest"], "{name}");
    }
}

#[test]
fn tags_made_of_path_words_are_tags() {
    let registry = Registry::start();
    let image = Image::seeded(3);
    let long = "x".repeat(128);
    let fallback = sha256(b"x").replace(':', "-");
    for tag in [
        "list",
        "tags",
        "uploads",
        "blobs",
        "manifests",
        "_x",
        "A.b-c_d",
        &long,
        &fallback,
        "sha256-abc.sig",
    ] {
        registry.push_image("app", tag, &image);
        registry.assert_pullable("app", tag, &image);
        let _ = registry
            .delete(&format!("/v2/app/manifests/{tag}"))
            .expect(202);
    }
}

#[test]
fn the_longest_name_works_and_one_more_is_refused() {
    let registry = Registry::start();
    let image = Image::seeded(4);
    let component = "a".repeat(127);
    let longest = format!("{component}/{component}");
    assert_eq!(longest.len(), 255);
    registry.push_image(&longest, "latest", &image);
    registry.assert_pullable(&longest, "latest", &image);
    for name in [
        format!("{longest}a"),
        "a".repeat(256),
        "a/".repeat(500) + "a",
        "a".repeat(20_000),
    ] {
        let answer = registry
            .request("POST", &format!("/v2/{name}/blobs/uploads/"))
            .send();
        assert!(
            [400, 414, 431].contains(&answer.status),
            "{}: {answer:?}",
            name.len()
        );
    }
}

#[test]
fn a_bad_tag_is_refused() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(5);
    registry.push_image("app", "latest", &image);
    let before = registry.store().tree();
    let too_long = "x".repeat(129);
    for tag in [
        "..",
        ".",
        "-x",
        ".x",
        "a%2fb",
        "%2e%2e%2fx",
        "a%00b",
        "a%0d%0aX:y",
        "a%20b",
        "a+b",
        "%C3%A9",
        "a@b",
        &too_long,
    ] {
        let answer = registry
            .put_manifest("app", tag, OCI_MANIFEST, image.manifest())
            .expect_refusal();
        assert_eq!(answer.header("x"), None, "{tag}");
        for answer in [
            registry.get_manifest("app", tag),
            registry.delete(&format!("/v2/app/manifests/{tag}")),
        ] {
            let _ = answer.expect_refusal();
        }
    }
    assert_eq!(registry.store().tree(), before, "something was written");
}

/// What is no digest, as it would be written in a URL.
fn bad_digests() -> Vec<String> {
    let hex = "a".repeat(64);
    vec![
        "sha256:".to_owned(),
        "sha256".to_owned(),
        ":".to_owned(),
        "sha256:abc".to_owned(),
        format!("sha256:{}", &hex[1..]),
        format!("sha256:{hex}a"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256:{}g", &hex[1..]),
        format!("SHA256:{hex}"),
        format!("sha512:{hex}"),
        format!("md5:{}", &hex[..32]),
        format!("sha1:{}", &hex[..40]),
        format!("sha256+b64:{hex}"),
        format!("sha256:..%2f..%2f{}", &hex[..58]),
        format!("sha256:%2e%2e%2f{}", &hex[..61]),
        format!("sha256:{}%00", &hex[1..]),
        format!("sha256:{}%0a", &hex[1..]),
        format!("sha256:{hex}%00"),
        format!("%20sha256:{hex}"),
        format!("sha256::{hex}"),
        format!("unknown:{hex}"),
    ]
}

#[test]
fn a_bad_digest_in_the_path_is_refused() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(6));
    let before = registry.store().tree();
    for digest in bad_digests() {
        for (method, target) in [
            ("GET", format!("/v2/app/blobs/{digest}")),
            ("HEAD", format!("/v2/app/blobs/{digest}")),
            ("DELETE", format!("/v2/app/blobs/{digest}")),
            ("GET", format!("/v2/app/referrers/{digest}")),
        ] {
            let answer = registry.request(method, &target).send();
            assert!(
                [400, 404].contains(&answer.status),
                "{method} {target}: {answer:?}"
            );
        }
        let _ = registry.get_manifest("app", &digest).expect_refusal();
        let _ = registry
            .put_manifest("app", &digest, OCI_MANIFEST, b"{}")
            .expect_refusal();
    }
    assert_eq!(registry.store().tree(), before, "something was written");
    for digest in [
        "sha256:abc",
        "SHA256:aa",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        let _ = registry
            .get(&format!("/v2/app/blobs/{digest}"))
            .expect_error(400, "DIGEST_INVALID");
    }
}

#[test]
fn a_bad_digest_that_closes_an_upload_is_refused_and_the_upload_lives_on() {
    let registry = Registry::start();
    let content = noise(7, 100);
    let mut location = registry.append(&registry.begin_upload("app"), &content);
    for digest in bad_digests().into_iter().chain([String::new()]) {
        let answer = registry
            .finish_upload(&location, &digest, b"")
            .expect_refusal();
        assert_eq!(
            answer.codes().first().map(String::as_str),
            Some("DIGEST_INVALID"),
            "{digest}: {answer:?}"
        );
    }
    let _ = registry
        .request("PUT", &location)
        .send()
        .expect_error(400, "DIGEST_INVALID");
    location = registry.get(&location).expect(204).location();
    let _ = registry
        .finish_upload(&location, &sha256(&content), b"")
        .expect(201);
}

#[test]
fn two_digests_that_contradict_each_other_store_nothing_wrong() {
    let registry = Registry::start();
    let (content, other) = (b"content".as_slice(), sha256(b"other"));
    let location = registry.begin_upload("app");
    let answer = registry.finish_upload(
        &location,
        &format!("{}&digest={other}", sha256(content)),
        content,
    );
    assert!([201, 400].contains(&answer.status), "{answer:?}");
    let _ = registry.get(&format!("/v2/app/blobs/{other}")).expect(404);
}

#[test]
fn a_manifest_pushed_under_anothers_digest_is_refused() {
    let registry = Registry::start();
    let image = Image::seeded(8);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    for digest in [absent('a'), sha512(b"x"), sha256(b"x")] {
        let answer = registry.put_manifest("app", &digest, OCI_MANIFEST, image.manifest());
        let _ = answer.expect_error(400, "DIGEST_INVALID");
        let _ = registry.get_manifest("app", &digest).expect(404);
    }
}

#[test]
fn a_tag_with_a_line_break_adds_no_header() {
    let registry = Registry::start();
    let image = Image::seeded(9);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    let reference = format!("{}?tag=a%0d%0aX-Evil:%20yes", image.digest());
    let answer = registry
        .put_manifest("app", &reference, OCI_MANIFEST, image.manifest())
        .expect_refusal();
    assert_eq!(answer.header("x-evil"), None);
    let answer = registry.get("/v2/app/tags/list?n=1&last=%0d%0aX-Evil:%20yes");
    assert_eq!(answer.header("x-evil"), None);
}

#[test]
fn a_path_that_leads_out_of_the_store_finds_nothing() {
    let registry = Registry::start();
    std::fs::write(registry.store().scratch().join("secret"), "secret").unwrap();
    for target in [
        "/v2/../../../../etc/passwd",
        "/v2/%2e%2e/%2e%2e/secret",
        "/../secret",
        "/v2/app/manifests/..%2f..%2f..%2f..%2f..%2f..%2f..%2fsecret",
        "/v2/app/blobs/uploads/..%2f..%2f..%2f..%2f..%2f..%2f..%2f..%2fsecret",
        "/v2/app/blobs/uploads/../../../../secret",
        "//etc/passwd",
        "/v2//app/tags/list",
    ] {
        let answer = registry.get(target);
        assert!(
            answer.status < 500 && answer.status != 200,
            "{target}: {answer:?}"
        );
        assert!(
            !answer.text().contains("secret\n") && !answer.text().contains("root:"),
            "{target}: {answer:?}"
        );
    }
}

#[test]
fn a_link_that_leads_out_of_the_store_is_not_followed_to_a_file() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(10);
    registry.push_image("app", "latest", &image);
    let outside = registry.store().scratch().join("outside");
    std::fs::create_dir_all(outside.join("_manifests/tags/evil/current")).unwrap();
    std::fs::write(
        outside.join("_manifests/tags/evil/current/link"),
        "no digest at all",
    )
    .unwrap();
    std::os::unix::fs::symlink(&outside, registry.store().repository("linked")).unwrap();
    let answer = registry.get_manifest("linked", "evil");
    assert_ne!(answer.status, 200, "{answer:?}");
    // What is damaged does not take the healthy with it.
    registry.assert_pullable("app", "latest", &image);
    let _ = registry.get("/v2/_catalog").expect(200);
}

#[test]
fn a_root_that_is_a_link_is_a_root() {
    only_over!(Filesystem: "it looks at the files");
    let store = roadstead_tests::Store::new();
    std::fs::create_dir(store.scratch().join("real")).unwrap();
    std::os::unix::fs::symlink(store.scratch().join("real"), store.root()).unwrap();
    let registry = Registry::over(roadstead_tests::Implementation::Roadstead, &store);
    let image = Image::seeded(11);
    registry.push_image("app", "latest", &image);
    registry.assert_pullable("app", "latest", &image);
    assert!(store.scratch().join("real/docker").is_dir());
}

#[test]
fn things_that_are_no_files_are_not_waited_for() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(12);
    registry.push_image("app", "latest", &image);
    let link = registry
        .store()
        .repository("app")
        .join("_manifests/tags/pipe/current/link");
    std::fs::create_dir_all(link.parent().unwrap()).unwrap();
    let Some(mkfifo) = roadstead_tests::tool::find("mkfifo") else {
        roadstead_tests::skip!("mkfifo is not installed")
    };
    let _ = roadstead_tests::tool::run(mkfifo, [&link]).success();
    // Opening a pipe that nobody writes to would block for ever; the client's deadline would end this.
    let answer = registry.get_manifest("app", "pipe");
    assert_ne!(answer.status, 200, "{answer:?}");
    registry.assert_pullable("app", "latest", &image);
}
