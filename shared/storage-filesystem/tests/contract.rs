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
