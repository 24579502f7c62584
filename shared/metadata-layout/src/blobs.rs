//! Where the bytes of blobs lie.

use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_metadata::{
    Adoption, BlobStore, Error, LinkStore, Page, StoredBlob, UploadBytes, UploadStore,
};
use roadstead_oci::Digest;
use roadstead_storage::{DriverExt, Key, ListOptions};

use crate::layout::{Layout, unavailable};
use crate::paths;

#[async_trait]
impl BlobStore for Layout {
    async fn location(&self, digest: &Digest) -> Result<Option<String>, Error> {
        let key = paths::blob_data(digest).map_err(unavailable)?;
        Ok(Some(key.as_str().to_owned()))
    }

    /// A crash in between leaves the blob, and an upload without bytes.
    async fn adopt(&self, adoption: &Adoption<'_>) -> Result<(), Error> {
        let Adoption {
            session, digest, ..
        } = adoption;
        let from = Key::new(adoption.location).map_err(unavailable)?;
        let to = paths::blob_data(digest).map_err(unavailable)?;
        let turn = self.blob_turn(digest).read().await;
        match self.driver.rename(&from, &to).await {
            // Another process has it, which may be about to end the upload.
            Err(roadstead_storage::Error::NotFound(_)) => return Err(Error::Busy),
            moved => moved.map_err(unavailable)?,
        }
        drop(turn);
        let name = &session.repository;
        self.link(name, digest, adoption.alias).await?;
        self.end(name, &session.id).await
    }

    async fn take_in(&self, digest: &Digest, upload: &mut dyn UploadBytes) -> Result<bool, Error> {
        let to = paths::blob_data(digest).map_err(unavailable)?;
        let _turn = self.blob_turn(digest).read().await;
        upload.commit_as(to.as_str()).await?;
        Ok(true)
    }

    async fn place(&self, digest: &Digest, location: &str, _size: u64) -> Result<String, Error> {
        let to = paths::blob_data(digest).map_err(unavailable)?;
        let from = Key::new(location).map_err(unavailable)?;
        if from != to {
            let _turn = self.blob_turn(digest).read().await;
            self.driver.rename(&from, &to).await.map_err(unavailable)?;
        }
        Ok(to.as_str().to_owned())
    }

    async fn blobs(&self, page: Page<'_>) -> Result<Vec<StoredBlob>, Error> {
        let root = paths::blobs().map_err(unavailable)?;
        let after = page.after.map(|after| after.trim_start_matches("sha256:"));
        let mut found = Vec::new();
        for shard in self.names(&root, ListOptions::ALL).await? {
            if after.is_some_and(|after| shard.as_str() < after.get(..2).unwrap_or(after)) {
                continue;
            }
            let prefix = root.join(&shard).map_err(unavailable)?;
            let mut after = after.map(str::to_owned);
            while found.len() < page.limit {
                let options = ListOptions {
                    after: after.as_deref(),
                    limit: page.limit - found.len(),
                };
                let names = self.names(&prefix, options).await?;
                let is_end = names.len() < options.limit;
                for hex in &names {
                    found.extend(self.stored_blob(hex).await?);
                }
                after = names.into_iter().next_back();
                if is_end {
                    break;
                }
            }
        }
        Ok(found)
    }

    async fn sweep_blob(&self, digest: &Digest, since: SystemTime) -> Result<bool, Error> {
        let _turn = self.blob_turn(digest).write().await;
        let key = paths::blob_data(digest).map_err(unavailable)?;
        let stat = self.driver.try_stat(&key).await.map_err(unavailable)?;
        match stat.filter(|stat| stat.modified < since) {
            // Another process may store it again just now.
            Some(seen) => self
                .driver
                .delete_if(&key, &seen)
                .await
                .map_err(unavailable),
            None => Ok(false),
        }
    }

    async fn delete_blob(&self, digest: &Digest) -> Result<bool, Error> {
        self.delete(&paths::blob(digest).map_err(unavailable)?)
            .await
    }
}

impl Layout {
    async fn stored_blob(&self, hex: &str) -> Result<Option<StoredBlob>, Error> {
        let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else {
            return Ok(None);
        };
        let key = paths::blob_data(&digest).map_err(unavailable)?;
        let stat = self.driver.try_stat(&key).await.map_err(unavailable)?;
        Ok(stat.map(|stat| StoredBlob {
            digest,
            modified: stat.modified,
            location: format!("/{key}"),
        }))
    }
}
