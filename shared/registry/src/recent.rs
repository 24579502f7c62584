//! What this process has lately stored or seen, and need not ask for again.
//!
//! For a store that is far away: each question is a request to it. Two kinds of knowledge are kept,
//! each for what it is good for.
//!
//! **What this process has linked** answers whether a manifest's references are there, for
//! [`REFERENCES`] at the most and for half of the grace age of garbage collection. It cannot have
//! been collected: a collection keeps every link, and what is linked, that is younger than the
//! grace age when it begins. One that began before the manifest was recorded began when the link
//! was younger than that, so it keeps the link; one that begins later sees the manifest. Neither a
//! look before the record nor the one after it could find anything else. All collections of one
//! store must therefore have the same grace age, and their clocks may differ from the store's by
//! half of it. What a client of another process deletes by name meanwhile is not seen: as if the
//! deletion had come after the manifest.
//!
//! **Where a blob was found** answers requests for it for [`PULLS`], where that is wanted. A blob
//! that another process takes out of its repository, be it a collection, is told to be there for
//! that long: a client may then keep from pushing it, and has its manifest refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;
use roadstead_oci::{Digest, RepositoryName};
use roadstead_storage::Key;
use tokio::time::Instant;

use crate::blobs::BlobStat;

/// The longest time for which a reference is known to be there.
const REFERENCES: Duration = Duration::from_secs(10 * 60);

/// How long a blob is known to be where it was found.
const PULLS: Duration = Duration::from_secs(60);

type Name = (RepositoryName, Digest);

/// What a registry may remember.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// At most so many blobs and as many manifests; none with 0.
    pub entries: usize,
    /// The grace age of every garbage collection of the store.
    pub grace: Duration,
    /// Whether also requests for blobs are answered from memory.
    pub of_pulls: bool,
}

/// Knowledge of a bounded number of blobs and manifests; or none.
#[derive(Debug, Default)]
pub(crate) struct Recent(Option<Known>);

#[derive(Debug)]
struct Known {
    blobs: Cache<Name, Linked>,
    manifests: Cache<Name, Moment>,
    found: Cache<Name, (Found, Moment)>,
    /// For how long a reference is known.
    references: Duration,
    /// For how long it is known where a blob lies.
    pulls: Duration,
    /// How often something was forgotten.
    forgotten: AtomicU64,
}

/// A blob that was linked.
#[derive(Clone, Debug)]
struct Linked {
    size: u64,
    since: Moment,
}

/// Where a blob lies.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its canonical digest.
    pub(crate) canonical: Digest,
    pub(crate) key: Key,
    /// Its size and age, once they were asked for.
    pub(crate) stat: Option<BlobStat>,
}

/// A moment by two clocks: one stands still while the machine sleeps, and a function does between
/// two requests; the other may be set back. What is learnt from then on is not kept when something
/// was forgotten meanwhile.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    steady: Instant,
    wall: SystemTime,
    forgotten: u64,
}

impl Moment {
    fn is_within(self, limit: Duration) -> bool {
        let by_wall = self.wall.elapsed().unwrap_or_default();
        self.steady.elapsed().max(by_wall) < limit
    }
}

impl Recent {
    pub(crate) fn new(memory: Memory) -> Self {
        let Memory { entries, grace, .. } = memory;
        let known = || Known {
            blobs: Cache::new(entries),
            manifests: Cache::new(entries),
            found: Cache::new(entries),
            references: REFERENCES.min(grace / 2),
            pulls: match memory.of_pulls {
                true => PULLS.min(grace / 2),
                false => Duration::ZERO,
            },
            forgotten: AtomicU64::new(0),
        };
        Self((entries > 0).then(known))
    }

    /// Before something is learnt.
    pub(crate) fn now(&self) -> Moment {
        Moment {
            steady: Instant::now(),
            wall: SystemTime::now(),
            forgotten: self.0.as_ref().map_or(0, Known::forgotten),
        }
    }

    /// A blob was linked under these digests; `since` is from before that began.
    pub(crate) fn link_blob<'a>(
        &self,
        repository: &RepositoryName,
        digests: impl IntoIterator<Item = &'a Digest>,
        size: u64,
        since: Moment,
    ) {
        let Some(known) = &self.0 else { return };
        for digest in digests {
            let (name, linked) = ((repository.clone(), digest.clone()), Linked { size, since });
            known.keep(&known.blobs, name, linked, since);
        }
    }

    /// A manifest was recorded under these digests; `since` is from before that began.
    pub(crate) fn link_manifest<'a>(
        &self,
        repository: &RepositoryName,
        digests: impl IntoIterator<Item = &'a Digest>,
        since: Moment,
    ) {
        let Some(known) = &self.0 else { return };
        for digest in digests {
            let name = (repository.clone(), digest.clone());
            known.keep(&known.manifests, name, since, since);
        }
    }

    /// The size of a blob that is in the repository for sure.
    pub(crate) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Option<u64> {
        let known = self.0.as_ref()?;
        let linked = known.blobs.get(&(repository.clone(), digest.clone()))?;
        linked
            .since
            .is_within(known.references)
            .then_some(linked.size)
    }

    /// Whether a manifest is in the repository for sure.
    pub(crate) fn has_manifest(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let Some(known) = &self.0 else { return false };
        let since = known.manifests.get(&(repository.clone(), digest.clone()));
        since.is_some_and(|since| since.is_within(known.references))
    }

    /// A blob was found, at `since` or later.
    pub(crate) fn find(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        found: &Found,
        since: Moment,
    ) {
        if let Some(known) = &self.0 {
            let name = (repository.clone(), digest.clone());
            known.keep(&known.found, name, (found.clone(), since), since);
        }
    }

    /// Where a blob was found, and when.
    pub(crate) fn found(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Option<(Found, Moment)> {
        let known = self.0.as_ref()?;
        let found = known.found.get(&(repository.clone(), digest.clone()));
        found.filter(|(_, since)| since.is_within(known.pulls))
    }

    /// Something was taken out of the repository.
    pub(crate) fn forget(&self, repository: &RepositoryName) {
        let Some(known) = &self.0 else { return };
        known.forgotten.fetch_add(1, Ordering::SeqCst);
        known.blobs.retain(|(of, _), _| of != repository);
        known.manifests.retain(|(of, _), _| of != repository);
        known.found.retain(|(of, _), _| of != repository);
    }
}

impl Known {
    fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::SeqCst)
    }

    /// Keeps what was learnt since `since`, unless that is out of date by now.
    fn keep<T: Clone>(&self, cache: &Cache<Name, T>, name: Name, value: T, since: Moment) {
        cache.insert(name.clone(), value);
        if self.forgotten() != since.forgotten {
            cache.remove(&name);
        }
    }
}
