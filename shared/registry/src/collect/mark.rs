//! The first half: what is kept.

use std::collections::{HashMap, HashSet};
use std::pin::pin;
use std::time::SystemTime;

use futures_util::StreamExt;
use roadstead_metadata::{Linked, Page};
use roadstead_oci::{Digest, RepositoryName, Tag};

use super::look::read;
use super::marks::{Contents, EligibleManifest, Marks};
use super::stage::Run;
use super::{CollectOptions, Finding};
use crate::Error;
use crate::registry::Registry;
use crate::tags::tagged;

/// How far marking is.
#[derive(Debug, Default)]
pub(super) struct Marking {
    /// The repository that was looked at last.
    pub(super) after: Option<RepositoryName>,
    /// One after it, of which manifests have been read.
    pub(super) reading: Option<Reading>,
}

/// What manifests of a repository lead to, those that have been read; `None` when one cannot be.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) repository: RepositoryName,
    pub(super) manifests: HashMap<Digest, Option<Contents>>,
}

/// A repository's manifest as marking needs it.
struct Known {
    revision: Linked,
    /// `None` when it cannot be read.
    contents: Option<Contents>,
}

/// Goes on with looking at every repository, as long as there is time; whether that is done.
///
/// A repository that comes into being where marking has been, and a manifest of one that is being
/// read, are seen by the second look, as all that is pushed later.
pub(super) async fn mark(
    run: &mut Run<'_>,
    marks: &mut Marks,
    marking: &mut Marking,
) -> Result<bool, Error> {
    let metadata = &run.registry.parts().metadata;
    loop {
        let page = metadata.repositories_after(marking.after.as_ref()).await?;
        if page.is_empty() {
            break;
        }
        for repository in page {
            let reading = marking.reading.as_ref();
            if reading.is_none_or(|reading| reading.repository <= repository)
                && !mark_repository(run, marks, &mut marking.reading, &repository).await?
            {
                return Ok(false);
            }
            marking.after = Some(repository);
            if !(run.go_on)() {
                return Ok(false);
            }
        }
    }
    marks.spare_what_is_needed();
    for (repository, eligible) in &marks.eligible {
        for EligibleManifest { digest, tags, .. } in eligible.manifests.iter().cloned() {
            (run.report)(Finding::ManifestEligible(repository.clone(), digest, tags));
        }
    }
    Ok(true)
}

/// Whether all of the repository is marked.
async fn mark_repository(
    run: &mut Run<'_>,
    marks: &mut Marks,
    reading: &mut Option<Reading>,
    repository: &RepositoryName,
) -> Result<bool, Error> {
    let Run {
        registry,
        options,
        cutoff,
        go_on,
        ..
    } = *run;
    (run.report)(Finding::Repository(repository.clone()));
    let metadata = &registry.parts().metadata;
    let revisions = metadata.revisions(repository, Page::ALL).await?;
    let begun = reading.take();
    let begun = begun.filter(|begun| begun.repository == *repository);
    let begun = begun.unwrap_or_else(|| Reading {
        repository: repository.clone(),
        manifests: HashMap::new(),
    });
    let manifests = &mut reading.insert(begun).manifests;
    let digests = revisions.iter().map(|revision| revision.digest.clone());
    let unread = digests.filter(|digest| !manifests.contains_key(digest));
    let mut unread = pin!(read(registry, repository, unread.collect()));
    while let Some(one) = unread.next().await {
        let (digest, contents) = one?;
        manifests.insert(digest, contents);
        if !go_on() {
            return Ok(false);
        }
    }
    let known = revisions.into_iter().map(|revision| {
        let contents = manifests.remove(&revision.digest).flatten();
        (revision.digest.clone(), Known { revision, contents })
    });
    let mut one = Marker {
        registry,
        repository,
        known: known.collect(),
        marks: &mut *marks,
        report: &mut *run.report,
    };
    one.run(options, cutoff).await?;
    for link in metadata.links(repository, Page::ALL).await? {
        if link.modified >= cutoff {
            marks.kept.insert(link.digest);
        } else {
            let eligible = marks.eligible.entry(repository.clone());
            eligible.or_default().links.push(link.digest);
        }
    }
    *reading = None;
    Ok(true)
}

/// The marking of one repository.
struct Marker<'a> {
    registry: &'a Registry,
    repository: &'a RepositoryName,
    known: HashMap<Digest, Known>,
    marks: &'a mut Marks,
    report: &'a mut (dyn FnMut(Finding) + Send),
}

impl Marker<'_> {
    async fn run(&mut self, options: CollectOptions, cutoff: SystemTime) -> Result<(), Error> {
        let delete_untagged = options.delete_untagged;
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
            let eligible = self.marks.eligible.entry(self.repository.clone());
            eligible.or_default().manifests.push(EligibleManifest {
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
