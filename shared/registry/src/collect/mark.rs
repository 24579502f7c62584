//! The first half: what is kept.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use roadstead_metadata::{Linked, Page, Repositories};
use roadstead_oci::{Algorithm, Digest, Manifest, Reference, RepositoryName, Tag};

use super::{Finding, GoOn};
use crate::Error;
use crate::registry::Registry;
use crate::tags::tagged;

/// What a look at all repositories has found; all digests are canonical ones.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// What manifests reference, and the manifests themselves.
    pub(super) marked: HashSet<Digest>,
    /// What is kept because it, or a link to it, is young, or because a manifest cannot be read.
    pub(super) kept: HashSet<Digest>,
    /// Manifests to delete.
    pub(super) manifests: Vec<EligibleManifest>,
    /// Links to delete.
    pub(super) links: Vec<(RepositoryName, Digest)>,
    /// The manifests that were looked at.
    pub(super) seen: HashMap<RepositoryName, HashSet<Digest>>,
}

#[derive(Clone, Debug)]
pub(super) struct EligibleManifest {
    pub(super) repository: RepositoryName,
    pub(super) digest: Digest,
    pub(super) contents: Contents,
    pub(super) tags: Vec<Tag>,
}

/// What a manifest leads to.
#[derive(Clone, Debug, Default)]
pub(super) struct Contents {
    /// What it is made of, by canonical digests as far as they are known here.
    pub(super) parts: Vec<Digest>,
    /// The subject as the manifest names it.
    pub(super) subject: Option<Digest>,
    /// The subject's canonical digest.
    pub(super) refers_to: Option<Digest>,
}

/// A repository's manifest as marking needs it.
struct Known {
    revision: Linked,
    /// `None` when it cannot be read.
    contents: Option<Contents>,
}

/// What manifests need of their repository that came since the first look.
#[derive(Debug)]
pub(super) enum Needed {
    /// No one can tell.
    All,
    /// These.
    Only(HashSet<Digest>),
}

type Report<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// Looks at every repository after the one that was looked at last, as long as there is time, at
/// one at least; gives the last one when the time was up before the end.
pub(super) async fn mark(
    registry: &Registry,
    marks: &mut Marks,
    after: Option<&RepositoryName>,
    delete_untagged: bool,
    cutoff: SystemTime,
    go_on: GoOn<'_>,
    report: Report<'_>,
) -> Result<Option<RepositoryName>, Error> {
    let page = Page {
        after: after.map(RepositoryName::as_str),
        limit: usize::MAX,
    };
    let metadata = &registry.parts().metadata;
    let repositories = metadata.repositories(Repositories::All, page).await?;
    for (index, repository) in repositories.iter().cloned().enumerate() {
        if index > 0 && !go_on() {
            return Ok(Some(repositories[index - 1].clone()));
        }
        report(Finding::Repository(repository.clone()));
        let mut one = Marker {
            registry,
            repository: &repository,
            known: known(registry, &repository, |_| true).await?,
            marks: &mut *marks,
            report: &mut *report,
        };
        one.run(delete_untagged, cutoff).await?;
        let links = registry.parts().metadata.links(&repository, Page::ALL);
        for link in links.await? {
            if link.modified >= cutoff {
                marks.kept.insert(link.digest);
            } else {
                marks.links.push((repository.clone(), link.digest));
            }
        }
    }
    marks.spare_what_is_needed();
    for eligible in &marks.manifests {
        let EligibleManifest {
            repository,
            digest,
            tags,
            ..
        } = eligible.clone();
        report(Finding::ManifestEligible(repository, digest, tags));
    }
    Ok(None)
}

/// Marks what the manifests of a repository are made of that came since the first look.
pub(super) async fn look_again(
    registry: &Registry,
    marks: &mut Marks,
    repository: &RepositoryName,
    cutoff: SystemTime,
) -> Result<Needed, Error> {
    let seen = marks.seen.get(repository);
    let is_seen = |digest: &Digest| seen.is_some_and(|seen| seen.contains(digest));
    let is_new = |revision: &Linked| !is_seen(&revision.digest) || revision.modified >= cutoff;
    let known = known(registry, repository, is_new).await?;
    let links = registry.parts().metadata.links(repository, Page::ALL);
    let links = links.await?;
    marks.marked.extend(known.keys().cloned());
    let mut needed = HashSet::new();
    for known in known.into_values() {
        let contents = known.contents.filter(Contents::is_resolved);
        let Some(contents) = contents else {
            let all = links.into_iter().map(|link| link.digest);
            marks.kept.extend(all);
            return Ok(Needed::All);
        };
        needed.extend(contents.parts);
    }
    marks.marked.extend(needed.iter().cloned());
    let young = links.into_iter().filter(|link| link.modified >= cutoff);
    marks.kept.extend(young.map(|link| link.digest));
    Ok(Needed::Only(needed))
}

pub(super) async fn repositories(registry: &Registry) -> Result<Vec<RepositoryName>, Error> {
    let metadata = &registry.parts().metadata;
    Ok(metadata.repositories(Repositories::All, Page::ALL).await?)
}

async fn known(
    registry: &Registry,
    repository: &RepositoryName,
    is_wanted: impl Fn(&Linked) -> bool,
) -> Result<HashMap<Digest, Known>, Error> {
    let metadata = &registry.parts().metadata;
    let mut known = HashMap::new();
    let revisions = metadata.revisions(repository, Page::ALL).await?;
    for revision in revisions.into_iter().filter(is_wanted) {
        let reference = Reference::Digest(revision.digest.clone());
        let record = metadata.manifest(repository, &reference).await?;
        let manifest = record.and_then(|record| Manifest::read(&record.bytes).ok());
        let contents = match manifest {
            Some(manifest) => Some(contents(registry, repository, &manifest).await?),
            None => None,
        };
        known.insert(revision.digest.clone(), Known { revision, contents });
    }
    Ok(known)
}

async fn contents(
    registry: &Registry,
    repository: &RepositoryName,
    manifest: &Manifest,
) -> Result<Contents, Error> {
    let mut contents = Contents::default();
    for (_, part) in manifest.references() {
        let part = canonical(registry, repository, &part.digest).await?;
        contents.parts.push(part);
    }
    if let Some(subject) = &manifest.subject {
        let refers_to = canonical(registry, repository, &subject.digest).await?;
        contents.refers_to = Some(refers_to);
        contents.subject = Some(subject.digest.clone());
    }
    Ok(contents)
}

/// What a repository stores under `digest`, or `digest` itself when it has nothing of that name.
async fn canonical(
    registry: &Registry,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Digest, Error> {
    if is_canonical(digest) {
        return Ok(digest.clone());
    }
    let metadata = &registry.parts().metadata;
    let canonical = match metadata.revision(repository, digest).await? {
        None => metadata.linked(repository, digest).await?,
        revision => revision,
    };
    Ok(canonical.unwrap_or_else(|| digest.clone()))
}

fn is_canonical(digest: &Digest) -> bool {
    digest.algorithm() == Algorithm::Sha256
}

impl Contents {
    /// Whether it is known what all parts are stored as.
    fn is_resolved(&self) -> bool {
        self.parts.iter().all(is_canonical)
    }
}

impl Marks {
    /// Whether content must stay.
    pub(super) fn keeps(&self, digest: &Digest) -> bool {
        self.marked.contains(digest) || self.kept.contains(digest)
    }

    /// Nothing of `repository` is to be deleted any more.
    pub(super) fn is_swept(&mut self, repository: &RepositoryName) {
        self.manifests
            .retain(|manifest| manifest.repository != *repository);
        self.links.retain(|(of, _)| of != repository);
    }

    /// A manifest that is marked for whatever reason is not deleted, nor is what refers to it;
    /// and what stays, stays whole.
    pub(super) fn spare_what_is_needed(&mut self) {
        let mut spared = HashSet::new();
        loop {
            let eligible = std::mem::take(&mut self.manifests);
            let is_needed = |manifest: &EligibleManifest| {
                let subject = manifest.contents.refers_to.clone();
                let subject = subject.map(|subject| (manifest.repository.clone(), subject));
                self.marked.contains(&manifest.digest)
                    || subject.is_some_and(|subject| spared.contains(&subject))
            };
            let (needed, others): (Vec<_>, Vec<_>) = eligible.into_iter().partition(is_needed);
            self.manifests = others;
            if needed.is_empty() {
                break;
            }
            for manifest in needed {
                self.marked.insert(manifest.digest.clone());
                self.marked.extend(manifest.contents.parts);
                spared.insert((manifest.repository, manifest.digest));
            }
        }
        let links = std::mem::take(&mut self.links);
        let others = links.into_iter().filter(|(_, digest)| !self.keeps(digest));
        self.links = others.collect();
    }
}

/// The marking of one repository.
struct Marker<'a> {
    registry: &'a Registry,
    repository: &'a RepositoryName,
    known: HashMap<Digest, Known>,
    marks: &'a mut Marks,
    report: Report<'a>,
}

impl Marker<'_> {
    async fn run(&mut self, delete_untagged: bool, cutoff: SystemTime) -> Result<(), Error> {
        let mut digests: Vec<Digest> = self.known.keys().cloned().collect();
        digests.sort();
        self.keep_all_if_unreadable(&digests).await?;
        let tags = match delete_untagged {
            true => tagged(self.registry, self.repository).await?,
            false => Vec::new(),
        };
        let tagged: HashSet<&Digest> = tags.iter().map(|(_, digest)| digest).collect();
        let is_root = |digest: &Digest, known: &Known| {
            !delete_untagged || tagged.contains(digest) || known.revision.modified >= cutoff
        };
        let roots = digests
            .iter()
            .filter(|digest| is_root(digest, &self.known[digest]));
        let roots: Vec<Digest> = roots.cloned().collect();
        let mut kept: HashSet<Digest> = roots.iter().cloned().collect();
        for root in &roots {
            self.mark_manifest(root, &mut kept);
        }
        self.mark_referrers(&digests, &mut kept);
        let tags: Vec<Tag> = tags.into_iter().map(|(tag, _)| tag).collect();
        for digest in digests.iter().filter(|digest| !kept.contains(*digest)) {
            let contents = self.contents(digest).cloned();
            self.marks.manifests.push(EligibleManifest {
                repository: self.repository.clone(),
                digest: digest.clone(),
                contents: contents.unwrap_or_default(),
                tags: tags.clone(),
            });
        }
        let seen = self.marks.seen.entry(self.repository.clone()).or_default();
        seen.extend(digests);
        Ok(())
    }

    /// What an unreadable manifest references can only be in its own repository.
    async fn keep_all_if_unreadable(&mut self, digests: &[Digest]) -> Result<(), Error> {
        let unreadable = digests
            .iter()
            .find(|digest| self.contents(digest).is_none());
        let Some(unreadable) = unreadable else {
            return Ok(());
        };
        let finding = Finding::Unreadable(self.repository.clone(), unreadable.clone());
        (self.report)(finding);
        self.marks.kept.extend(digests.iter().cloned());
        let metadata = &self.registry.parts().metadata;
        let links = metadata.links(self.repository, Page::ALL).await?;
        self.marks
            .kept
            .extend(links.into_iter().map(|link| link.digest));
        self.marks.marked.extend(digests.iter().cloned());
        Ok(())
    }

    /// Marks a manifest of the repository and all below it that is not kept for itself, and
    /// returns the manifests that are kept for that. No recursion: an index may be as deep as it
    /// likes, and each manifest is looked at once.
    fn mark_manifest(&mut self, root: &Digest, kept: &mut HashSet<Digest>) -> Vec<Digest> {
        let repository = self.repository.clone();
        (self.report)(Finding::ManifestMarked(repository, root.clone()));
        self.marks.marked.insert(root.clone());
        let mut newly_kept = Vec::new();
        let mut to_visit = vec![root.clone()];
        while let Some(digest) = to_visit.pop() {
            let contents = self.contents(&digest).cloned().unwrap_or_default();
            for part in contents.parts {
                let finding = Finding::BlobMarked(self.repository.clone(), part.clone());
                (self.report)(finding);
                self.marks.marked.insert(part.clone());
                if self.known.contains_key(&part) && kept.insert(part.clone()) {
                    newly_kept.push(part.clone());
                    to_visit.push(part);
                }
            }
        }
        newly_kept
    }

    /// Marks what refers to a kept manifest, and what refers to that, and so on.
    fn mark_referrers(&mut self, digests: &[Digest], kept: &mut HashSet<Digest>) {
        let mut by_subject: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for digest in digests {
            let subject = self
                .contents(digest)
                .and_then(|contents| contents.refers_to.clone());
            if let Some(subject) = subject {
                by_subject.entry(subject).or_default().push(digest.clone());
            }
        }
        let mut to_visit: Vec<Digest> = kept.iter().cloned().collect();
        while let Some(subject) = to_visit.pop() {
            for referrer in by_subject.remove(&subject).unwrap_or_default() {
                if kept.insert(referrer.clone()) {
                    to_visit.extend(self.mark_manifest(&referrer, kept));
                    to_visit.push(referrer);
                }
            }
        }
    }

    fn contents(&self, digest: &Digest) -> Option<&Contents> {
        self.known.get(digest)?.contents.as_ref()
    }
}
