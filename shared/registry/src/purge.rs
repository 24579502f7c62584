//! Purging uploads that nobody will finish.

use std::time::{Duration, SystemTime};

use futures_util::{StreamExt, stream};
use roadstead_metadata::{Page, Repositories};
use roadstead_oci::RepositoryName;
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
            let mut ended = Vec::new();
            for upload in metadata.uploads(&repository).await? {
                if upload
                    .started_at
                    .is_none_or(|started_at| started_at >= oldest)
                {
                    continue;
                }
                if upload.is_ended {
                    ended.push(upload.id);
                    continue;
                }
                tracing::info!(repository.name = %repository, upload = %upload.id, dry_run, "purging an upload");
                if dry_run {
                    purged.deleted += 1;
                    continue;
                }
                match metadata.purge(&repository, &upload.id).await {
                    Ok(()) => purged.deleted += 1,
                    Err(error) => {
                        purged.errors += 1;
                        tracing::error!(repository.name = %repository, upload = %upload.id, %error, "an upload cannot be purged");
                    }
                }
            }
            if !dry_run {
                purged.errors += self.clear_ended(&repository, ended).await;
            }
        }
        if !dry_run {
            purged.errors += self.abandon_uploads(oldest).await;
        }
        Ok(purged)
    }

    /// Removes what may be left of uploads that have ended; how often that failed.
    async fn clear_ended(&self, repository: &RepositoryName, ids: Vec<String>) -> usize {
        /// How many at once, as there may be one for each blob that was pushed lately.
        const AT_ONCE: usize = 16;
        let metadata = &self.parts().metadata;
        let clearing = stream::iter(ids).map(|id| async move {
            let cleared = metadata.purge(repository, &id).await;
            if let Err(error) = &cleared {
                tracing::error!(repository.name = %repository, upload = %id, %error, "what is left of an ended upload cannot be purged");
            }
            usize::from(cleared.is_err())
        });
        let clearing = clearing.buffer_unordered(AT_ONCE);
        clearing.fold(0, async |sum, one| sum + one).await
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
