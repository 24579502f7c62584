//! Crashes: the registry is killed at many points, and what it had confirmed must be intact afterwards.
//!
//! No point is a moment in time: each is so many bytes sent, or so many answers received.

mod power_cut;

use std::path::{Path, PathBuf};

use roadstead_tests::image::{OCI_MANIFEST, noise};
use roadstead_tests::registry::with_query;
use roadstead_tests::store::JOURNAL;
use roadstead_tests::{Image, Registry, only_over, sha256};

/// A 200 has the content that belongs to the digest; anything else is 404.
#[track_caller]
fn assert_whole_or_missing(registry: &Registry, repository: &str, content: &[u8]) {
    let target = format!("/v2/{repository}/blobs/{}", sha256(content));
    let (head, answer) = (registry.head(&target), registry.get(&target));
    assert_eq!(head.status, answer.status);
    match answer.status {
        200 => assert!(answer.body == content, "{target} is damaged"),
        status => assert_eq!(status, 404, "{answer:?}"),
    }
}

#[test]
fn a_blob_cut_off_at_any_byte_is_never_served_damaged() {
    only_over!(Filesystem: "it looks at the files");
    let content = noise(1, 100_000);
    let mut registry = Registry::start();
    for sent in [0, 1, 4095, 4096, 65_536, 99_999, 100_000] {
        let location = registry.begin_upload("app");
        let target = with_query(&location, &format!("digest={}", sha256(&content)));
        let request = registry.request("PUT", &target).body(&*content);
        let mut connection = registry.connect();
        let head = request.head();
        connection
            .send(&request.bytes()[..head.len() + sent])
            .unwrap();
        registry.kill_and_restart();
        drop(connection);
        assert_whole_or_missing(&registry, "app", &content);
        let digest = registry.push_blob("app", &content);
        assert!(
            registry
                .get(&format!("/v2/app/blobs/{digest}"))
                .expect(200)
                .body
                == content
        );
        let _ = registry
            .delete(&format!("/v2/app/blobs/{digest}"))
            .expect(202);
        std::fs::remove_file(registry.store().blob(&digest)).unwrap();
    }
}

/// One request of a push, which returns once it is answered.
type Step = Box<dyn Fn(&Registry, &mut Confirmed)>;

/// What the registry has said yes to.
#[derive(Default)]
struct Confirmed {
    location: String,
    blobs: Vec<Vec<u8>>,
    tags: Vec<(String, Image)>,
}

fn steps() -> Vec<Step> {
    let image = Image::seeded(2);
    let mut steps: Vec<Step> = Vec::new();
    for blob in image.blobs().to_vec() {
        let (first, second) = (
            blob[..blob.len() / 2].to_vec(),
            blob[blob.len() / 2..].to_vec(),
        );
        steps.push(Box::new(|registry, confirmed| {
            confirmed.location = registry.begin_upload("app")
        }));
        steps.push(Box::new(move |registry, confirmed| {
            confirmed.location = registry.append(&confirmed.location, &first);
        }));
        steps.push(Box::new(move |registry, confirmed| {
            let _ = registry
                .finish_upload(&confirmed.location, &sha256(&blob), &second)
                .expect(201);
            confirmed.blobs.push(blob.clone());
        }));
    }
    for tag in ["one", "two"] {
        let image = image.clone();
        steps.push(Box::new(move |registry, confirmed| {
            let _ = registry
                .put_manifest("app", tag, OCI_MANIFEST, image.manifest())
                .expect(201);
            confirmed.tags.push((tag.to_owned(), image.clone()));
        }));
    }
    steps
}

#[test]
fn what_was_confirmed_survives_a_crash_after_every_answer() {
    for crash in 0..=steps().len() {
        let mut registry = Registry::start();
        let mut confirmed = Confirmed::default();
        for (number, step) in steps().iter().enumerate() {
            if number == crash {
                registry.kill_and_restart();
            }
            // An upload goes on where it was: nobody is made to begin again.
            step(&registry, &mut confirmed);
        }
        registry.kill_and_restart();
        for blob in &confirmed.blobs {
            let answer = registry
                .get(&format!("/v2/app/blobs/{}", sha256(blob)))
                .expect(200);
            assert!(answer.body == *blob, "after {crash} answers");
        }
        for (tag, image) in &confirmed.tags {
            registry.assert_pullable("app", tag, image);
        }
        assert_eq!(registry.tags("app"), ["one", "two"]);
    }
}

#[test]
fn a_tag_is_moved_wholly_or_not_at_all() {
    let (old, new) = (Image::seeded(3), Image::seeded(4));
    let mut registry = Registry::start();
    registry.push_image("app", "latest", &old);
    for blob in new.blobs() {
        registry.push_blob("app", blob);
    }
    let mut last = old.clone();
    for round in 0..10 {
        let next = if round % 2 == 0 { &new } else { &old };
        let request = registry
            .request("PUT", "/v2/app/manifests/latest")
            .header("Content-Type", OCI_MANIFEST);
        let bytes = request.body(next.manifest()).bytes();
        let mut connection = registry.connect();
        // The last byte releases the request; the answer is not waited for.
        connection.send(bytes).unwrap();
        registry.kill_and_restart();
        let served = registry.get_manifest("app", "latest").expect(200);
        let whole = [&last, next]
            .into_iter()
            .find(|image| image.manifest() == served.body);
        last = whole.expect("one of both images, whole").clone();
        registry.assert_pullable("app", "latest", &last);
        assert_eq!(registry.tags("app"), ["latest"]);
    }
}

#[test]
fn a_delete_that_was_confirmed_stays_done() {
    let mut registry = Registry::start();
    let (gone, kept) = (Image::seeded(5), Image::seeded(6));
    registry.push_image("app", "gone", &gone);
    registry.push_image("app", "kept", &kept);
    let _ = registry
        .delete(&format!("/v2/app/manifests/{}", gone.digest()))
        .expect(202);
    registry.kill_and_restart();
    let _ = registry.get_manifest("app", "gone").expect(404);
    assert_eq!(registry.tags("app"), ["kept"]);
    registry.assert_pullable("app", "kept", &kept);
}

#[test]
fn a_delete_cut_short_leaves_no_tag_that_leads_nowhere() {
    let mut registry = Registry::start();
    let image = Image::seeded(7);
    for _ in 0..5 {
        for tag in ["a", "b", "c", "d"] {
            registry.push_image("app", tag, &image);
        }
        let request = registry.request("DELETE", &format!("/v2/app/manifests/{}", image.digest()));
        let mut connection = registry.connect();
        connection.send(request.bytes()).unwrap();
        registry.kill_and_restart();
        for tag in registry.tags("app") {
            let answer = registry.get_manifest("app", &tag);
            assert!([200, 404].contains(&answer.status), "{answer:?}");
        }
        // Doing it again finishes the job.
        let again = registry.delete(&format!("/v2/app/manifests/{}", image.digest()));
        assert!([202, 404].contains(&again.status), "{again:?}");
        let _ = registry.get_manifest("app", &image.digest()).expect(404);
    }
}

/// What a crash of the machine can do to a file that was not synced.
fn damage(path: &Path, how: usize) {
    let content = std::fs::read(path).unwrap();
    let damaged = match how {
        0 => Vec::new(),
        1 => content[..content.len() / 2].to_vec(),
        _ => vec![0; content.len()],
    };
    std::fs::write(path, damaged).unwrap();
}

#[test]
fn pushing_again_repairs_a_damaged_blob() {
    only_over!(Filesystem: "it looks at the files");
    let content = noise(8, 10_000);
    let digest = sha256(&content);
    // An empty file and half a file, as a machine without power leaves them (distribution#4489, #2788).
    for how in [0, 1] {
        let pushes: [fn(&Registry, &[u8]); 2] = [
            |registry, content| {
                registry.push_blob("app", content);
            },
            |registry, content| {
                let target = format!("/v2/app/blobs/uploads/?digest={}", sha256(content));
                let _ = registry
                    .request("POST", &target)
                    .body(content)
                    .send()
                    .expect(201);
            },
        ];
        for push in pushes {
            let mut registry = Registry::start();
            registry.push_blob("app", &content);
            damage(&registry.store().blob(&digest), how);
            registry.kill_and_restart();
            push(&registry, &content);
            let answer = registry.get(&format!("/v2/app/blobs/{digest}")).expect(200);
            assert!(answer.body == content, "damage {how}");
        }
    }
}

#[test]
fn an_emptied_blob_is_not_said_to_be_there() {
    only_over!(Filesystem: "it looks at the files");
    let mut registry = Registry::start();
    let content = noise(9, 1000);
    let digest = registry.push_blob("app", &content);
    damage(&registry.store().blob(&digest), 0);
    registry.kill_and_restart();
    // A client that is told 200 does not push, and the blob stays damaged for ever.
    let _ = registry
        .head(&format!("/v2/app/blobs/{digest}"))
        .expect(404);
    let _ = registry.get(&format!("/v2/app/blobs/{digest}")).expect(404);
    let mount = format!("/v2/other/blobs/uploads/?mount={digest}&from=app");
    let _ = registry.request("POST", &mount).send().expect(202);
}

#[test]
fn pushing_again_repairs_a_damaged_manifest() {
    only_over!(Filesystem: "it looks at the files");
    let image = Image::seeded(10);
    for how in [0, 1, 2] {
        let mut registry = Registry::start();
        registry.push_image("app", "latest", &image);
        damage(&registry.store().blob(&image.digest()), how);
        registry.kill_and_restart();
        let broken = registry.get_manifest("app", "latest");
        assert_ne!(broken.status, 200, "damage {how} is served: {broken:?}");
        let _ = registry
            .put_manifest("app", "latest", OCI_MANIFEST, image.manifest())
            .expect(201);
        registry.assert_pullable("app", "latest", &image);
    }
}

#[test]
fn pushing_again_repairs_damaged_links() {
    only_over!(Filesystem: "it looks at the files");
    let image = Image::seeded(11);
    let links = |registry: &Registry| -> Vec<PathBuf> {
        let store = registry.store();
        let names = store
            .tree()
            .into_iter()
            .filter(|name| name.ends_with("/link"));
        names.map(|name| store.root().join(name)).collect()
    };
    let mut registry = Registry::start();
    registry.push_image("app", "latest", &image);
    registry.push_image("healthy", "latest", &image);
    let count = links(&registry).len();
    for number in 0..count {
        for how in [0, 1, 2] {
            let link = links(&registry)[number].clone();
            damage(&link, how);
            registry.kill_and_restart();
            // One damaged file breaks no list.
            let _ = registry.get("/v2/_catalog").expect(200);
            for repository in ["app", "healthy"] {
                let _ = registry
                    .get(&format!("/v2/{repository}/tags/list"))
                    .expect(200);
                registry.push_image(repository, "latest", &image);
                registry.assert_pullable(repository, "latest", &image);
            }
        }
    }
}

#[test]
fn leftovers_of_a_crash_are_no_content() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(12);
    registry.push_image("app", "latest", &image);
    let store = registry.kill();
    let digest = sha256(b"never finished");
    let blob = store.blob(&digest);
    std::fs::create_dir_all(blob.parent().unwrap()).unwrap();
    for leftover in [
        blob.with_file_name("data.tmp"),
        blob.with_file_name("data.0b9a3c1e-0000-4000-8000-000000000000.tmp"),
        store
            .repository("app")
            .join("_manifests/tags/latest/current/link.0b9a3c1e.tmp"),
        store.layout().join("blobs/sha256/.tmp-1234"),
        store.layout().join("lost+found"),
    ] {
        std::fs::write(leftover, "half of it").unwrap();
    }
    std::fs::create_dir_all(
        store
            .repository("app")
            .join("_manifests/tags/halfmade/current"),
    )
    .unwrap();
    std::fs::create_dir_all(store.repository("half/made/_manifests")).unwrap();
    let registry = Registry::over(roadstead_tests::Implementation::Roadstead, &store);
    registry.assert_pullable("app", "latest", &image);
    let _ = registry.get(&format!("/v2/app/blobs/{digest}")).expect(404);
    let _ = registry.get_manifest("app", "halfmade").expect(404);
    let _ = registry.get("/v2/_catalog").expect(200);
    registry.push_image("app", "halfmade", &image);
    registry.assert_pullable("app", "halfmade", &image);
}

#[test]
fn the_journal_of_a_killed_server_goes_with_the_next_one_that_ends() {
    only_over!(Filesystem: "its journal lies among the files");
    let image = Image::seeded(7);
    let mut registry = Registry::start();
    registry.push_image("app", "latest", &image);
    registry.kill_and_restart();
    registry.assert_pullable("app", "latest", &image);
    let store = registry.store().clone();
    registry.terminate();
    registry.wait();
    assert!(!store.root().join(JOURNAL).exists());
    let registry = Registry::over(roadstead_tests::Implementation::Roadstead, &store);
    registry.assert_pullable("app", "latest", &image);
}
