//! Manifests by digest: bytes that cannot change, so nothing here can be out of date.

use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};
use roadstead_metadata::ManifestRecord;
use roadstead_oci::Digest;

/// A bounded number of manifests and of their bytes.
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
