//! Two registries over one store, with garbage collection beside them: every answer holds.

use std::sync::atomic::{AtomicBool, Ordering};

use roadstead_tests::image::noise;
use roadstead_tests::registry::{Setup, free_address};
use roadstead_tests::{Image, Implementation, Registry, Store, only_over, sha256, tool};
use serde_json::json;

use crate::garbage_collect::at_once;

const ROUNDS: u64 = 4;

/// What a client does that wants an image to be there: garbage collection may take what nothing
/// refers to yet, and says so.
fn push(registry: &Registry, repository: &str, tag: &str, image: &Image) {
    for _ in 0..20 {
        for blob in image.blobs() {
            registry.push_blob(repository, blob);
        }
        let put = registry.put_manifest(repository, tag, image.media_type(), image.manifest());
        match put.status {
            201 => return,
            _ => drop(put.expect_error(400, "MANIFEST_BLOB_UNKNOWN")),
        }
    }
    panic!("{repository}:{tag} is never whole");
}

/// Pushes an image, pulls it through the other registry, retags and deletes it, again and again.
fn live(one: &Registry, other: &Registry, repository: &str, seed: u64) {
    for round in 0..ROUNDS {
        let image = Image::seeded(seed * 1000 + round);
        push(one, repository, "latest", &image);
        other.assert_pullable(repository, "latest", &image);
        push(other, repository, &format!("v{round}"), &image);
        one.assert_pullable(repository, &format!("v{round}"), &image);
        if round % 2 == 0 {
            let target = format!("/v2/{repository}/manifests/{}", image.digest());
            let _ = other.delete(&target).expect(202);
            let _ = one.get_manifest(repository, "latest").expect(404);
            let _ = one.get_manifest(repository, &image.digest()).expect(404);
        }
    }
}

/// Mounts a blob that is in use elsewhere, and uses it here.
fn mount(one: &Registry, other: &Registry, image: &Image) {
    for round in 0..ROUNDS {
        let repository = format!("mounted/{round}");
        for blob in image.blobs() {
            let digest = sha256(blob);
            let target = format!("/v2/{repository}/blobs/uploads/?mount={digest}&from=base");
            let _ = one.request("POST", &target).send().expect(201);
        }
        let put = other.put_manifest(&repository, "latest", image.media_type(), image.manifest());
        match put.status {
            201 => one.assert_pullable(&repository, "latest", image),
            _ => drop(put.expect_error(400, "MANIFEST_BLOB_UNKNOWN")),
        }
        other.assert_pullable("base", "latest", image);
    }
}

/// The same blobs again and again, through both: one content at a time is the blob's.
fn push_again(one: &Registry, other: &Registry, image: &Image) {
    for round in 0..ROUNDS {
        let registry = if round % 2 == 0 { one } else { other };
        push(registry, "base", "latest", image);
        other.assert_pullable("base", "latest", image);
    }
}

fn collect(store: &Store, grace: &str) {
    let config = match grace {
        "0s" => at_once(),
        grace => json!({"storage": {"maintenance": {"garbagecollect": {"graceage": grace}}}}),
    };
    let setup = Setup::new(Implementation::Roadstead)
        .store(store)
        .config(config);
    let path = setup.write_config(&free_address());
    let arguments = ["garbage-collect", "-q", path.to_str().unwrap()];
    tool::finish(setup.command(&arguments)).success();
}

#[test]
fn two_registries_and_garbage_collection_share_a_store() {
    only_over!(S3 | Swift | S3Dynamodb: "one directory is shared in other tests");
    let store = Store::new();
    let one = Registry::over(Implementation::Roadstead, &store);
    let other = Registry::over(Implementation::Roadstead, &store);
    let base = Image::seeded(7);
    one.push_image("base", "latest", &base);
    let garbage = one.push_blob("base", &noise(9, 3000));
    // Where the layout is the metadata, two processes cannot agree on what is garbage at a time:
    // what is young has to stay.
    let grace = if store.has_table() { "0s" } else { "1h" };
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let collecting = scope.spawn(|| {
            while !is_done.load(Ordering::Relaxed) {
                collect(&store, grace);
            }
        });
        let living = [
            scope.spawn(|| live(&one, &other, "a", 1)),
            scope.spawn(|| live(&other, &one, "b", 2)),
            scope.spawn(|| mount(&one, &other, &base)),
            scope.spawn(|| push_again(&one, &other, &base)),
        ];
        let ended = living.map(|one| one.join());
        is_done.store(true, Ordering::Relaxed);
        collecting.join().unwrap();
        ended.into_iter().for_each(|ended| ended.unwrap());
    });
    for (name, seed) in [("a", 1), ("b", 2)] {
        for round in (0..ROUNDS).filter(|round| round % 2 == 1) {
            let image = Image::seeded(seed * 1000 + round);
            other.assert_pullable(name, &format!("v{round}"), &image);
        }
    }
    other.assert_pullable("base", "latest", &base);
    if store.has_table() {
        collect(&store, grace);
        let _ = one.head(&format!("/v2/base/blobs/{garbage}")).expect(404);
    }
}
