//! What is in the registry: one trait a noun, and the records they exchange.
//!
//! A back end implements all of the nouns; together they are [`Metadata`]. Writes are whole
//! domain transactions ([`ManifestStore::record`] is a manifest with its tags and its edge to a
//! subject), so that each back end makes them as atomic as it can. A lookup answers `None` for
//! what is not there and fails only when the back end does: an outage is never "not found".
//!
//! Where the bytes of blobs lie is metadata ([`BlobStore::location`]); the bytes themselves are
//! a storage driver's. This crate knows neither drivers nor files.

mod error;
mod notes;
mod record;
mod stores;
#[cfg(feature = "testkit")]
pub mod testkit;

pub use error::Error;
pub use record::{
    Adoption, Alias, HashState, Linked, ManifestPush, ManifestRecord, Page, Referrer,
    ReferrerQuery, Repositories, StoredBlob, UploadRemains, UploadSession,
};
pub use stores::{
    AliasStore, BlobStore, CatalogStore, LinkStore, ManifestStore, Metadata, ReferrerStore,
    Reliance, Sweep, TagStore, UploadBytes, UploadStore,
};
