//! The suite that every driver passes, with syncs and without.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use roadstead_storage::{Driver, testkit};
use roadstead_storage_filesystem::{Config, FilesystemDriver, Sync};
use tempfile::TempDir;

struct Tree {
    folder: TempDir,
    sync: Sync,
}

impl Tree {
    fn new(sync: Sync) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, sync }
    }

    /// On a filesystem in memory if there is one, whose files cannot be read without waiting.
    fn in_memory() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
        let (folder, sync) = (folder.unwrap(), Sync::Always);
        Self { folder, sync }
    }
}

#[async_trait]
impl testkit::Store for Tree {
    fn driver(&self) -> Arc<dyn Driver> {
        let config = Config {
            root: self.folder.path().join("made/by/the/driver"),
            sync: self.sync,
            ..Config::default()
        };
        Arc::new(FilesystemDriver::new(config).unwrap())
    }

    async fn leftovers(&self) -> Vec<String> {
        temporary_files(self.folder.path())
    }
}

fn temporary_files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(temporary_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "tmp") {
            found.push(path.display().to_string());
        }
    }
    found
}

mod with_syncs {
    use super::*;
    testkit::suite!(Tree::new(Sync::Always));
}

mod without_syncs {
    use super::*;
    testkit::suite!(Tree::new(Sync::Never));
}

mod in_memory {
    use super::*;
    testkit::suite!(Tree::in_memory());
}

/// Two drivers, as two processes would have them: of deleting and writing at the same time, what
/// was written is there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_the_old_is_deleted_stays() {
    use roadstead_storage::testkit::Store;
    use roadstead_storage::{DriverExt, Key};
    let tree = Tree::new(Sync::Never);
    let (one, other) = (tree.driver(), tree.driver());
    let key = Key::new("blobs/b/data").unwrap();
    for _ in 0..300 {
        one.put(&key, "old".into()).await.unwrap();
        let seen = one.try_stat(&key).await.unwrap().unwrap();
        let write = tokio::spawn({
            let (other, key) = (Arc::clone(&other), key.clone());
            async move { other.put(&key, "new content".into()).await }
        });
        one.delete_if(&key, &seen).await.unwrap();
        write.await.unwrap().unwrap();
        assert_eq!(one.get(&key, 99).await.unwrap(), "new content");
    }
    assert_eq!(tree.leftovers().await, [""; 0]);
}
