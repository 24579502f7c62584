//! Manifests that somebody else has deleted, with what this process remembers of them.

use std::sync::Arc;
use std::time::Duration;

use roadstead_metadata::ManifestStore;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Digest, Reference};
use roadstead_storage::{DriverExt, Key, MemoryDriver};

use crate::kit::{ROOT, image, name, put_manifest};

/// One process of several; it remembers what it has seen.
fn process(driver: &MemoryDriver) -> Layout {
    Layout::new(Arc::new(driver.clone()), Options::default())
}

fn tag() -> Reference {
    "t".parse().unwrap()
}

async fn serves(layout: &Layout, reference: &Reference) -> bool {
    let found = layout.manifest(&name("a"), reference).await.unwrap();
    found.is_some()
}

/// Deletes a manifest as registries before 2.7 do: its tags stay.
async fn delete_as_before(driver: &MemoryDriver, digest: &Digest) {
    let hex = digest.hex();
    let link = format!("{ROOT}/repositories/a/_manifests/revisions/sha256/{hex}/link");
    let deleted = driver.try_delete(&Key::new(&link).unwrap()).await;
    assert!(deleted.unwrap());
}

#[tokio::test]
async fn a_tag_that_an_older_registry_left_behind_serves_nothing() {
    let driver = MemoryDriver::new();
    let digest = put_manifest(&driver, "a", &image("any", None), Some("t")).await;
    delete_as_before(&driver, &digest).await;
    let layout = process(&driver);
    for _ in 0..2 {
        assert!(!serves(&layout, &tag()).await);
        assert!(!serves(&layout, &Reference::Digest(digest.clone())).await);
    }
}

#[tokio::test]
async fn what_another_process_deletes_is_gone_at_once() {
    let driver = MemoryDriver::new();
    let digest = put_manifest(&driver, "a", &image("any", None), Some("t")).await;
    let (one, two) = (process(&driver), process(&driver));
    let by_digest = Reference::Digest(digest.clone());
    for layout in [&one, &two] {
        assert!(serves(layout, &tag()).await);
        assert!(serves(layout, &by_digest).await);
    }
    let tags = two.delete_manifest(&name("a"), &digest, None).await;
    assert_eq!(tags.unwrap().len(), 1);
    for layout in [&one, &two] {
        assert!(!serves(layout, &tag()).await);
        assert!(!serves(layout, &by_digest).await);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_older_registry_deletes_beside_us_is_gone_by_its_digest_at_once_and_by_its_tag_soon()
 {
    let driver = MemoryDriver::new();
    let digest = put_manifest(&driver, "a", &image("any", None), Some("t")).await;
    let layout = process(&driver);
    assert!(serves(&layout, &tag()).await);
    delete_as_before(&driver, &digest).await;
    assert!(!serves(&layout, &Reference::Digest(digest)).await);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert!(!serves(&layout, &tag()).await);
}
