//! The second half: deleting what is not kept.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::SystemTime;

use roadstead_metadata::{ManifestPush, ManifestRecord, Page, Referrer, Sweep};
use roadstead_oci::{Digest, Manifest, Reference, RepositoryName};
use roadstead_storage::{DriverExt, Key};

use super::mark::{EligibleManifest, Marks, Needed, look_again, repositories};
use super::{Finding, GoOn, Summary};
use crate::Error;
use crate::registry::Registry;
use crate::tags::tagged;

/// Manifests as they were before they were swept.
type Records = HashMap<Digest, ManifestRecord>;

/// Blobs without a place for repositories are a store that is not whole, as when a volume is not mounted;
/// not one in which everything is garbage.
const NO_PLACE: &str = "there are blobs, but no folder \"repositories\" beside them: nothing is deleted; \
                        if that is how it should be, create the folder";

/// How many blobs are listed in one go.
const PAGE: usize = 1000;

/// Deletes manifests and links, repository by repository, then, after another look at all of
/// them, bytes; nothing is returned when the time was up before the end. Done again with the same
/// marks, it goes on.
pub(super) async fn sweep(
    registry: &Registry,
    marks: &mut Marks,
    dry_run: bool,
    cutoff: SystemTime,
    go_on: GoOn<'_>,
    report: &mut (dyn FnMut(Finding) + Send),
) -> Result<Option<Summary>, Error> {
    let unmarked = unmarked_blobs(registry, marks, cutoff).await?;
    let is_bare = marks.seen.is_empty() && !unmarked.is_empty();
    if is_bare && !registry.parts().metadata.has_place().await? {
        return Err(Error::Unavailable(NO_PLACE.into()));
    }
    let links = marks.links.clone();
    let summary = Summary {
        marked: marks.marked.len(),
        blobs: unmarked.len(),
        manifests: marks.manifests.len(),
    };
    if !dry_run {
        for repository in affected(marks) {
            sweep_repository(registry, marks, &repository, cutoff).await?;
            marks.is_swept(&repository);
            if !go_on() {
                return Ok(None);
            }
        }
        for repository in repositories(registry).await? {
            // A push may have stored the bytes of its manifest, and nothing else yet.
            let pushes_wait = registry.parts().metadata.sweep(&repository).await?;
            look_again(registry, marks, &repository, cutoff).await?;
            drop(pushes_wait);
        }
    }
    report(Finding::Marked(summary));
    for digest in unmarked {
        report(Finding::BlobEligible(digest.clone()));
        if !dry_run {
            sweep_blob(registry, marks, &digest, cutoff, report).await?;
            if !go_on() {
                return Ok(None);
            }
        }
    }
    for (repository, digest) in links {
        report(Finding::LinkEligible(repository, digest));
    }
    Ok(Some(summary))
}

/// The repositories that lose something.
fn affected(marks: &Marks) -> BTreeSet<RepositoryName> {
    let of_manifests = marks.manifests.iter().map(|manifest| &manifest.repository);
    let of_links = marks.links.iter().map(|(repository, _)| repository);
    of_manifests.chain(of_links).cloned().collect()
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
        let is_garbage = |digest: &Digest| !marks.keeps(digest);
        let blobs = blobs.into_iter().filter(|blob| blob.modified < cutoff);
        unmarked.extend(blobs.map(|blob| blob.digest).filter(is_garbage));
    }
}

/// Deletes the manifests and links of one repository, and brings back those that a push, checked
/// before they were gone, relies on.
async fn sweep_repository(
    registry: &Registry,
    marks: &mut Marks,
    repository: &RepositoryName,
    cutoff: SystemTime,
) -> Result<(), Error> {
    let metadata = &registry.parts().metadata;
    // A push that began before `cutoff` may have stored an old manifest whose tag is still to come,
    // and one that comes now would find links that are about to go.
    let sweep = metadata.sweep(repository).await?;
    let tags = tagged(registry, repository).await?;
    marks
        .marked
        .extend(tags.into_iter().map(|(_, digest)| digest));
    look_again(registry, marks, repository, cutoff).await?;
    marks.spare_what_is_needed();
    let manifests = marks.manifests.iter();
    let manifests = manifests.filter(|manifest| manifest.repository == *repository);
    let manifests: Vec<EligibleManifest> = manifests.cloned().collect();
    let links = marks.links.iter().filter(|(of, _)| of == repository);
    let links: Vec<Digest> = links.map(|(_, digest)| digest.clone()).collect();
    let mut records = Records::new();
    for EligibleManifest {
        digest, contents, ..
    } in &manifests
    {
        // Where its bytes lie in the metadata, nothing of it is left afterwards.
        let reference = Reference::Digest(digest.clone());
        let record = metadata.manifest(repository, &reference).await?;
        records.extend(record.map(|record| (digest.clone(), record)));
        let subject = contents.subject.as_ref();
        if !sweep.manifest(digest, subject, cutoff).await? {
            // It was pushed since the look before, if it is there: the next look will tell.
            records.remove(digest);
        }
    }
    for digest in &links {
        sweep.unlink(digest, cutoff).await?;
    }
    registry.parts().recent.forget(repository);
    let needed = look_again(registry, marks, repository, cutoff).await?;
    let gone = (manifests, records);
    let is_needed = bring_back(registry, marks, &*sweep, gone, needed, cutoff).await?;
    for digest in links.iter().filter(|digest| is_needed(digest)) {
        sweep.link(digest).await?;
    }
    Ok(())
}

/// Stores those of `manifests` again that are needed, or were pushed meanwhile, and what refers
/// to them; returns which other content is needed then.
async fn bring_back(
    registry: &Registry,
    marks: &mut Marks,
    sweep: &dyn Sweep,
    (manifests, mut records): (Vec<EligibleManifest>, Records),
    needed: Needed,
    cutoff: SystemTime,
) -> Result<impl Fn(&Digest) -> bool + use<>, Error> {
    let (all, mut needed) = match needed {
        Needed::All => (true, HashSet::new()),
        Needed::Only(needed) => (false, needed),
    };
    for manifest in &manifests {
        if all || is_young(registry, &manifest.digest, cutoff).await? {
            needed.insert(manifest.digest.clone());
        }
    }
    let mut back = HashSet::new();
    let mut gone = manifests;
    loop {
        let is_needed = |manifest: &EligibleManifest| {
            let subject = manifest.contents.refers_to.as_ref();
            needed.contains(&manifest.digest)
                || subject.is_some_and(|subject| back.contains(subject))
        };
        let (returning, others): (Vec<_>, Vec<_>) = gone.into_iter().partition(is_needed);
        gone = others;
        if returning.is_empty() {
            break;
        }
        for manifest in returning {
            if let Some(record) = records.remove(&manifest.digest) {
                store_again(sweep, &manifest, record).await?;
            }
            needed.insert(manifest.digest.clone());
            needed.extend(manifest.contents.parts);
            back.insert(manifest.digest);
        }
    }
    marks.marked.extend(needed.iter().cloned());
    Ok(move |digest: &Digest| all || needed.contains(digest))
}

/// Whether the bytes of a manifest were stored since `cutoff`, as each push of it does.
async fn is_young(registry: &Registry, digest: &Digest, cutoff: SystemTime) -> Result<bool, Error> {
    let parts = registry.parts();
    let Some(location) = parts.metadata.location(digest).await? else {
        return Ok(false);
    };
    let stat = parts.driver.try_stat(&Key::new(&location)?).await?;
    Ok(stat.is_some_and(|stat| stat.modified >= cutoff))
}

async fn store_again(
    sweep: &dyn Sweep,
    manifest: &EligibleManifest,
    record: ManifestRecord,
) -> Result<(), Error> {
    let Ok(view) = Manifest::read(&record.bytes) else {
        return Ok(());
    };
    let push = ManifestPush {
        repository: manifest.repository.clone(),
        referrer: Referrer::of(&view, &record),
        manifest: record,
        alias: None,
        tags: Vec::new(),
        fixed: BTreeSet::new(),
    };
    Ok(sweep.restore(&push).await?)
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
    if marks.keeps(digest) {
        return Ok(());
    }
    let Some(location) = parts.metadata.location(digest).await? else {
        return Ok(());
    };
    // The back end decides, by a look at a time when nobody can store the blob: this one keeps those
    // who do from waiting for it.
    let stat = parts.driver.try_stat(&Key::new(&location)?).await?;
    let is_old = stat.is_some_and(|stat| stat.modified < cutoff);
    if is_old && parts.metadata.sweep_blob(digest, cutoff).await? {
        report(Finding::BlobDeleted(digest.clone(), location));
    }
    Ok(())
}
