//! From configuration to registry: the one crate that names concrete back ends.
//!
//! The server and the functions both build what they serve here, each with the back ends that its
//! features choose: a function need not link what it never meets.

mod access;
#[cfg(any(feature = "dynamodb", feature = "eventbridge", feature = "s3"))]
mod aws;
mod driver;
mod events;
mod http;
mod identities;
mod metadata;
mod middleware;
mod policy;

use std::sync::Arc;

use roadstead_api::{Api, ApiOptions};
use roadstead_configuration::Configuration;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_registry::{Memory, Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};

pub use crate::access::{api_keys, password_file, rules};
pub use crate::events::events;
pub use crate::http::{cors, headers, limits, trusted_proxies};
#[cfg(feature = "dynamodb")]
pub use crate::metadata::create_table;
pub use crate::metadata::{MetadataStores, metadata_stores};

/// The registry that a configuration describes.
///
/// # Errors
///
/// A driver or a parameter that cannot be had.
pub fn registry(configuration: &Configuration) -> anyhow::Result<Registry> {
    registry_over(configuration, storage(configuration)?)
}

/// Where the bytes of a registry lie.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The driver, which another may stand in for.
    pub driver: Arc<dyn Driver>,
    /// What it shares with the store of metadata, and with whom events are sent to.
    shared: Shared,
}

/// The storage that a configuration describes.
///
/// # Errors
///
/// A driver or a parameter that cannot be had.
pub fn storage(configuration: &Configuration) -> anyhow::Result<Storage> {
    let shared = Shared::new(configuration);
    let driver = driver::driver(configuration, &shared)?;
    Ok(Storage { driver, shared })
}

/// The registry that a configuration describes, over its [`storage`].
///
/// # Errors
///
/// Another back end, or a parameter, that cannot be had.
pub fn registry_over(configuration: &Configuration, storage: Storage) -> anyhow::Result<Registry> {
    let Storage { driver, shared } = storage;
    let metadata = metadata::metadata(configuration, &driver, &shared)?;
    let policy = policy::policy(configuration)?;
    let registry = Registry::new(metadata, Arc::clone(&driver), policy)
        .with_middleware(middleware::middleware(&configuration.middleware)?);
    let registry = remembering(configuration, registry);
    let registry = middleware::redirected(registry, driver, &configuration.middleware.storage)?;
    Ok(match configuration.storage.redirect.disable {
        true => registry.without_redirects(),
        false => registry,
    })
}

/// A registry that has nothing, for what serves none: no back end is opened.
pub fn empty_registry() -> Registry {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let metadata = Layout::new(Arc::clone(&driver), Options::default());
    Registry::new(Arc::new(metadata), driver, Policy::default())
}

/// What back ends share, made once.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// For those that have no keys of their own.
    #[cfg(any(feature = "dynamodb", feature = "eventbridge", feature = "s3"))]
    pub(crate) credentials: aws_credential_types::provider::SharedCredentialsProvider,
}

impl Shared {
    #[cfg_attr(
        not(any(feature = "dynamodb", feature = "eventbridge", feature = "s3")),
        expect(unused_variables, reason = "for AWS")
    )]
    pub(crate) fn new(configuration: &Configuration) -> Self {
        Self {
            #[cfg(any(feature = "dynamodb", feature = "eventbridge", feature = "s3"))]
            credentials: aws::credentials(configuration),
        }
    }
}

/// Over a layout in a bucket each question is a request; a folder answers at once, and a table
/// knows what other processes do.
fn remembering(configuration: &Configuration, registry: Registry) -> Registry {
    use roadstead_configuration::metadata::Store;
    use roadstead_configuration::storage::{BlobDescriptorCache, Driver};
    let storage = &configuration.storage;
    match (&storage.driver, &configuration.metadata.store) {
        (Driver::S3(_), None | Some(Store::Layout(_))) => {
            /// A bound on memory: some MiB.
            const MOST: usize = 10_000;
            registry.with_memory(Memory {
                entries: metadata::remembered(storage).min(MOST),
                grace: storage.maintenance.garbagecollect.graceage,
                of_pulls: storage.cache.blobdescriptor == Some(BlobDescriptorCache::Inmemory),
            })
        }
        _ => registry,
    }
}

/// How the registry appears over HTTP, and to whom. Reads the files of users and keys.
///
/// # Errors
///
/// Those files, or rules, make no sense.
pub fn api(configuration: &Configuration, registry: Registry) -> anyhow::Result<Api> {
    let web = &configuration.http;
    let options = ApiOptions {
        urls: http::urls(web),
        secret: http::secret(web),
        max_catalog_entries: size(configuration.catalog.maxentries),
        max_tags: size(configuration.tags.maxtags),
    };
    let api = Api::new(registry, options)
        .with_upload_origin(http::upload_origin(web))
        .with_origin_secret(http::origin_secret(web));
    access::guarded(configuration, api)
}

pub(crate) fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
