//! The suite that every driver passes, over an emulator of S3 and over OpenStack Swift's S3.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use roadstead_storage::{Driver, testkit};
use roadstead_storage_s3::{Config, S3Driver};
use support::Folder;

struct Bucket {
    folder: Folder,
    change: fn(&mut Config),
}

#[async_trait]
impl testkit::Store for Bucket {
    fn driver(&self) -> Arc<dyn Driver> {
        let mut config = self.folder.config();
        (self.change)(&mut config);
        Arc::new(S3Driver::new(config).unwrap())
    }

    fn creates_exactly(&self) -> bool {
        // Swift looks whether there is an object, and then writes it.
        !self.folder.is_in_swift()
    }

    async fn leftovers(&self) -> Vec<String> {
        let objects = self.folder.objects().await;
        let own = objects
            .into_iter()
            .filter(|name| name.contains(".roadstead-"));
        own.chain(self.folder.multiparts().await).collect()
    }
}

macro_rules! store {
    ($folder:expr, $change:expr) => {
        match $folder.await {
            Some(folder) => Bucket {
                folder,
                change: $change,
            },
            None => return Ok(()),
        }
    };
}

mod with_the_defaults {
    use super::*;
    testkit::suite!(store!(Folder::new(), |_| {}));
}

mod with_the_smallest_parts {
    use super::*;
    testkit::suite!(store!(Folder::new(), |config| {
        config.chunk_size = 5 * 1024 * 1024;
        config.copy_chunk_size = 5 * 1024 * 1024;
        config.copy_threshold = 0;
    }));
}

mod in_a_stricter_store {
    use super::*;
    testkit::suite!(store!(Folder::in_swift(), |config| {
        config.chunk_size = 5 * 1024 * 1024;
    }));
}
