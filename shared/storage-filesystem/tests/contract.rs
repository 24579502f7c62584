//! The suite that every driver passes, with a journal, with syncs and without.

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

mod with_a_journal {
    use super::*;
    testkit::suite!(Tree::new(Sync::Journal));
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

/// Two collections at once: one deletes the file, and the other fails by that at no moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_deletions_that_meet_one_finds_the_content() {
    use roadstead_storage::testkit::Store;
    use roadstead_storage::{DriverExt, Key};
    let tree = Tree::new(Sync::Never);
    let drivers = [tree.driver(), tree.driver(), tree.driver()];
    for round in 0..1000 {
        let key = Key::new(&format!("blobs/{round}/data")).unwrap();
        drivers[0].put(&key, "old".into()).await.unwrap();
        let seen = drivers[0].try_stat(&key).await.unwrap().unwrap();
        let deletions = drivers.each_ref().map(|driver| {
            let (driver, key) = (Arc::clone(driver), key.clone());
            tokio::spawn(async move { driver.delete_if(&key, &seen).await })
        });
        let mut deleted = 0;
        for deletion in deletions {
            deleted += usize::from(deletion.await.unwrap().unwrap());
        }
        assert_eq!(deleted, 1, "round {round}");
    }
    assert_eq!(tree.leftovers().await, [""; 0]);
}

/// Two drivers, as two processes would have them.
#[tokio::test]
async fn a_turn_is_taken_alone_or_shared_with_others() {
    use roadstead_storage::Share;
    use roadstead_storage::testkit::Store;
    let tree = Tree::new(Sync::Never);
    let (one, other) = (tree.driver(), tree.driver());
    for _ in 0..3 {
        let shared = one.turn("a", Share::Shared).await.unwrap().unwrap();
        let also = other.turn("a", Share::Shared).await.unwrap().unwrap();
        let elsewhere = other.turn("b", Share::Alone).await.unwrap().unwrap();
        drop((shared, elsewhere));
        let mut waiting = one.turn("a", Share::Alone);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("another has the turn"),
            () = tokio::task::yield_now() => {}
        }
        drop(also);
        let alone = waiting.await.unwrap().unwrap();
        let mut waiting = other.turn("a", Share::Shared);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("another has the turn alone"),
            () = tokio::task::yield_now() => {}
        }
        drop(alone);
        waiting.await.unwrap().unwrap();
    }
}

/// However many there are.
#[test]
fn who_waits_for_a_turn_keeps_nobody_else_from_the_disk() {
    use std::time::Duration;

    use roadstead_storage::testkit::Store;
    use roadstead_storage::{DriverExt, Key, Share};
    const THREADS: usize = 3;
    let tree = Tree::new(Sync::Never);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.max_blocking_threads(THREADS).enable_time();
    let runtime = runtime.build().unwrap();
    let work = async {
        let (one, other) = (tree.driver(), tree.driver());
        let alone = other.turn("a", Share::Alone).await.unwrap().unwrap();
        let waiting: Vec<_> = (0..2 * THREADS)
            .map(|_| {
                let one = Arc::clone(&one);
                tokio::spawn(async move { one.turn("a", Share::Shared).await.map(drop) })
            })
            .collect();
        for round in 0..50 {
            let key = Key::new(&format!("file/{round}")).unwrap();
            one.put(&key, "content".into()).await.unwrap();
        }
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        drop(alone);
        for waiting in waiting {
            waiting.await.unwrap().unwrap();
        }
    };
    let ended =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), work).await });
    ended.unwrap();
}

/// What is collected is what has been content for long, not what was sent long ago.
#[tokio::test]
async fn content_is_as_old_as_its_commit() {
    use std::time::{Duration, SystemTime};

    use roadstead_storage::testkit::Store;
    use roadstead_storage::{DriverExt, Key};
    let tree = Tree::new(Sync::Never);
    let driver = tree.driver();
    let key = Key::new("u/1/data").unwrap();
    let mut upload = driver.upload(&key).await.unwrap();
    upload.append(&["content".into()]).await.unwrap();
    drop(upload);
    let path = tree.folder.path().join("made/by/the/driver/u/1/data");
    let file = std::fs::File::options().write(true).open(path).unwrap();
    let long_ago = SystemTime::now() - Duration::from_secs(1_000_000);
    file.set_modified(long_ago).unwrap();
    let to = Key::new("b/data").unwrap();
    driver
        .upload(&key)
        .await
        .unwrap()
        .commit_as(&to)
        .await
        .unwrap();
    let modified = driver.try_stat(&to).await.unwrap().unwrap().modified;
    assert!(modified > long_ago + Duration::from_secs(900_000));
}
