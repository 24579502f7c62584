//! The second half: deleting what is not kept.

use std::time::SystemTime;

use roadstead_metadata::Page;
use roadstead_oci::Digest;
use roadstead_storage::{DriverExt, Key};

use super::mark::{EligibleManifest, Marks, mark_new};
use super::{Finding, Summary};
use crate::Error;
use crate::registry::Registry;

/// Blobs without any repository are a store that is not whole, a folder that is not mounted for
/// example; not one in which everything is garbage.
const NO_REPOSITORY: &str = "there are blobs but no repository: nothing is deleted";

/// How many blobs are listed in one go.
const PAGE: usize = 1000;

/// Deletes manifests, then links, then, after a second look at the manifests, bytes.
pub(super) async fn sweep(
    registry: &Registry,
    mut marks: Marks,
    dry_run: bool,
    cutoff: SystemTime,
    report: &mut (dyn FnMut(Finding) + Send),
) -> Result<Summary, Error> {
    let unmarked = unmarked_blobs(registry, &marks, cutoff).await?;
    if marks.seen.is_empty() && !unmarked.is_empty() {
        return Err(Error::Unavailable(NO_REPOSITORY.into()));
    }
    let summary = Summary {
        marked: marks.marked.len(),
        blobs: unmarked.len(),
        manifests: marks.manifests.len(),
    };
    if !dry_run {
        sweep_manifests(registry, &marks.manifests).await?;
        sweep_links(registry, &marks).await?;
        mark_new(registry, &mut marks, cutoff).await?;
    }
    report(Finding::Marked(summary));
    for digest in unmarked {
        report(Finding::BlobEligible(digest.clone()));
        if !dry_run {
            sweep_blob(registry, &marks, &digest, cutoff, report).await?;
        }
    }
    for (repository, digest) in std::mem::take(&mut marks.links) {
        report(Finding::LinkEligible(repository, digest));
    }
    Ok(summary)
}

async fn unmarked_blobs(
    registry: &Registry,
    marks: &Marks,
    cutoff: SystemTime,
) -> Result<Vec<Digest>, Error> {
    let metadata = &registry.parts().metadata;
    let mut unmarked = Vec::new();
    let mut after: Option<Digest> = None;
    loop {
        let page = Page {
            after: after.as_ref().map(Digest::as_str),
            limit: PAGE,
        };
        let blobs = metadata.blobs(page).await?;
        let Some(last) = blobs.last() else {
            return Ok(unmarked);
        };
        after = Some(last.digest.clone());
        let is_garbage =
            |digest: &Digest| !marks.marked.contains(digest) && !marks.kept.contains(digest);
        let blobs = blobs.into_iter().filter(|blob| blob.modified < cutoff);
        unmarked.extend(blobs.map(|blob| blob.digest).filter(is_garbage));
    }
}

/// Deletes manifests that are still without a tag.
async fn sweep_manifests(registry: &Registry, eligible: &[EligibleManifest]) -> Result<(), Error> {
    let metadata = &registry.parts().metadata;
    for manifest in eligible {
        let EligibleManifest {
            repository,
            digest,
            subject,
            ..
        } = manifest;
        let mut is_tagged = false;
        for tag in metadata
            .tags(repository, Page::ALL)
            .await?
            .unwrap_or_default()
        {
            is_tagged |= metadata.tag(repository, &tag).await?.as_ref() == Some(digest);
        }
        if !is_tagged {
            metadata
                .sweep_manifest(repository, digest, subject.as_ref())
                .await?;
        }
    }
    Ok(())
}

async fn sweep_links(registry: &Registry, marks: &Marks) -> Result<(), Error> {
    for (repository, digest) in &marks.links {
        registry.parts().metadata.unlink(repository, digest).await?;
    }
    Ok(())
}

/// Deletes a blob that is still unmarked and still old.
async fn sweep_blob(
    registry: &Registry,
    marks: &Marks,
    digest: &Digest,
    cutoff: SystemTime,
    report: &mut (dyn FnMut(Finding) + Send),
) -> Result<(), Error> {
    let parts = registry.parts();
    if marks.marked.contains(digest) || marks.kept.contains(digest) {
        return Ok(());
    }
    let Some(location) = parts.metadata.location(digest).await? else {
        return Ok(());
    };
    let stat = parts.driver.try_stat(&Key::new(&location)?).await?;
    if stat.is_some_and(|stat| stat.modified < cutoff) {
        parts.metadata.delete_blob(digest).await?;
        report(Finding::BlobDeleted(digest.clone(), location));
    }
    Ok(())
}
