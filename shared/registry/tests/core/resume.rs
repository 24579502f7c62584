//! Garbage collection in many calls: it comes to the end of one, whatever happens between them.

use std::time::Duration;

use bytes::Bytes;
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{CollectOptions, Error, Registry, Summary};
use roadstead_storage::{DriverExt, Key, MemoryDriver};

use crate::kit::{
    assert_sound, collect, image, name, pull_blob, pull_whole, push_blob, push_manifest,
    push_untagged, registry, sha256, stored_blobs, tag, tree,
};

const OPTIONS: CollectOptions = CollectOptions {
    dry_run: false,
    delete_untagged: true,
    grace: Duration::ZERO,
};

const PLACE: &str = "roadstead/garbage-collection.json";

/// One call in which the time is up at once: by another process, as it has nothing but the store.
async fn step(store: &MemoryDriver) -> Option<Summary> {
    let registry = registry(store);
    registry
        .collect_garbage_while(OPTIONS, &|| false, &mut |_| ())
        .await
        .unwrap()
}

async fn steps_to_the_end(store: &MemoryDriver) -> usize {
    for steps in 1..1000 {
        if step(store).await.is_some() {
            return steps;
        }
    }
    panic!("it comes to no end");
}

/// In each of some repositories a tagged image, an untagged one and a blob that is in neither.
async fn fill(registry: &Registry) {
    for repository in ["a", "b", "c/d", "e"] {
        let name = name(repository);
        let tagged = push_image(registry, &name, "tagged").await;
        push_manifest(registry, &name, tag("t"), &tagged)
            .await
            .unwrap();
        let untagged = push_image(registry, &name, "untagged").await;
        push_untagged(registry, &name, &untagged).await.unwrap();
        let lost = format!("lost in {repository}");
        let digest = sha256(lost.as_bytes());
        push_blob(registry, &name, lost.as_bytes(), &digest)
            .await
            .unwrap();
    }
}

/// The blobs of an image, and the image.
async fn push_image(registry: &Registry, name: &RepositoryName, what: &str) -> Bytes {
    let blobs = ["config", "layer"].map(|part| format!("{part} of {what} in {name}"));
    let digests: Vec<Digest> = blobs.iter().map(|blob| sha256(blob.as_bytes())).collect();
    for (blob, digest) in blobs.iter().zip(&digests) {
        push_blob(registry, name, blob.as_bytes(), digest)
            .await
            .unwrap();
    }
    image(&digests[0], &digests[1..], None)
}

#[tokio::test]
async fn many_calls_leave_what_one_leaves() {
    let (at_once, in_steps) = (MemoryDriver::new(), MemoryDriver::new());
    fill(&registry(&at_once)).await;
    fill(&registry(&in_steps)).await;
    collect(&registry(&at_once), true).await.unwrap();
    let steps = steps_to_the_end(&in_steps).await;
    assert!(steps > 4, "{steps}");
    let keys = async |store| tree(store).await.into_keys().collect::<Vec<_>>();
    assert_eq!(keys(&in_steps).await, keys(&at_once).await);
}

#[tokio::test]
async fn what_is_pushed_between_two_calls_stays() {
    // As many steps as there are, each of them once with a push before it.
    for before in 0.. {
        let store = MemoryDriver::new();
        let registry = registry(&store);
        fill(&registry).await;
        let mut ended = false;
        for _ in 0..before {
            ended = ended || step(&store).await.is_some();
        }
        // Garbage until now: an untagged image and lost blobs, in a repository that was looked at
        // first, and in one that nobody has seen.
        for repository in ["a", "new"] {
            let name = name(repository);
            let again = push_image(&registry, &name, "untagged").await;
            push_manifest(&registry, &name, tag("again"), &again)
                .await
                .unwrap();
            let lost = sha256(b"lost in a");
            push_blob(&registry, &name, b"lost in a", &lost)
                .await
                .unwrap();
            let of_lost = image(&lost, &[], None);
            push_manifest(&registry, &name, tag("of-lost"), &of_lost)
                .await
                .unwrap();
        }
        steps_to_the_end(&store).await;
        for repository in ["a", "new"] {
            for reference in ["again", "of-lost"] {
                pull_whole(&registry, &name(repository), tag(reference)).await;
            }
        }
        assert_sound(&store).await;
        if ended {
            return;
        }
    }
}

#[tokio::test]
async fn a_blob_whose_link_went_can_be_pushed_again_and_one_that_is_referenced_never_goes() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    fill(&registry).await;
    steps_to_the_end(&store).await;
    let lost = sha256(b"lost in a");
    let gone = pull_blob(&registry, &name("a"), &lost).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))));
    pull_whole(&registry, &name("a"), tag("t")).await;
    assert_eq!(stored_blobs(&store).await.len(), 4 * 3);
    let untagged = push_image(&registry, &name("a"), "untagged").await;
    let untagged = push_untagged(&registry, &name("a"), &untagged)
        .await
        .unwrap();
    pull_whole(&registry, &name("a"), Reference::Digest(untagged)).await;
}

#[tokio::test]
async fn marks_that_cannot_be_read_and_those_of_another_collection_are_made_anew() {
    for damage in [None, Some(Bytes::from_static(b"{")), Some(Bytes::new())] {
        let store = MemoryDriver::new();
        fill(&registry(&store)).await;
        let key = Key::new(PLACE).unwrap();
        assert_eq!(step(&store).await, None);
        let other = CollectOptions {
            delete_untagged: false,
            ..OPTIONS
        };
        match damage {
            Some(damage) => store.put(&key, damage).await.unwrap(),
            None => {
                let registry = registry(&store);
                let collected = registry
                    .collect_garbage_while(other, &|| true, &mut |_| ())
                    .await
                    .unwrap();
                assert!(collected.is_some());
                assert_eq!(stored_blobs(&store).await.len(), 4 * 6);
            }
        }
        steps_to_the_end(&store).await;
        assert_eq!(stored_blobs(&store).await.len(), 4 * 3);
        assert_eq!(store.try_get(&key, 1).await.unwrap(), None);
    }
}
