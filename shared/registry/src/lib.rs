//! The core: what a registry does, without HTTP and without a concrete back end.
//!
//! `registry.repository(&name).blobs().pull(&digest, range)` reads like the specification. The
//! core is told what to do by whoever may do it: it decides by its [`Policy`] whether the
//! registry permits an operation to anyone, never whether this caller is allowed to. It keeps no
//! state of its own: what one request leaves, the next one finds in the back ends, in this
//! process or in another.

mod blobs;
mod collect;
mod error;
mod ingest;
mod manifests;
pub mod middleware;
mod policy;
mod purge;
mod recent;
mod referrers;
mod registry;
mod tags;
mod uploads;

pub use blobs::{BlobStat, Blobs, Mounted, Pull};
pub use collect::{CollectOptions, Collected, Finding, Summary};
pub use error::Error;
pub use ingest::TransportError;
pub use manifests::{Manifests, NewManifest, Pushed};
pub use policy::{PlatformPolicy, Policy, UrlPolicy};
pub use purge::{Purge, Purged};
pub use recent::Memory;
pub use referrers::Referrers;
pub use registry::{Registry, Repository};
pub use tags::Tags;
pub use uploads::{OpenUpload, Uploads};
