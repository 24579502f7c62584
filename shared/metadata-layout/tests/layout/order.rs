//! The files of a push one after the other: what a reader sees in between, or a crash leaves.

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_metadata::{
    ManifestPush, ManifestStore, Page, ReferrerQuery, ReferrerStore, TagStore,
};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digest, Digester, Reference, Tag};
use roadstead_storage::{
    ByteRange, ContentStat, Driver, Entry, Error, Key, ListOptions, MemoryDriver, NotedUploads,
    Object, Share, Stat, Turn, Upload, UrlSigner, Write,
};

use crate::kit::{image, layout, name, push_of, record, sha256};

/// Notes what is written.
#[derive(Debug, Default)]
struct Recorder {
    store: MemoryDriver,
    writes: Mutex<Vec<Write>>,
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl Driver for Recorder {
    fn name(&self) -> &'static str {
        "recorder"
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        self.store.stat(key).await
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        self.store.read(key, range).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.writes.lock().unwrap().extend_from_slice(writes);
        self.store.write(writes).await
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        self.store.upload(key).await
    }

    async fn upload_apart(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        self.store.upload_apart(key).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        self.store.rename(from, to).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.store.delete(key).await
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        self.store.list(prefix, options).await
    }

    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        self.store.delete_if(key, seen).await
    }

    async fn turn(&self, name: &str, share: Share) -> Result<Option<Turn>, Error> {
        self.store.turn(name, share).await
    }

    async fn abandon(&self, prefix: &Key, since: SystemTime) -> Result<usize, Error> {
        self.store.abandon(prefix, since).await
    }

    fn has_directories(&self) -> bool {
        self.store.has_directories()
    }

    fn noted_uploads(&self) -> Option<&dyn NotedUploads> {
        self.store.noted_uploads()
    }

    fn signer(&self) -> Option<&dyn UrlSigner> {
        self.store.signer()
    }
}

/// The writes of a push, in their order.
async fn writes_of(push: &ManifestPush) -> Vec<Write> {
    let recorder = Arc::new(Recorder::default());
    let layout = Layout::new(Arc::clone(&recorder) as Arc<dyn Driver>, Options::default());
    layout.record(push).await.unwrap();
    recorder.writes.lock().unwrap().clone()
}

/// What names something leads to all that it is made of.
async fn assert_whole(layout: &Layout, push: &ManifestPush, step: usize) {
    let name = &push.repository;
    let is_there = async |reference: Reference| {
        let found = layout.manifest(name, &reference).await.unwrap();
        assert!(found.is_some(), "{reference} after {step} writes");
    };
    for tag in &push.tags {
        if let Some(digest) = layout.tag(name, tag).await.unwrap() {
            let revision = layout.revision(name, &digest).await.unwrap();
            assert_eq!(revision.as_ref(), Some(&digest), "{tag} after {step}");
            is_there(Reference::Tag(tag.clone())).await;
        }
    }
    for digest in [&push.manifest.digest].into_iter().chain(&push.alias) {
        if layout.revision(name, digest).await.unwrap().is_some() {
            is_there(Reference::Digest(digest.clone())).await;
            assert_eq!(referrers(layout, push).await, 1, "edges after {step}");
        }
    }
}

async fn referrers(layout: &Layout, push: &ManifestPush) -> usize {
    let query = ReferrerQuery {
        subject: &subject(),
        artifact_type: None,
        page: Page::ALL,
    };
    let edges = layout.referrers(&push.repository, query).await.unwrap();
    edges.len()
}

fn subject() -> Digest {
    sha256(b"subject")
}

#[tokio::test]
async fn what_a_push_has_written_so_far_points_to_nothing_that_is_not_there() {
    let (app, tags) = (name("app"), ["a", "b"]);
    let (old, new) = (image("old", None), image("new", Some(&subject())));
    let mut push = push_of(&app, &new, &tags);
    push.alias = Some(Digester::digest(Algorithm::Sha512, &new));
    for fixed in [&tags[..0], &tags[..1], &tags] {
        push.fixed = fixed.iter().map(|tag| tag.parse().unwrap()).collect();
        let writes = writes_of(&push).await;
        for step in 0..=writes.len() {
            let driver = MemoryDriver::new();
            let layout = layout(&driver);
            // Those of the tags that may be moved point to another manifest before.
            record(&layout, &app, &old, &tags[fixed.len()..]).await;
            // From here on no manifest is asked for an edge that was not written.
            assert_eq!(referrers(&layout, &push).await, 0);
            driver.write(&writes[..step]).await.unwrap();
            assert_whole(&layout, &push, step).await;
        }
        let all: Vec<Tag> = push.tags.clone();
        assert!(writes.len() > 2 * all.len() + 3, "{writes:?}");
    }
}
