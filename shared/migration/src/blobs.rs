//! The contents of blobs: found where the source has them, pointed to or moved.

use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::Page;
use roadstead_oci::{Algorithm, Digest, Digester};
use roadstead_storage::{DriverExt, Key};

use crate::migration::{AT_ONCE, Error, Report, Stores};
use crate::{Finding, Summary};

/// Whose places count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// The source's: the target points there.
    Import,
    /// The target's: the source points there afterwards.
    Export,
}

/// What became of one blob.
enum Placed {
    Present,
    Added,
    Missing,
}

impl Stores<'_> {
    pub(crate) async fn blobs(&self, way: Way, report: Report<'_>) -> Result<Summary, Error> {
        const LIMIT: usize = 1000;
        let mut summary = Summary::default();
        let mut after: Option<Digest> = None;
        loop {
            let page = Page {
                after: after.as_ref().map(Digest::as_str),
                limit: LIMIT,
            };
            let blobs = self.source.blobs(page).await?;
            let Some(last) = blobs.last() else {
                return Ok(summary);
            };
            after = Some(last.digest.clone());
            let placed = stream::iter(blobs)
                .map(async |blob| {
                    Ok::<_, Error>((self.blob(&blob.digest, way).await?, blob.digest))
                })
                .buffered(AT_ONCE);
            let placed: Vec<_> = placed.try_collect().await?;
            for (placed, digest) in placed {
                match placed {
                    Placed::Present => summary.contents += 1,
                    Placed::Added => {
                        summary.contents += 1;
                        summary.contents_added += 1;
                    }
                    Placed::Missing => {
                        summary.left_out += 1;
                        report(Finding::BlobMissing(digest));
                    }
                }
            }
            report(Finding::Blobs(summary.contents + summary.left_out));
        }
    }

    async fn blob(&self, digest: &Digest, way: Way) -> Result<Placed, Error> {
        let source = self.source.location(digest).await?;
        let Some(source) = source else {
            return Ok(Placed::Missing);
        };
        let target = self.target.location(digest).await?;
        match way {
            Way::Import => self.point(digest, &source, target.as_deref()).await,
            Way::Export => self.bring_home(digest, &source, target.as_deref()).await,
        }
    }

    /// Leaves a target that has the content elsewhere.
    async fn point(
        &self,
        digest: &Digest,
        source: &str,
        target: Option<&str>,
    ) -> Result<Placed, Error> {
        if target == Some(source) {
            return Ok(Placed::Present);
        }
        if let Some(target) = target
            && self.size(digest, target).await?.is_some()
        {
            return Ok(Placed::Present);
        }
        let Some(size) = self.size(digest, source).await? else {
            return Ok(Placed::Missing);
        };
        self.target.place(digest, source, size).await?;
        Ok(Placed::Added)
    }

    /// Where a move was done and the source does not know of it yet, it is told now.
    async fn bring_home(
        &self,
        digest: &Digest,
        source: &str,
        target: Option<&str>,
    ) -> Result<Placed, Error> {
        let (home, size) = match (self.size(digest, source).await?, target) {
            (Some(_), Some(target)) if target == source => return Ok(Placed::Present),
            (Some(size), _) => (self.target.place(digest, source, size).await?, size),
            (None, Some(target)) => match self.size(digest, target).await? {
                Some(size) => (target.to_owned(), size),
                None => return Ok(Placed::Missing),
            },
            (None, None) => return Ok(Placed::Missing),
        };
        self.source.place(digest, &home, size).await?;
        Ok(Placed::Added)
    }

    /// How many bytes lie at `key`. None at all, such as a crash of another registry can leave,
    /// are no content but that of the empty blob.
    async fn size(&self, digest: &Digest, key: &str) -> Result<Option<u64>, Error> {
        let stat = self.driver.try_stat(&Key::new(key)?).await?;
        let is_content = |size: &u64| *size > 0 || *digest == empty();
        Ok(stat.map(|stat| stat.size).filter(is_content))
    }
}

fn empty() -> Digest {
    Digester::digest(Algorithm::Sha256, b"")
}
