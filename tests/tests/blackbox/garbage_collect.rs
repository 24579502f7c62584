//! `roadstead garbage-collect`: what it deletes, what it must never delete, and what it prints.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use roadstead_tests::registry::{Setup, free_address};
use roadstead_tests::tool::{self, Outcome};
use roadstead_tests::{Image, Implementation, Registry, Store, only_over, require, sha256, wait};
use serde_json::{Value, json};

/// Collect without a grace age: in tests, garbage is only seconds old.
pub(crate) fn at_once() -> Value {
    grace("0s")
}

fn grace(age: &str) -> Value {
    json!({"storage": {"maintenance": {"garbagecollect": {"graceage": age}}}})
}

fn collect_with(
    implementation: Implementation,
    store: &Store,
    config: Value,
    flags: &[&str],
) -> Outcome {
    let setup = Setup::new(implementation).store(store).config(config);
    let config = setup.write_config(&free_address());
    store.wait_for_the_past();
    let arguments = [&["garbage-collect", config.to_str().unwrap()], flags].concat();
    tool::finish(setup.command(&arguments))
}

fn collect(store: &Store, flags: &[&str]) -> String {
    collect_with(Implementation::Roadstead, store, at_once(), flags).success()
}

fn serve(store: &Store) -> Registry {
    Registry::over(Implementation::Roadstead, store)
}

/// Makes a file look as old as the epoch.
fn backdate(path: &std::path::Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1))
        .unwrap();
}

#[test]
fn what_nothing_refers_to_is_deleted_and_the_rest_stays() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let garbage = registry.push_blob("app", b"garbage");
    let store = registry.kill();
    collect(&store, &[]);
    assert!(!store.blob(&garbage).exists());
    let registry = serve(&store);
    registry.assert_pullable("app", "latest", &image);
    let _ = registry
        .head(&format!("/v2/app/blobs/{garbage}"))
        .expect(404);
}

#[test]
fn a_deleted_image_gives_its_space_back() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let (gone, kept) = (Image::seeded(1), Image::seeded(2));
    registry.push_image("app", "gone", &gone);
    registry.push_image("app", "kept", &kept);
    let _ = registry
        .delete(&format!("/v2/app/manifests/{}", gone.digest()))
        .expect(202);
    let store = registry.kill();
    collect(&store, &[]);
    for digest in gone
        .blobs()
        .iter()
        .map(|blob| sha256(blob))
        .chain([gone.digest()])
    {
        assert!(!store.blob(&digest).exists(), "{digest}");
    }
    serve(&store).assert_pullable("app", "kept", &kept);
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let garbage = registry.push_blob("app", b"garbage");
    let store = registry.kill();
    let before = store.files();
    for flag in ["--dry-run", "-d"] {
        let output = collect(&store, &[flag]);
        assert!(
            output.contains(&format!("blob eligible for deletion: {garbage}")),
            "{output}"
        );
        assert!(store.files() == before);
    }
}

#[test]
fn the_output_is_distributions() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("team/app", "latest", &image);
    let garbage = registry.push_blob("team/app", b"garbage");
    let store = registry.kill();
    let output = collect(&store, &["--dry-run"]);
    let lines: Vec<&str> = output.lines().collect();
    let mut expected = vec![
        "team/app".to_owned(),
        format!("team/app: marking manifest {} ", image.digest()),
    ];
    expected.extend(
        image
            .blobs()
            .iter()
            .map(|blob| format!("team/app: marking blob {}", sha256(blob))),
    );
    expected.push(String::new());
    expected.push("4 blobs marked, 1 blobs and 0 manifests eligible for deletion".to_owned());
    expected.push(format!("blob eligible for deletion: {garbage}"));
    assert_eq!(lines[..expected.len()], expected, "{output}");
    let link = format!("team/app: layer link eligible for deletion: {garbage}");
    assert!(lines[expected.len()..].contains(&&*link), "{output}");
}

#[test]
fn a_quiet_run_prints_nothing() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let garbage = registry.push_blob("app", b"garbage");
    let store = registry.kill();
    for flag in ["--quiet", "-q"] {
        assert_eq!(collect(&store, &[flag, "--dry-run"]), "");
    }
    assert_eq!(collect(&store, &["--quiet"]), "");
    assert!(!store.blob(&garbage).exists());
}

/// What a line says of a digest, or the line of sums itself.
fn fact(line: &str) -> Option<String> {
    let kind = ["marking", "manifest eligible", "blob eligible"];
    let kind = kind.into_iter().find(|kind| line.contains(kind));
    let digest = || {
        line.split([' ', '}'])
            .find(|word| word.starts_with("sha256:"))
    };
    match kind {
        Some(kind) => Some(format!("{kind} {}", digest()?)),
        None => line
            .contains("eligible for deletion")
            .then(|| line.to_owned()),
    }
}

#[test]
fn it_marks_what_distribution_marks() {
    only_over!(Filesystem | S3 | Swift: "Distribution knows no table");
    require!("docker-registry");
    let registry = Registry::start();
    let (one, two, untagged) = (Image::seeded(1), Image::docker(2), Image::seeded(3));
    registry.push_image("a", "one", &one);
    registry.push_image("a/b", "two", &two);
    registry.push_image("a/b", &untagged.digest(), &untagged);
    // Tagged too: 2.8 deletes untagged images even where a tagged index names them.
    registry.push_image("a/b", "one", &one);
    registry.push_image("a/b", "multi", &Image::index(&[&one, &two]));
    registry.push_blob("a", b"garbage");
    let store = registry.kill();
    // What is kept, what is deleted, and the sums. Distribution says "marking" of a digest once more for each
    // manifest that names it; 2.8 has no lines for layer links, and names no repository for a manifest.
    let facts = |output: String| -> BTreeSet<String> {
        let lines = output.lines().filter(|line| !line.contains("layer link"));
        lines.filter_map(fact).collect()
    };
    for flags in [&["-d"][..], &["-d", "-m"]] {
        let theirs = collect_with(Implementation::Distribution, &store, at_once(), flags).success();
        let (ours, theirs) = (facts(collect(&store, flags)), facts(theirs));
        let differing: Vec<_> = ours.symmetric_difference(&theirs).collect();
        assert_eq!(differing, Vec::<&String>::new(), "{flags:?}");
    }
}

#[test]
fn untagged_images_go_when_asked_for() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let (old, new, pinned) = (Image::seeded(1), Image::seeded(2), Image::seeded(3));
    registry.push_image("app", "latest", &old);
    registry.push_image("app", "latest", &new);
    registry.push_image("app", &pinned.digest(), &pinned);
    let store = registry.kill();
    collect(&store, &[]);
    let registry = serve(&store);
    for image in [&old, &new, &pinned] {
        registry.assert_pullable("app", &image.digest(), image);
    }
    drop(registry);
    for flag in ["--delete-untagged", "-m"] {
        let output = collect(&store, &["--dry-run", flag]);
        assert!(
            output.contains("8 blobs and 2 manifests eligible for deletion"),
            "{output}"
        );
    }
    collect(&store, &["--delete-untagged"]);
    let registry = serve(&store);
    registry.assert_pullable("app", "latest", &new);
    for image in [&old, &pinned] {
        let _ = registry.get_manifest("app", &image.digest()).expect(404);
        assert!(!store.blob(&image.digest()).exists());
    }
    // No trace of the old image is left in the tag's history either.
    assert!(
        !store
            .tree()
            .iter()
            .any(|name| name.contains(&old.digest()[7..]))
    );
}

#[test]
fn the_images_of_a_tagged_index_stay() {
    let registry = Registry::start();
    let (amd64, arm64, inner) = (Image::seeded(1), Image::seeded(2), Image::seeded(3));
    for child in [&amd64, &arm64, &inner] {
        registry.push_image("app", &child.digest(), child);
    }
    let nested = Image::index(&[&inner]);
    registry.push_image("app", &nested.digest(), &nested);
    let top = Image::index(&[&amd64, &arm64, &nested]);
    registry.push_image("app", "multi", &top);
    let store = registry.kill();
    collect(&store, &["--delete-untagged"]);
    let registry = serve(&store);
    registry.assert_pullable("app", "multi", &top);
    for child in [&amd64, &arm64, &inner, &nested] {
        registry.assert_pullable("app", &child.digest(), child);
    }
}

#[test]
fn an_index_is_followed_in_every_repository_that_has_it() {
    let lenient = json!({"validation": {"manifests": {"indexes": {"platforms": "none"}}}});
    let registry = Registry::with(lenient);
    let child = Image::seeded(1);
    let index = Image::index(&[&child]);
    // The same index: without its image in the first repository, with it in the last.
    registry.push_image("a", "multi", &index);
    registry.push_image("b", &child.digest(), &child);
    registry.push_image("b", "multi", &index);
    registry.push_image("c", "multi", &index);
    let store = registry.kill();
    collect(&store, &["--delete-untagged"]);
    let registry = serve(&store);
    registry.assert_pullable("b", &child.digest(), &child);
    registry.assert_pullable("b", "multi", &index);
}

#[test]
fn a_nested_index_is_marked_once() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", &image.digest(), &image);
    let mut level = Image::index(&[&image]);
    // Walked without a memory, this would take 2^24 visits.
    for _ in 0..24 {
        registry.push_image("app", &level.digest(), &level);
        level = Image::index(&[&level, &level]);
    }
    registry.push_image("app", "top", &level);
    let store = registry.kill();
    let output = collect(&store, &["--delete-untagged"]);
    assert!(
        output.contains("0 blobs and 0 manifests eligible for deletion"),
        "{output}"
    );
    serve(&store).assert_pullable("app", &image.digest(), &image);
}

#[test]
fn signatures_stay_with_what_they_sign_and_go_with_it() {
    let registry = Registry::start();
    let (kept, gone) = (Image::seeded(1), Image::seeded(2));
    registry.push_image("app", "kept", &kept);
    registry.push_image("app", &gone.digest(), &gone);
    let refer = |image: &Image, content: &[u8]| {
        let referrer = Image::referrer(
            &image.descriptor(),
            "application/vnd.example.signature",
            content,
        );
        registry.push_image("app", &referrer.digest(), &referrer);
        referrer
    };
    let signature = refer(&kept, b"signature");
    let countersignature = refer(&signature, b"countersignature");
    let lost = refer(&gone, b"lost");
    let store = registry.kill();
    collect(&store, &["--delete-untagged"]);
    let registry = serve(&store);
    for image in [&kept, &signature, &countersignature] {
        registry.assert_pullable("app", &image.digest(), image);
    }
    let listed = registry
        .get(&format!("/v2/app/referrers/{}", kept.digest()))
        .expect(200)
        .text();
    assert!(listed.contains(&signature.digest()), "{listed}");
    for image in [&gone, &lost] {
        let _ = registry.get_manifest("app", &image.digest()).expect(404);
    }
    let listed = registry
        .get(&format!("/v2/app/referrers/{}", gone.digest()))
        .expect(200)
        .text();
    assert!(!listed.contains(&lost.digest()), "{listed}");
}

#[test]
fn a_blob_that_another_repository_uses_stays() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("one", "latest", &image);
    registry.push_image("two", "latest", &image);
    let _ = registry
        .delete(&format!("/v2/one/manifests/{}", image.digest()))
        .expect(202);
    let store = registry.kill();
    collect(&store, &["--delete-untagged"]);
    serve(&store).assert_pullable("two", "latest", &image);
}

#[test]
fn a_push_in_progress_survives_the_grace_age() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(1);
    for blob in image.blobs() {
        registry.push_blob("fresh/app", blob);
    }
    let old = registry.push_blob("fresh/app", b"old garbage");
    let store = registry.kill();
    for name in store
        .tree()
        .iter()
        .filter(|name| name.contains(&old[7..]) && store.root().join(name).is_file())
    {
        backdate(&store.root().join(name));
    }
    let _ = collect_with(Implementation::Roadstead, &store, grace("1h"), &[]).success();
    assert!(
        !store.blob(&old).exists(),
        "what is older than the grace age goes"
    );
    let registry = serve(&store);
    let _ = registry
        .put_manifest("fresh/app", "latest", image.media_type(), image.manifest())
        .expect(201);
    registry.assert_pullable("fresh/app", "latest", &image);
}

#[test]
fn an_old_blob_that_was_pushed_again_just_now_survives() {
    only_over!(Filesystem: "it looks at the files");
    // Attack J50: the file is old, but a client has just been told 201 and is about to push the manifest.
    let registry = Registry::start();
    let image = Image::seeded(1);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    let store = registry.store().clone();
    for name in store
        .tree()
        .iter()
        .filter(|name| store.root().join(name).is_file())
    {
        backdate(&store.root().join(name));
    }
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    drop(registry);
    let _ = collect_with(Implementation::Roadstead, &store, grace("1h"), &[]).success();
    let registry = serve(&store);
    let _ = registry
        .put_manifest("app", "latest", image.media_type(), image.manifest())
        .expect(201);
    registry.assert_pullable("app", "latest", &image);
}

#[test]
fn an_upload_in_progress_can_be_finished_afterwards() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let location = registry.append(&registry.begin_upload("app"), b"first ");
    let store = registry.kill();
    collect(&store, &["--delete-untagged"]);
    let registry = serve(&store);
    let created = registry
        .finish_upload(&location, &sha256(b"first second"), b"second")
        .expect(201);
    assert_eq!(
        registry.get(&created.location()).expect(200).body,
        b"first second"
    );
}

#[test]
fn a_running_registry_notices_what_was_collected() {
    // The grace age of the collection below: over a bucket the cache counts on its being the same.
    let config = json!({"storage": {
        "cache": {"blobdescriptor": "inmemory"},
        "maintenance": {"garbagecollect": {"graceage": "0s"}},
    }});
    let registry = Registry::with(config);
    let garbage = registry.push_blob("app", b"garbage");
    registry.push_image("app", "latest", &Image::seeded(1));
    let _ = registry
        .head(&format!("/v2/app/blobs/{garbage}"))
        .expect(200);
    collect(registry.store(), &[]);
    // A client that is told 200 here would not push the blob, and leave a broken image.
    let _ = registry
        .head(&format!("/v2/app/blobs/{garbage}"))
        .expect(404);
    registry.push_blob("app", b"garbage");
    assert_eq!(
        registry
            .get(&format!("/v2/app/blobs/{garbage}"))
            .expect(200)
            .body,
        b"garbage"
    );
}

#[test]
fn pushes_go_on_while_it_runs() {
    let registry = Registry::start();
    let store = registry.store().clone();
    let images: Vec<Image> = (0..12).map(|seed| Image::seeded(300 + seed)).collect();
    std::thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            for (number, image) in images.iter().enumerate() {
                registry.push_image(&format!("app{}", number % 3), &format!("v{number}"), image);
            }
        });
        while !pusher.is_finished() {
            let _ = collect_with(Implementation::Roadstead, &store, grace("1h"), &[]).success();
        }
    });
    for (number, image) in images.iter().enumerate() {
        registry.assert_pullable(&format!("app{}", number % 3), &format!("v{number}"), image);
    }
}

#[test]
fn a_second_run_finds_nothing_more() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    registry.push_image("app", "latest", &Image::seeded(2));
    registry.push_blob("app", b"garbage");
    let store = registry.kill();
    collect(&store, &["-m"]);
    let after = store.files();
    let output = collect(&store, &["-m"]);
    assert!(
        output.contains("4 blobs marked, 0 blobs and 0 manifests eligible for deletion"),
        "{output}"
    );
    assert!(store.files() == after);
}

/// A store with an image to keep, and garbage of so many blobs.
fn store_with_garbage(blobs: u32) -> (Store, Image) {
    let registry = Registry::start();
    let kept = Image::seeded(1);
    registry.push_image("app", "kept", &kept);
    for number in 0..blobs {
        registry.push_blob("app", &number.to_be_bytes());
    }
    (registry.kill(), kept)
}

#[test]
fn a_run_that_is_killed_harms_nothing_and_the_next_one_ends_it() {
    only_over!(Filesystem: "it looks at the files");
    let (store, kept) = store_with_garbage(60);
    let setup = Setup::new(Implementation::Roadstead)
        .store(&store)
        .config(at_once());
    let config = setup.write_config(&free_address());
    let left = || {
        std::fs::read_dir(store.layout().join("blobs/sha256"))
            .unwrap()
            .flatten()
    };
    let blobs = || {
        left()
            .flat_map(|folder| std::fs::read_dir(folder.path()).unwrap())
            .count()
    };
    let before = blobs();
    let mut command = setup.command(&["garbage-collect", config.to_str().unwrap()]);
    let log = store.scratch().join("log");
    command
        .stdout(std::process::Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    // Killed as soon as something is gone, or when it was faster than this.
    wait::until("the first deletion", || {
        (blobs() < before || child.try_wait().unwrap().is_some()).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    serve(&store).assert_pullable("app", "kept", &kept);
    collect(&store, &[]);
    let output = collect(&store, &[]);
    assert!(
        output.contains("4 blobs marked, 0 blobs and 0 manifests eligible"),
        "{output}"
    );
    serve(&store).assert_pullable("app", "kept", &kept);
}

#[test]
fn two_runs_at_once_do_no_more_than_one() {
    let (store, kept) = store_with_garbage(30);
    std::thread::scope(|scope| {
        let run = || collect(&store, &["--delete-untagged"]);
        let both = [scope.spawn(run), scope.spawn(run)];
        for thread in both {
            thread.join().unwrap();
        }
    });
    serve(&store).assert_pullable("app", "kept", &kept);
    assert!(collect(&store, &[]).contains("4 blobs marked, 0 blobs and 0 manifests eligible"));
}

#[test]
fn an_empty_store_is_collected_without_ado() {
    let store = Store::new();
    assert!(
        collect(&store, &[])
            .contains("0 blobs marked, 0 blobs and 0 manifests eligible for deletion")
    );
}

#[test]
fn a_damaged_manifest_endangers_no_healthy_image() {
    only_over!(Filesystem: "it looks at the files");
    for damage in [&b""[..], b"{", b"\xff\xff"] {
        let registry = Registry::start();
        let (healthy, damaged) = (Image::seeded(1), Image::seeded(2));
        registry.push_image("a/damaged", "latest", &damaged);
        registry.push_image("b/healthy", "latest", &healthy);
        let store = registry.kill();
        std::fs::write(store.blob(&damaged.digest()), damage).unwrap();
        // To fail is fine, as long as nothing is lost.
        let _ = collect_with(Implementation::Roadstead, &store, at_once(), &["-m"]);
        let registry = serve(&store);
        registry.assert_pullable("b/healthy", "latest", &healthy);
        // What the damaged manifest names is still there: pushing the manifest again repairs the image.
        let _ = registry
            .put_manifest(
                "a/damaged",
                "latest",
                damaged.media_type(),
                damaged.manifest(),
            )
            .expect(201);
        registry.assert_pullable("a/damaged", "latest", &damaged);
    }
}

/// Distribution takes `Layers` for `layers`, as its clients do.
#[test]
fn what_distribution_reads_in_a_manifest_stays() {
    only_over!(Filesystem: "it looks at the files");
    let _installed = require!("docker-registry");
    let store = Store::new();
    let theirs = Registry::over(Implementation::Distribution, &store);
    let mut pushed = Vec::new();
    for (seed, (key, other)) in (1..).zip([
        (r#""layers""#, r#""Layers""#),
        (r#""digest""#, r#""DIGEST""#),
        (r#""mediaType""#, r#""MediaType""#),
        (r#""layers""#, r#""layers":null,"Layers""#),
    ]) {
        let image = Image::seeded(seed);
        let repository = format!("app{seed}");
        let manifest = String::from_utf8_lossy(image.manifest()).replace(key, other);
        assert_ne!(manifest.as_bytes(), image.manifest());
        for blob in image.blobs() {
            theirs.push_blob(&repository, blob);
        }
        let put = theirs.put_manifest(
            &repository,
            "latest",
            image.media_type(),
            manifest.as_bytes(),
        );
        let _ = put.expect(201);
        pushed.push((repository, image, manifest));
    }
    let garbage = theirs.push_blob("app1", b"garbage");
    let store = theirs.kill();
    collect(&store, &["-m"]);
    assert!(!store.blob(&garbage).exists());
    let registry = serve(&store);
    for (repository, image, manifest) in pushed {
        let served = registry.get_manifest(&repository, "latest").expect(200);
        assert_eq!(served.text(), manifest);
        assert_eq!(served.need("content-type"), image.media_type());
        for blob in image.blobs() {
            let target = format!("/v2/{repository}/blobs/{}", sha256(blob));
            assert!(
                registry.get(&target).expect(200).body == *blob,
                "{manifest}"
            );
        }
    }
}

#[test]
fn a_store_that_cannot_be_listed_loses_nothing() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let store = registry.kill();
    let (there, aside) = (
        store.layout().join("repositories"),
        store.scratch().join("aside"),
    );
    // The repositories are not there, as when a volume is not mounted; then a file is in their place.
    for in_their_place in [None, Some("no directory")] {
        std::fs::rename(&there, &aside).unwrap();
        if let Some(content) = in_their_place {
            std::fs::write(&there, content).unwrap();
        }
        let outcome = collect_with(Implementation::Roadstead, &store, at_once(), &[]);
        let said = outcome.failure();
        assert!(said.contains("nothing is deleted"), "{said}");
        let _ = std::fs::remove_file(&there);
        std::fs::rename(&aside, &there).unwrap();
    }
    serve(&store).assert_pullable("app", "latest", &image);
}

/// Somebody has removed all repositories by hand: as with Distribution, an empty folder is one without them.
#[test]
fn a_store_without_repositories_is_all_garbage() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let store = registry.kill();
    let repositories = store.layout().join("repositories");
    std::fs::remove_dir_all(repositories.join("app")).unwrap();
    let young = collect_with(Implementation::Roadstead, &store, grace("1h"), &[]);
    let _ = young.success();
    assert!(store.blob(&image.digest()).exists());
    collect(&store, &[]);
    let digests = image.blobs().iter().map(|blob| sha256(blob));
    for digest in digests.chain([image.digest()]) {
        assert!(!store.blob(&digest).exists(), "{digest}");
    }
}

/// A bucket has no folders: with the last link, nothing is left of a repository.
#[test]
fn a_blob_that_was_the_last_of_all_goes() {
    let registry = Registry::start();
    let digest = registry.push_blob("app", b"the last");
    let _ = registry
        .delete(&format!("/v2/app/blobs/{digest}"))
        .expect(202);
    let store = registry.kill();
    let eligible = format!("blob eligible for deletion: {digest}");
    assert!(collect(&store, &[]).contains(&eligible));
    assert!(!collect(&store, &[]).contains(&eligible));
}

#[test]
fn a_configuration_that_cannot_be_read_is_an_error() {
    let setup = Setup::new(Implementation::Roadstead);
    let outcome = tool::finish(setup.command(&["garbage-collect", "/nowhere/config.yml"]));
    assert_eq!(outcome.status.code(), Some(1), "{outcome:?}");
    assert!(
        outcome.stderr.contains("/nowhere/config.yml"),
        "{outcome:?}"
    );
}
