//! Two processes on one directory: what they push and delete at the same time is whole or gone.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_metadata::{ManifestPush, ManifestRecord, Metadata, Page, testkit};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digester, Reference, RepositoryName, Tag};
use roadstead_storage::{Driver, DriverExt, Key, Write, WriteMode};
use roadstead_storage_filesystem::{Config, FilesystemDriver, Sync};
use tempfile::TempDir;

struct Directory(TempDir);

impl Directory {
    fn driver(&self) -> Arc<FilesystemDriver> {
        let config = Config {
            root: self.0.path().to_owned(),
            sync: Sync::Never,
            ..Config::default()
        };
        Arc::new(FilesystemDriver::new(config).unwrap())
    }
}

#[async_trait]
impl testkit::Store for Directory {
    /// With a driver of its own.
    fn metadata(&self) -> Arc<dyn Metadata> {
        Arc::new(Layout::new(self.driver(), Options::default()))
    }

    async fn put(&self, key: &str, content: Bytes) {
        let write = Write {
            key: Key::new(key).unwrap(),
            content,
            mode: WriteMode::Overwrite,
        };
        self.driver().write(&[write]).await.unwrap();
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        let key = Key::new(key).unwrap();
        self.driver().try_get(&key, u64::MAX).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_pushes_that_fix_a_tag_one_has_it() {
    let store = Directory(tempfile::tempdir().unwrap());
    testkit::of_pushes_that_fix_a_tag_one_has_it(&store)
        .await
        .unwrap();
}

fn push(repository: &str, tag: &str) -> ManifestPush {
    let bytes = Bytes::from_static(br#"{"schemaVersion":2,"manifests":[]}"#);
    ManifestPush {
        repository: repository.parse().unwrap(),
        manifest: ManifestRecord {
            digest: Digester::digest(Algorithm::Sha256, &bytes),
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            bytes,
        },
        alias: None,
        tags: vec![tag.parse().unwrap()],
        fixed: Default::default(),
        referrer: None,
    }
}

/// And for none of another; the sweep itself goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_push_waits_for_a_sweep_of_its_repository() {
    use testkit::Store;
    let store = Directory(tempfile::tempdir().unwrap());
    let (pushing, sweeping) = (store.metadata(), store.metadata());
    let app: RepositoryName = "app".parse().unwrap();
    let tags = async || sweeping.tags(&app, Page::ALL).await.unwrap();
    let sweep = sweeping.sweep(&app).await.unwrap();
    let waiting = tokio::spawn({
        let pushing = Arc::clone(&pushing);
        async move { pushing.record(&push("app", "new")).await }
    });
    pushing.record(&push("elsewhere", "new")).await.unwrap();
    sweep.restore(&push("app", "restored")).await.unwrap();
    assert!(!waiting.is_finished());
    assert_eq!(tags().await, Some(vec!["restored".parse().unwrap()]));
    drop(sweep);
    waiting.await.unwrap().unwrap();
    assert_eq!(tags().await.map(|tags| tags.len()), Some(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_push_and_a_deletion_leave_no_half() {
    use testkit::Store;
    let store = Directory(tempfile::tempdir().unwrap());
    let (pushing, deleting) = (store.metadata(), store.metadata());
    let app: RepositoryName = "app".parse().unwrap();
    let push = |tag: &str| push("app", tag);
    let digest = push("old").manifest.digest;
    for round in 0..200 {
        pushing.record(&push("old")).await.unwrap();
        let new = tokio::spawn({
            let (pushing, new) = (Arc::clone(&pushing), push("new"));
            async move { pushing.record(&new).await }
        });
        deleting.delete_manifest(&app, &digest, None).await.unwrap();
        new.await.unwrap().unwrap();
        let looking = store.metadata();
        let is_there = looking.revision(&app, &digest).await.unwrap().is_some();
        let tag: Tag = "new".parse().unwrap();
        let is_tagged = looking.tag(&app, &tag).await.unwrap().is_some();
        assert_eq!(is_tagged, is_there, "round {round}");
        let found = looking.manifest(&app, &Reference::Tag(tag)).await.unwrap();
        assert_eq!(found.is_some(), is_there, "round {round}");
        deleting.delete_manifest(&app, &digest, None).await.unwrap();
    }
}
