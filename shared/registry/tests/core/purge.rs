//! Purging: what nobody will finish goes, what somebody may finish stays.

use std::time::Duration;

use bytes::Bytes;
use roadstead_oci::RepositoryName;
use roadstead_registry::{Purged, Registry};
use roadstead_storage::{DriverExt, Key, MemoryDriver};

use crate::kit::{body, name, push_blob, registry, sha256, tree};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn begin(registry: &Registry, name: &RepositoryName) -> String {
    let uploads = registry.repository(name).uploads();
    let id = uploads.begin().await.unwrap().id;
    let mut upload = uploads.open(&id).await.unwrap();
    upload.append(body(b"some bytes"), None).await.unwrap();
    upload.checkpoint().await.unwrap();
    id
}

async fn put(store: &MemoryDriver, name: &RepositoryName, path: &str, content: &'static str) {
    let path = format!("docker/registry/v2/repositories/{name}/_uploads/{path}");
    store
        .put(&Key::new(&path).unwrap(), Bytes::from(content))
        .await
        .unwrap();
}

async fn uploads(store: &MemoryDriver) -> Vec<String> {
    let keys = tree(store).await.into_keys();
    keys.filter(|key| key.contains("_uploads")).collect()
}

#[tokio::test]
async fn old_uploads_go_and_young_ones_stay() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let (a, nested) = (name("a"), name("a/b/c"));
    let old = begin(&registry, &a).await;
    put(
        &store,
        &a,
        &format!("{old}/startedat"),
        "2020-01-01T00:00:00Z",
    )
    .await;
    let young = begin(&registry, &nested).await;
    push_blob(&registry, &a, b"a blob", &sha256(b"a blob"))
        .await
        .unwrap();

    let tried = registry.purge_uploads(DAY, true).await.unwrap();
    assert_eq!(
        tried,
        Purged {
            deleted: 1,
            errors: 0
        }
    );
    assert!(registry.repository(&a).uploads().open(&old).await.is_ok());

    let purged = registry.purge_uploads(DAY, false).await.unwrap();
    assert_eq!(
        purged,
        Purged {
            deleted: 1,
            errors: 0
        }
    );
    assert!(registry.repository(&a).uploads().open(&old).await.is_err());
    let upload = registry
        .repository(&nested)
        .uploads()
        .open(&young)
        .await
        .unwrap();
    assert_eq!(upload.size(), 10);
    upload.finish(&sha256(b"some bytes")).await.unwrap();
    assert!(
        registry
            .repository(&a)
            .blobs()
            .stat(&sha256(b"a blob"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn torsos_go_by_when_they_were_written_last() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let a = name("a");
    let torso = "01994d4e-0000-7000-8000-000000000000";
    put(
        &store,
        &a,
        &format!("{torso}/hashstates/sha256/0"),
        "sha\u{3}",
    )
    .await;
    put(&store, &a, "no-uuid/data", "bytes").await;
    put(&store, &a, "broken/startedat", "yesterday").await;
    put(&store, &a, "endless/startedat", "9999-12-31T23:59:59Z").await;

    let purged = registry.purge_uploads(DAY, false).await.unwrap();
    assert_eq!(
        purged,
        Purged {
            deleted: 0,
            errors: 0
        }
    );
    assert_eq!(uploads(&store).await.len(), 4);

    let purged = registry.purge_uploads(Duration::ZERO, false).await.unwrap();
    assert_eq!(
        purged,
        Purged {
            deleted: 3,
            errors: 0
        }
    );
    let endless = "docker/registry/v2/repositories/a/_uploads/endless/startedat";
    assert_eq!(uploads(&store).await, [endless]);
}

#[tokio::test]
async fn purging_twice_at_once_is_fine() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    for _ in 0..20 {
        begin(&registry, &name("a")).await;
    }
    let purge = || registry.purge_uploads(Duration::ZERO, false);
    let (one, other) = tokio::join!(purge(), purge());
    assert_eq!((one.unwrap().errors, other.unwrap().errors), (0, 0));
    registry.purge_uploads(Duration::ZERO, false).await.unwrap();
    assert_eq!(uploads(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_purge_of_many_calls_reaches_every_repository() {
    let store = MemoryDriver::new();
    let names = ["a", "b", "b/c", "d", "e"].map(name);
    for name in &names {
        for _ in 0..3 {
            begin(&registry(&store), name).await;
        }
    }
    // By another process each.
    let call = async || {
        let registry = registry(&store);
        let purge = registry.purge_uploads_while(Duration::ZERO, false, &|| false);
        purge.await.unwrap()
    };
    let left = async |name: &RepositoryName| {
        let folder = format!("repositories/{name}/_uploads/");
        let mut ids: Vec<_> = uploads(&store).await;
        ids.retain(|key| key.contains(&folder) && key.ends_with("/startedat"));
        ids.len()
    };
    for left_of_each in [3, 2, 1] {
        for name in &names {
            assert_eq!(left(name).await, left_of_each, "{name}");
            let purge = call().await;
            assert_eq!(purge.purged.deleted, 1, "{name}");
            assert!(!purge.is_finished, "{name}");
        }
        assert!(call().await.is_finished);
    }
    assert_eq!(uploads(&store).await, Vec::<String>::new());
    assert_eq!(tree(&store).await.get("roadstead/upload-purge"), None);
}

#[tokio::test]
async fn a_purge_that_is_cut_off_goes_on_near_where_it_was() {
    let store = MemoryDriver::new();
    for number in 0..50 {
        begin(&registry(&store), &name(&format!("r{number:02}"))).await;
    }
    let key = Key::new("roadstead/upload-purge").unwrap();
    store.put(&key, Bytes::from("r30")).await.unwrap();
    let registry = registry(&store);
    let purge = registry.purge_uploads_while(Duration::ZERO, false, &|| true);
    let purge = purge.await.unwrap();
    assert_eq!((purge.purged.deleted, purge.is_finished), (19, true));
    for damaged in ["", "\u{1}", "UPPER"] {
        store.put(&key, Bytes::from(damaged)).await.unwrap();
        let purge = registry.purge_uploads_while(Duration::ZERO, false, &|| true);
        assert!(purge.await.unwrap().is_finished, "{damaged}");
    }
    assert_eq!(uploads(&store).await, Vec::<String>::new());
}
