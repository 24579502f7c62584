//! Purging uploads that nobody will finish.

use std::time::{Duration, SystemTime};

use roadstead_metadata::{Page, Repositories};
use roadstead_storage::Key;

use crate::Error;
use crate::registry::Registry;

/// What a purge has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Uploads that were deleted, or would have been.
    pub deleted: usize,
    /// Uploads that could not be.
    pub errors: usize,
}

impl Registry {
    /// Deletes the uploads that were begun, or where that is not known were last written, more
    /// than `age` ago; also what is left of uploads that were ended half, and of what the store
    /// alone knows, which a dry run does not look for.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when uploads cannot be listed. One that cannot be deleted is
    /// logged and counted.
    pub async fn purge_uploads(&self, age: Duration, dry_run: bool) -> Result<Purged, Error> {
        let metadata = &self.parts().metadata;
        let oldest = SystemTime::now().checked_sub(age);
        let oldest = oldest.unwrap_or(SystemTime::UNIX_EPOCH);
        let mut purged = Purged::default();
        for repository in metadata.repositories(Repositories::All, Page::ALL).await? {
            for upload in metadata.uploads(&repository).await? {
                if upload
                    .started_at
                    .is_none_or(|started_at| started_at >= oldest)
                {
                    continue;
                }
                tracing::info!(repository.name = %repository, upload = %upload.id, dry_run, "purging an upload");
                if dry_run {
                    purged.deleted += 1;
                    continue;
                }
                match metadata.end(&repository, &upload.id).await {
                    Ok(()) => purged.deleted += 1,
                    Err(error) => {
                        purged.errors += 1;
                        tracing::error!(repository.name = %repository, upload = %upload.id, %error, "an upload cannot be purged");
                    }
                }
            }
        }
        if !dry_run {
            purged.errors += self.abandon_uploads(oldest).await;
        }
        Ok(purged)
    }

    /// What crashes have left of uploads and copies where no repository shows it; how often that
    /// failed.
    async fn abandon_uploads(&self, since: SystemTime) -> usize {
        let parts = self.parts();
        let Some(root) = parts.metadata.upload_root() else {
            return 0;
        };
        let abandoned = async { parts.driver.abandon(&Key::new(root)?, since).await };
        match abandoned.await {
            Ok(0) => 0,
            Ok(count) => {
                tracing::info!(count, "gave up what was left of uploads in the store");
                0
            }
            Err(error) => {
                tracing::error!(%error, "what is left of uploads in the store cannot be given up");
                1
            }
        }
    }
}
