//! Looks at the manifests of a repository.

use std::collections::HashSet;
use std::time::SystemTime;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use roadstead_metadata::{Linked, Page};
use roadstead_oci::{Algorithm, Digest, Manifest, Reference, RepositoryName};

use super::marks::{Contents, Marks};
use crate::Error;
use crate::registry::Registry;

/// How many manifests are read at once.
const AT_ONCE: usize = 8;

/// What manifests need of their repository that came since the first look.
#[derive(Debug)]
pub(super) enum Needed {
    /// No one can tell.
    All,
    /// These.
    Only(HashSet<Digest>),
}

impl Needed {
    pub(super) fn has(&self, digest: &Digest) -> bool {
        match self {
            Self::All => true,
            Self::Only(needed) => needed.contains(digest),
        }
    }
}

/// Marks what the manifests of a repository are made of that came since the first look.
pub(super) async fn look_again(
    registry: &Registry,
    marks: &mut Marks,
    repository: &RepositoryName,
    cutoff: SystemTime,
) -> Result<Needed, Error> {
    let metadata = &registry.parts().metadata;
    let seen = marks.seen.get(repository);
    let is_seen = |digest: &Digest| seen.is_some_and(|seen| seen.contains(digest));
    let is_new = |revision: &Linked| !is_seen(&revision.digest) || revision.modified >= cutoff;
    let revisions = metadata.revisions(repository, Page::ALL).await?;
    let new = revisions.into_iter().filter(is_new);
    let new: Vec<Digest> = new.map(|revision| revision.digest).collect();
    let known: Vec<_> = read(registry, repository, new).try_collect().await?;
    let links = metadata.links(repository, Page::ALL).await?;
    let digests = known.iter().map(|(digest, _)| digest.clone());
    marks.marked.extend(digests);
    let mut needed = HashSet::new();
    for (_, contents) in known {
        let contents = contents.filter(Contents::is_resolved);
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

/// Reads manifests, some at a time and in no order; `None` is one that cannot be read.
pub(super) fn read<'a>(
    registry: &'a Registry,
    repository: &'a RepositoryName,
    digests: Vec<Digest>,
) -> impl Stream<Item = Result<(Digest, Option<Contents>), Error>> + Send + 'a {
    let one = async move |digest: Digest| {
        let reference = Reference::Digest(digest.clone());
        let record = registry.parts().metadata.manifest(repository, &reference);
        let manifest = record
            .await?
            .and_then(|record| Manifest::read(&record.bytes).ok());
        let contents = match manifest {
            Some(manifest) => Some(contents(registry, repository, &manifest).await?),
            None => None,
        };
        Ok((digest, contents))
    };
    stream::iter(digests).map(one).buffer_unordered(AT_ONCE)
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
