//! Garbage collection: mark what manifests reference, sweep the rest, while clients go on.
//!
//! What keeps it safe beside pushes:
//! - Content younger than the grace age, and content of a link younger than that, is kept: the
//!   manifest of a push under way may still be on its way.
//! - Links are removed first, manifests are looked at once more, and only then are bytes deleted.
//!   Where pushes can be made to wait, a repository is swept between two of them. Elsewhere a push
//!   looks at its links after it has stored its manifest; so either the second look finds the
//!   manifest and brings back what it relies on, or the push finds the link gone and is refused.
//!   Nobody is told "stored" in vain.
//! - A manifest that cannot be read keeps all that it could reference: every blob and manifest
//!   of its repository.
//! - Anything the back end fails at ends the run; a list that is not whole deletes nothing.

mod kept;
mod lease;
mod look;
mod mark;
mod marks;
mod resume;
mod stage;
mod sweep;

pub use resume::Collected;

use std::time::{Duration, SystemTime};

use roadstead_oci::{Digest, RepositoryName, Tag};
use roadstead_storage::{Share, Turn};
use tokio::sync::MutexGuard;

use crate::Error;
use crate::collect::stage::Stage;
use crate::registry::Registry;

/// How to collect.
#[derive(Clone, Copy, Debug)]
pub struct CollectOptions {
    /// Only say what would be deleted.
    pub dry_run: bool,
    /// Also delete manifests that no tag points to, no kept index lists and that do not refer to
    /// a kept subject.
    pub delete_untagged: bool,
    /// What is younger than this is kept.
    pub grace: Duration,
}

/// What a run comes upon, in the order in which it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A repository is looked at.
    Repository(RepositoryName),
    /// A manifest is kept.
    ManifestMarked(RepositoryName, Digest),
    /// A blob, or a manifest as a part of another one, is kept.
    BlobMarked(RepositoryName, Digest),
    /// A manifest could not be read: all of its repository is kept.
    Unreadable(RepositoryName, Digest),
    /// A manifest is to be deleted; with the tags of its repository, which may remember it.
    ManifestEligible(RepositoryName, Digest, Vec<Tag>),
    /// All is marked.
    Marked(Summary),
    /// A blob is to be deleted.
    BlobEligible(Digest),
    /// A blob is deleted; with the place of its content.
    BlobDeleted(Digest, String),
    /// A repository's link to a blob is to be deleted.
    LinkEligible(RepositoryName, Digest),
}

/// Figures of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Digests that manifests reference, and the manifests.
    pub marked: usize,
    /// Blobs to be deleted.
    pub blobs: usize,
    /// Manifests to be deleted.
    pub manifests: usize,
}

impl Registry {
    /// Deletes what no manifest references; each finding is given to `report` as it is made.
    ///
    /// May be run at any time, and may stop anywhere: the next run goes on. Over a back end with
    /// locks, and within a process, one run waits for another; elsewhere two at once are safe for
    /// what is pushed within the grace age alone, whereas [`Registry::collect_garbage_while`] keeps
    /// itself from others.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] only.
    pub async fn collect_garbage(
        &self,
        options: CollectOptions,
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Summary, Error> {
        let _turn = self.collection_turn(options).await?;
        let mut stage = Stage::first(options);
        loop {
            let summary = stage.go_on(self, options, &|| true, report).await?;
            if let Some(summary) = summary {
                return Ok(summary);
            }
        }
    }

    /// Waits until no other collection goes on. One that brings a link back would make a push rely
    /// on bytes that the other one is about to delete; a dry run does neither, nor does it write.
    async fn collection_turn(
        &self,
        options: CollectOptions,
    ) -> Result<Option<(MutexGuard<'_, ()>, Option<Turn>)>, Error> {
        if options.dry_run {
            return Ok(None);
        }
        let here = self.parts().collecting.lock().await;
        let everywhere = self.parts().driver.turn("collection", Share::Alone).await?;
        Ok(Some((here, everywhere)))
    }
}

/// What was stored since then is young.
fn cutoff(grace: Duration) -> SystemTime {
    let cutoff = SystemTime::now().checked_sub(grace);
    cutoff.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Whether there is time for another step.
type GoOn<'a> = &'a (dyn Fn() -> bool + Sync);
