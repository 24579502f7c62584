//! The second half: deleting what is not kept.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::SystemTime;

use roadstead_metadata::{ManifestPush, ManifestRecord, Page, Referrer, Sweep};
use roadstead_oci::{Digest, Manifest, Reference, RepositoryName};
use roadstead_storage::{DriverExt, Key};

use super::Finding;
use super::look::{Needed, look_again};
use super::marks::{Eligible, EligibleManifest, Marks};
use super::stage::Run;
use crate::Error;
use crate::registry::Registry;
use crate::tags::tagged;

/// Manifests as they were before they were swept.
type Records = HashMap<Digest, ManifestRecord>;

/// How many blobs are listed in one go.
const PAGE: usize = 1000;

/// Goes on with listing old blobs that are not marked, as long as there is time; whether that is
/// done.
pub(super) async fn list_unmarked(
    run: &mut Run<'_>,
    marks: &Marks,
    unmarked: &mut VecDeque<Digest>,
    after: &mut Option<Digest>,
) -> Result<bool, Error> {
    let metadata = &run.registry.parts().metadata;
    loop {
        let page = Page {
            after: after.as_ref().map(Digest::as_str),
            limit: PAGE,
        };
        let blobs = metadata.blobs(page).await?;
        let Some(last) = blobs.last() else {
            return Ok(true);
        };
        *after = Some(last.digest.clone());
        let is_garbage = |digest: &Digest| !marks.keeps(digest);
        let blobs = blobs.into_iter().filter(|blob| blob.modified < run.cutoff);
        unmarked.extend(blobs.map(|blob| blob.digest).filter(is_garbage));
        if !(run.go_on)() {
            return Ok(false);
        }
    }
}

/// Goes on with taking manifests and links out of repositories, as long as there is time; whether
/// that is done.
pub(super) async fn take_out(run: &mut Run<'_>, marks: &mut Marks) -> Result<bool, Error> {
    while let Some(repository) = marks.eligible.keys().next().cloned() {
        if !take_out_of(run, marks, &repository).await? || !(run.go_on)() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Goes on with another look at all repositories, after the one that was looked at last, as long
/// as there is time; whether that is done.
///
/// A repository need not be looked at twice, however much later bytes are deleted. What is pushed
/// into it after the look relies on links that its own look at them finds; of each of these blobs
/// is true:
/// - The link is old, and was there at the first look: it was taken out, unless its blob is marked.
///   No manifest relies on a link that is gone.
/// - It was made since, but before this look, which saw that it is young: its blob is kept.
/// - It was made after this look, by an upload: the bytes are young, and stay.
/// - It was made after this look, by a mount, which has found the link of another repository after
///   that: the same is true of that link, or it is young and still to be seen.
///
/// The last one holds unless a client deletes the young link before it is seen, which would have
/// to be the only one of an old blob. That is so within one call as well.
pub(super) async fn look_at_all(
    run: &mut Run<'_>,
    marks: &mut Marks,
    after: &mut Option<RepositoryName>,
) -> Result<bool, Error> {
    let metadata = &run.registry.parts().metadata;
    loop {
        let page = metadata.repositories_after(after.as_ref()).await?;
        if page.is_empty() {
            return Ok(true);
        }
        for repository in page {
            // A push may have stored the bytes of its manifest, and nothing else yet.
            let pushes_wait = metadata.sweep(&repository).await?;
            look_again(run.registry, marks, &repository, run.cutoff).await?;
            drop(pushes_wait);
            *after = Some(repository);
            if !(run.go_on)() {
                return Ok(false);
            }
        }
    }
}

/// Goes on with deleting bytes, as long as there is time; whether that is done.
pub(super) async fn delete_unmarked(
    run: &mut Run<'_>,
    marks: &Marks,
    unmarked: &mut VecDeque<Digest>,
) -> Result<bool, Error> {
    while let Some(digest) = unmarked.front() {
        (run.report)(Finding::BlobEligible(digest.clone()));
        if !run.options.dry_run {
            sweep_blob(run, marks, digest).await?;
        }
        unmarked.pop_front();
        if !(run.go_on)() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Deletes the manifests and links of one repository, and brings back those that a push, checked
/// before they were gone, relies on; whether there was time for all of its links.
async fn take_out_of(
    run: &mut Run<'_>,
    marks: &mut Marks,
    repository: &RepositoryName,
) -> Result<bool, Error> {
    let Run {
        registry, cutoff, ..
    } = *run;
    let metadata = &registry.parts().metadata;
    // A push that began before `cutoff` may have stored an old manifest whose tag is still to come,
    // and one that comes now would find links that are about to go.
    let sweep = metadata.sweep(repository).await?;
    let mut eligible = marks.eligible.remove(repository).unwrap_or_default();
    if !eligible.manifests.is_empty() {
        let tags = tagged(registry, repository).await?;
        let tagged = tags.into_iter().map(|(_, digest)| digest);
        marks.marked.extend(tagged);
    }
    let needed = look_again(registry, marks, repository, cutoff).await?;
    // A call before this one may have ended between taking links out and bringing them back.
    for digest in eligible.links.iter().filter(|digest| needed.has(digest)) {
        if metadata.linked(repository, digest).await?.is_none() {
            sweep.link(digest).await?;
        }
    }
    eligible.spare_what_is_needed(marks);
    let Eligible {
        manifests,
        mut links,
    } = eligible;
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
    let mut gone = 0;
    for digest in &links {
        sweep.unlink(digest, cutoff).await?;
        gone += 1;
        if !(run.go_on)() {
            break;
        }
    }
    let left = links.split_off(gone);
    registry.parts().recent.forget(repository);
    let needed = look_again(registry, marks, repository, cutoff).await?;
    let (of, manifests) = ((repository, &*sweep), (manifests, records));
    let needed = bring_back(registry, marks, of, manifests, needed, cutoff).await?;
    for digest in links.iter().filter(|digest| needed.has(digest)) {
        sweep.link(digest).await?;
    }
    if left.is_empty() {
        return Ok(true);
    }
    let left = Eligible {
        links: left,
        ..Eligible::default()
    };
    marks.eligible.insert(repository.clone(), left);
    Ok(false)
}

/// Stores those of `manifests` again that are needed, or were pushed meanwhile, and what refers
/// to them; returns what is needed then.
async fn bring_back(
    registry: &Registry,
    marks: &mut Marks,
    (repository, sweep): (&RepositoryName, &dyn Sweep),
    (manifests, mut records): (Vec<EligibleManifest>, Records),
    needed: Needed,
    cutoff: SystemTime,
) -> Result<Needed, Error> {
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
                store_again(sweep, repository, record).await?;
            }
            needed.insert(manifest.digest.clone());
            needed.extend(manifest.contents.parts);
            back.insert(manifest.digest);
        }
    }
    marks.marked.extend(needed.iter().cloned());
    Ok(match all {
        true => Needed::All,
        false => Needed::Only(needed),
    })
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
    repository: &RepositoryName,
    record: ManifestRecord,
) -> Result<(), Error> {
    let Ok(view) = Manifest::read(&record.bytes) else {
        return Ok(());
    };
    let push = ManifestPush {
        repository: repository.clone(),
        referrer: Referrer::of(&view, &record),
        manifest: record,
        alias: None,
        tags: Vec::new(),
        fixed: BTreeSet::new(),
    };
    Ok(sweep.restore(&push).await?)
}

/// Deletes a blob that is still unmarked and still old.
async fn sweep_blob(run: &mut Run<'_>, marks: &Marks, digest: &Digest) -> Result<(), Error> {
    let (parts, cutoff) = (run.registry.parts(), run.cutoff);
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
        (run.report)(Finding::BlobDeleted(digest.clone(), location));
    }
    Ok(())
}
