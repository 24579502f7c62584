//! The bytes that rows of the table point to, in the storage driver.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_metadata_dynamodb::{Contents, ContentsError};
use roadstead_oci::MAX_MANIFEST_SIZE;
use roadstead_storage::{Driver, DriverExt, Key, ListOptions};

#[derive(Debug)]
pub(super) struct Stored(pub(super) Arc<dyn Driver>);

#[async_trait]
impl Contents for Stored {
    async fn read(&self, key: &str) -> Result<Option<Bytes>, ContentsError> {
        Ok(self.0.try_get(&Key::new(key)?, MAX_MANIFEST_SIZE).await?)
    }

    async fn write(&self, key: &str, content: Bytes) -> Result<(), ContentsError> {
        Ok(self.0.put(&Key::new(key)?, content).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), ContentsError> {
        self.0.try_delete(&Key::new(key)?).await?;
        Ok(())
    }

    async fn delete_others(&self, prefix: &str, kept: &str) -> Result<(), ContentsError> {
        let (prefix, kept) = (Key::new(prefix)?, Key::new(kept)?);
        let entries = match self.0.list(&prefix, ListOptions::ALL).await {
            Err(roadstead_storage::Error::NotFound(_)) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let key = prefix.join(&entry.name)?;
            if key != kept {
                self.0.try_delete(&key).await?;
            }
        }
        Ok(())
    }
}
