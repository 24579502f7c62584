//! What need not be asked of the driver again.

use std::time::Duration;

use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use roadstead_metadata::ManifestRecord;
use roadstead_oci::{Digest, RepositoryName};
use tokio::time::Instant;

/// A bounded number of manifests and of their bytes. They cannot change, so nothing here can be
/// out of date.
pub(crate) struct ManifestCache(Option<Cache<Digest, ManifestRecord, Size>>);

impl ManifestCache {
    /// The most bytes of manifests that are remembered.
    const MAX_BYTES: u64 = 32 * 1024 * 1024;
    /// A manifest above this is read each time: it would push out too many others.
    const MAX_MANIFEST: usize = 256 * 1024;

    pub(crate) fn new(entries: usize) -> Self {
        if entries == 0 {
            return Self(None);
        }
        let bytes = Self::MAX_BYTES.min(entries as u64 * 4096);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(entries.min(1024))
            .weight_capacity(bytes)
            .build();
        let cache = options.ok().map(|options| {
            Cache::with_options(options, Size, Default::default(), Default::default())
        });
        Self(cache)
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<ManifestRecord> {
        self.0.as_ref()?.get(digest)
    }

    pub(crate) fn insert(&self, record: ManifestRecord) {
        if let Some(cache) = &self.0
            && record.bytes.len() <= Self::MAX_MANIFEST
        {
            cache.insert(record.digest.clone(), record);
        }
    }
}

#[derive(Clone)]
struct Size;

impl Weighter<Digest, ManifestRecord> for Size {
    fn weight(&self, _: &Digest, record: &ManifestRecord) -> u64 {
        const OVERHEAD: u64 = 256;
        record.bytes.len() as u64 + OVERHEAD
    }
}

/// Which revisions were just seen in their repositories.
///
/// Whoever deletes a manifest removes the tags that point to it, Roadstead before it removes the
/// revision, Distribution from 2.7 on right after it. So a tag that still points to a revision
/// seen here need not be doubted. Registries before 2.7 leave the tags: what one of them deletes
/// beside us may be served by its tag for [`SeenRevisions::LIFE`], and by its digest never.
pub(crate) struct SeenRevisions(Option<Cache<(RepositoryName, Digest), Instant>>);

impl SeenRevisions {
    /// How long a revision counts as seen.
    const LIFE: Duration = Duration::from_secs(60);

    pub(crate) fn new(entries: usize) -> Self {
        Self((entries > 0).then(|| Cache::new(entries)))
    }

    pub(crate) fn has(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let Some(cache) = &self.0 else { return false };
        let seen = cache.get(&(repository.clone(), digest.clone()));
        seen.is_some_and(|seen| seen.elapsed() < Self::LIFE)
    }

    pub(crate) fn insert(&self, repository: &RepositoryName, digest: &Digest) {
        if let Some(cache) = &self.0 {
            cache.insert((repository.clone(), digest.clone()), Instant::now());
        }
    }

    pub(crate) fn remove(&self, repository: &RepositoryName, digest: &Digest) {
        if let Some(cache) = &self.0 {
            cache.remove(&(repository.clone(), digest.clone()));
        }
    }
}
