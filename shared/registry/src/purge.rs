//! Purging uploads that nobody will finish.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::ready;
use futures_util::{StreamExt, stream};
use roadstead_metadata::{Page, Repositories, UploadRemains};
use roadstead_oci::RepositoryName;
use roadstead_storage::{DriverExt, Key};
use tokio::time::Instant;

use crate::Error;
use crate::registry::Registry;

/// Where the repository is kept up to which a purge has come, beside the registry's own tree.
const PLACE: &str = "roadstead/upload-purge";

/// How much work a call that is killed may lose, but for a repository that takes longer.
const UNKEPT: Duration = Duration::from_secs(60);

/// How many uploads are purged at once: one may have ended for each blob that was pushed lately.
const AT_ONCE: usize = 16;

/// What a purge has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Uploads that were deleted, or would have been.
    pub deleted: usize,
    /// Uploads that could not be.
    pub errors: usize,
}

/// What a call has done of a purge that may be one of many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purge {
    /// By this call.
    pub purged: Purged,
    /// Whether it has come to the last repository.
    pub is_finished: bool,
}

/// Which uploads are purged, and how.
#[derive(Clone, Copy)]
struct Purging<'a> {
    oldest: SystemTime,
    dry_run: bool,
    go_on: &'a (dyn Fn() -> bool + Sync),
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
        let purging = Purging::of(age, dry_run, &|| true);
        let metadata = &self.parts().metadata;
        let mut purged = Purged::default();
        for repository in metadata.repositories(Repositories::All, Page::ALL).await? {
            purged += self.purge_repository(&repository, purging).await?;
        }
        purged.errors += self.abandon_uploads(purging).await;
        Ok(purged)
    }

    /// Does the work of [`Registry::purge_uploads`] as long as `go_on` says so, which is asked
    /// between repositories and uploads; each call looks at one repository at least. When it has not
    /// come to the last one, the next call, by whichever process, goes on with the one after that
    /// in which it stopped: what is left there has its turn when all others had theirs.
    ///
    /// # Errors
    ///
    /// Those of [`Registry::purge_uploads`].
    pub async fn purge_uploads_while(
        &self,
        age: Duration,
        dry_run: bool,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Purge, Error> {
        let purging = Purging::of(age, dry_run, go_on);
        let metadata = &self.parts().metadata;
        let mut purged = Purged::default();
        let mut after = self.purged_up_to().await?;
        let mut kept_at = Instant::now();
        loop {
            let page = metadata.repositories_after(after.as_ref()).await?;
            if page.is_empty() {
                break;
            }
            for repository in page {
                purged += self.purge_repository(&repository, purging).await?;
                let is_over = !go_on();
                if is_over || kept_at.elapsed() >= UNKEPT {
                    self.keep_purged_up_to(&repository).await?;
                    kept_at = Instant::now();
                }
                if is_over {
                    return Ok(Purge {
                        purged,
                        is_finished: false,
                    });
                }
                after = Some(repository);
            }
        }
        let driver = &self.parts().driver;
        driver.try_delete(&Key::new(PLACE)?).await?;
        purged.errors += self.abandon_uploads(purging).await;
        Ok(Purge {
            purged,
            is_finished: true,
        })
    }

    /// Nothing also for what is damaged: then it begins at the first.
    async fn purged_up_to(&self) -> Result<Option<RepositoryName>, Error> {
        /// No name is longer.
        const MOST: u64 = 1000;
        let driver = &self.parts().driver;
        match driver.try_get(&Key::new(PLACE)?, MOST).await {
            Ok(kept) => Ok(kept.and_then(|kept| str::from_utf8(&kept).ok()?.parse().ok())),
            Err(roadstead_storage::Error::TooLarge { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn keep_purged_up_to(&self, repository: &RepositoryName) -> Result<(), Error> {
        let name = Bytes::from(repository.to_string());
        Ok(self.parts().driver.put(&Key::new(PLACE)?, name).await?)
    }

    async fn purge_repository(
        &self,
        repository: &RepositoryName,
        purging: Purging<'_>,
    ) -> Result<Purged, Error> {
        let uploads = self.parts().metadata.uploads(repository).await?;
        let is_old = |upload: &UploadRemains| {
            let started_at = upload.started_at;
            started_at.is_some_and(|started_at| started_at < purging.oldest)
        };
        let mut first = true;
        let old = stream::iter(uploads.into_iter().filter(is_old));
        let old = old.take_while(|_| ready(std::mem::take(&mut first) || (purging.go_on)()));
        let purged = old
            .map(|upload| self.purge(repository, upload, purging.dry_run))
            .buffer_unordered(AT_ONCE);
        Ok(purged
            .fold(Purged::default(), async |sum, one| sum + one)
            .await)
    }

    /// An upload that has ended is not counted: it only may have left something.
    async fn purge(
        &self,
        repository: &RepositoryName,
        upload: UploadRemains,
        dry_run: bool,
    ) -> Purged {
        let UploadRemains { id, is_ended, .. } = upload;
        if !is_ended {
            tracing::info!(repository.name = %repository, upload = %id, dry_run, "purging an upload");
        }
        let purged = match dry_run {
            true => Ok(()),
            false => self.parts().metadata.purge(repository, &id).await,
        };
        match purged {
            Ok(()) => Purged {
                deleted: usize::from(!is_ended),
                errors: 0,
            },
            Err(error) => {
                tracing::error!(repository.name = %repository, upload = %id, is_ended, %error, "an upload cannot be purged");
                Purged {
                    deleted: 0,
                    errors: 1,
                }
            }
        }
    }

    /// What crashes have left of uploads and copies where no repository shows it; how often that
    /// failed.
    async fn abandon_uploads(&self, purging: Purging<'_>) -> usize {
        if purging.dry_run {
            return 0;
        }
        let parts = self.parts();
        let Some(root) = parts.metadata.upload_root() else {
            return 0;
        };
        let abandoned = async { parts.driver.abandon(&Key::new(root)?, purging.oldest).await };
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

impl<'a> Purging<'a> {
    fn of(age: Duration, dry_run: bool, go_on: &'a (dyn Fn() -> bool + Sync)) -> Self {
        let oldest = SystemTime::now().checked_sub(age);
        Self {
            oldest: oldest.unwrap_or(SystemTime::UNIX_EPOCH),
            dry_run,
            go_on,
        }
    }
}

impl std::ops::Add for Purged {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            deleted: self.deleted + other.deleted,
            errors: self.errors + other.errors,
        }
    }
}

impl std::ops::AddAssign for Purged {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
