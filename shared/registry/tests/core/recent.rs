//! A registry that remembers what it linked and found, beside others that change the store.

use std::pin::pin;
use std::time::Duration;

use roadstead_oci::{Digest, Reference};
use roadstead_registry::{Error, Memory, Registry};
use roadstead_storage::{Driver, MemoryDriver};

use crate::drivers::Troubled;
use crate::kit::{
    collect, image, index, name, pull_blob, push_blob, push_manifest, push_untagged, registry,
    sha256, tag,
};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MINUTE: Duration = Duration::from_secs(60);

fn remembering(store: &(impl Driver + Clone), grace: Duration) -> Registry {
    registry(store).with_memory(Memory {
        entries: 100,
        grace,
        of_pulls: true,
    })
}

async fn push(registry: &Registry, bytes: &[u8]) -> Digest {
    let digest = sha256(bytes);
    let pushed = push_blob(registry, &name("a"), bytes, &digest).await;
    pushed.unwrap();
    digest
}

async fn refers(registry: &Registry, blob: &Digest) -> Result<Digest, Error> {
    let image = image(blob, &[], None);
    push_manifest(registry, &name("a"), tag("t"), &image).await
}

#[tokio::test(start_paused = true)]
async fn what_this_process_linked_is_looked_for_again_after_half_of_the_grace_age() {
    for (grace, known) in [(DAY, 10 * MINUTE), (MINUTE, MINUTE / 2)] {
        let store = MemoryDriver::new();
        let remembering = remembering(&store, grace);
        let blob = push(&remembering, b"content").await;
        // No collection may do so now: the content is too young for any.
        collect(&registry(&store), false).await.unwrap();
        tokio::time::advance(known).await;
        let pushed = refers(&remembering, &blob).await;
        assert!(matches!(pushed, Err(Error::ReferencesUnknown(_))));
    }
}

#[tokio::test]
async fn without_a_grace_age_every_reference_is_looked_for() {
    let store = MemoryDriver::new();
    let remembering = remembering(&store, Duration::ZERO);
    let blob = push(&remembering, b"content").await;
    collect(&registry(&store), false).await.unwrap();
    let pushed = refers(&remembering, &blob).await;
    assert!(matches!(pushed, Err(Error::ReferencesUnknown(_))));
}

#[tokio::test]
async fn what_is_deleted_here_is_gone_here_at_once() {
    let store = MemoryDriver::new();
    let registry = remembering(&store, DAY);
    let a = name("a");
    let blob = push(&registry, b"content").await;
    let repository = registry.repository(&a);
    repository.blobs().stat(&blob).await.unwrap();
    repository.blobs().delete(&blob).await.unwrap();
    let gone = repository.blobs().stat(&blob).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))), "{gone:?}");
    let gone = pull_blob(&registry, &a, &blob).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))), "{gone:?}");
    let pushed = refers(&registry, &blob).await;
    assert!(matches!(pushed, Err(Error::ReferencesUnknown(_))));

    push(&registry, b"content").await;
    let child = push_untagged(&registry, &a, &image(&blob, &[], None)).await;
    let child = child.unwrap();
    let list = index(std::slice::from_ref(&child));
    push_manifest(&registry, &a, tag("list"), &list)
        .await
        .unwrap();
    repository.manifests().delete(&child).await.unwrap();
    let pushed = push_manifest(&registry, &a, tag("list"), &list).await;
    assert!(matches!(pushed, Err(Error::ReferencesUnknown(_))));
}

/// What was learnt before the deletion is not remembered after it.
#[tokio::test]
async fn what_is_deleted_while_it_is_looked_for_is_gone() {
    for at in 1.. {
        let (store, a) = (MemoryDriver::new(), name("a"));
        let blob = push(&registry(&store), b"content").await;
        let (driver, hold) = Troubled::holding(&store, at);
        let remembering = remembering(&driver, DAY);
        let repository = remembering.repository(&a);
        let mut look = pin!(repository.blobs().stat(&blob));
        tokio::select! {
            _ = &mut look => {
                assert!(at > 1, "nothing was asked of the store");
                return;
            }
            () = hold.arrival() => {}
        }
        repository.blobs().delete(&blob).await.unwrap();
        hold.release();
        let _either_way = look.await;
        let gone = pull_blob(&remembering, &a, &blob).await;
        assert!(matches!(gone, Err(Error::BlobUnknown(_))), "{gone:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_process_deletes_is_gone_after_a_minute() {
    let store = MemoryDriver::new();
    let registries = [remembering(&store, DAY), remembering(&store, DAY)];
    let [one, two] = &registries;
    let a = name("a");
    let blob = push(one, b"content").await;
    for registry in &registries {
        registry.repository(&a).blobs().stat(&blob).await.unwrap();
    }
    two.repository(&a).blobs().delete(&blob).await.unwrap();
    let gone = pull_blob(two, &a, &blob).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))), "{gone:?}");
    tokio::time::advance(MINUTE).await;
    let gone = pull_blob(one, &a, &blob).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))), "{gone:?}");
}

#[tokio::test]
async fn a_mounted_blob_is_known_where_it_was_mounted_only() {
    let store = MemoryDriver::new();
    let registry = remembering(&store, DAY);
    let blob = push(&registry, b"content").await;
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let blobs = registry.repository(&b).blobs();
    let mounted = blobs.mount(&blob, Some(&a), &|_| true).await;
    assert!(mounted.unwrap().is_some());
    let image = image(&blob, &[], None);
    let reference = Reference::Digest(sha256(&image));
    push_manifest(&registry, &b, reference.clone(), &image)
        .await
        .unwrap();
    let pushed = push_manifest(&registry, &c, reference, &image).await;
    assert!(matches!(pushed, Err(Error::ReferencesUnknown(_))));
}
