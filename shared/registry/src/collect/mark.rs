//! The first half: what is kept.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use roadstead_metadata::{Linked, Page, Repositories};
use roadstead_oci::{Digest, Manifest, Reference, RepositoryName, Tag};

use super::Finding;
use crate::Error;
use crate::registry::Registry;

/// What a look at all repositories has found.
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
    pub(super) subject: Option<Digest>,
    pub(super) tags: Vec<Tag>,
}

/// A repository's manifest as marking needs it.
struct Known {
    revision: Linked,
    /// `None` when it cannot be read.
    manifest: Option<Manifest>,
}

type Report<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// Looks at every repository.
pub(super) async fn mark(
    registry: &Registry,
    delete_untagged: bool,
    cutoff: SystemTime,
    report: Report<'_>,
) -> Result<Marks, Error> {
    let mut marks = Marks::default();
    let mut links = Vec::new();
    for repository in repositories(registry).await? {
        report(Finding::Repository(repository.clone()));
        let mut one = Marker {
            registry,
            repository: &repository,
            known: known(registry, &repository, |_| true).await?,
            marks: &mut marks,
            report: &mut *report,
        };
        one.run(delete_untagged, cutoff).await?;
        for link in registry
            .parts()
            .metadata
            .links(&repository, Page::ALL)
            .await?
        {
            if link.modified >= cutoff {
                marks.kept.insert(link.digest);
            } else {
                links.push((repository.clone(), link.digest));
            }
        }
    }
    let is_marked = |digest: &Digest| marks.marked.contains(digest) || marks.kept.contains(digest);
    links.retain(|(_, digest)| !is_marked(digest));
    marks.links = links;
    marks
        .manifests
        .retain(|eligible| !marks.marked.contains(&eligible.digest));
    for eligible in &marks.manifests {
        let EligibleManifest {
            repository,
            digest,
            tags,
            ..
        } = eligible.clone();
        report(Finding::ManifestEligible(repository, digest, tags));
    }
    Ok(marks)
}

/// Marks what manifests reference that came while the first look was taken.
pub(super) async fn mark_new(
    registry: &Registry,
    marks: &mut Marks,
    cutoff: SystemTime,
) -> Result<(), Error> {
    let seen = std::mem::take(&mut marks.seen);
    let nothing = HashSet::new();
    for repository in repositories(registry).await? {
        let seen = seen.get(&repository).unwrap_or(&nothing);
        let is_new =
            |revision: &Linked| !seen.contains(&revision.digest) || revision.modified >= cutoff;
        let known = known(registry, &repository, is_new).await?;
        let mut one = Marker {
            registry,
            repository: &repository,
            known,
            marks: &mut *marks,
            report: &mut |_| (),
        };
        one.run(false, cutoff).await?;
        for link in registry
            .parts()
            .metadata
            .links(&repository, Page::ALL)
            .await?
        {
            if link.modified >= cutoff {
                marks.kept.insert(link.digest);
            }
        }
    }
    Ok(())
}

async fn repositories(registry: &Registry) -> Result<Vec<RepositoryName>, Error> {
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
        let manifest = record.and_then(|record| Manifest::parse(&record.bytes, None).ok());
        known.insert(revision.digest.clone(), Known { revision, manifest });
    }
    Ok(known)
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
        let tags = if delete_untagged {
            self.tags().await?
        } else {
            Vec::new()
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
            self.marks.manifests.push(EligibleManifest {
                repository: self.repository.clone(),
                digest: digest.clone(),
                subject: self.subject(digest).cloned(),
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
            .find(|digest| self.known[digest].manifest.is_none());
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

    async fn tags(&self) -> Result<Vec<(Tag, Digest)>, Error> {
        let metadata = &self.registry.parts().metadata;
        let mut current = Vec::new();
        for tag in metadata
            .tags(self.repository, Page::ALL)
            .await?
            .unwrap_or_default()
        {
            if let Some(digest) = metadata.tag(self.repository, &tag).await? {
                current.push((tag, digest));
            }
        }
        Ok(current)
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
            for part in self.references(&digest) {
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

    fn references(&self, digest: &Digest) -> Vec<Digest> {
        let manifest = self
            .known
            .get(digest)
            .and_then(|known| known.manifest.as_ref());
        let references = manifest.into_iter().flat_map(Manifest::references);
        references.map(|(_, part)| part.digest.clone()).collect()
    }

    /// Marks what refers to a kept manifest, and what refers to that, and so on.
    fn mark_referrers(&mut self, digests: &[Digest], kept: &mut HashSet<Digest>) {
        let mut by_subject: HashMap<Digest, Vec<Digest>> = HashMap::new();
        for digest in digests {
            if let Some(subject) = self.subject(digest) {
                by_subject
                    .entry(subject.clone())
                    .or_default()
                    .push(digest.clone());
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

    fn subject(&self, digest: &Digest) -> Option<&Digest> {
        let manifest = self.known.get(digest)?.manifest.as_ref()?;
        manifest.subject.as_ref().map(|subject| &subject.digest)
    }
}
