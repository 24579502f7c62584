//! The suite that every back end passes, over the driver in memory.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_metadata::{Metadata, testkit};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_storage::{
    Driver, DriverExt, EntryKind, Key, ListOptions, MemoryDriver, Write, WriteMode,
};

struct Memory {
    driver: MemoryDriver,
    options: Options,
}

impl Memory {
    fn new(cached_manifests: usize) -> Self {
        Self::over(MemoryDriver::new(), cached_manifests)
    }

    fn over(driver: MemoryDriver, cached_manifests: usize) -> Self {
        let options = Options {
            cached_manifests,
            ..Options::default()
        };
        Self { driver, options }
    }
}

#[async_trait]
impl testkit::Store for Memory {
    fn metadata(&self) -> Arc<dyn Metadata> {
        Arc::new(Layout::new(Arc::new(self.driver.clone()), self.options))
    }

    async fn put(&self, key: &str, content: Bytes) {
        let write = Write {
            key: Key::new(key).unwrap(),
            content,
            mode: WriteMode::Overwrite,
        };
        self.driver.write(&[write]).await.unwrap();
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        let key = Key::new(key).unwrap();
        self.driver.try_get(&key, u64::MAX).await.unwrap()
    }

    /// Bytes of blobs and of uploads: links of what was deleted may stay.
    async fn leftovers(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut prefixes = vec![Key::root()];
        while let Some(prefix) = prefixes.pop() {
            for entry in self.driver.list(&prefix, ListOptions::ALL).await.unwrap() {
                let key = prefix.join(&entry.name).unwrap();
                match entry.kind {
                    EntryKind::Prefix => prefixes.push(key),
                    EntryKind::Content => found.push(key.to_string()),
                }
            }
        }
        found.retain(|key| key.contains("/v2/blobs/") || key.contains("/_uploads/"));
        found
    }
}

mod with_a_cache {
    use super::*;
    testkit::suite!(Some(Memory::new(100)));
}

mod without_a_cache {
    use super::*;
    testkit::suite!(Some(Memory::new(0)));
}

mod where_uploads_carry_notes {
    use super::*;
    testkit::suite!(Some(Memory::over(MemoryDriver::with_notes(), 100)));
}
