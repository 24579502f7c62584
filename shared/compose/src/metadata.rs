//! The stores of metadata: an explicit match, one arm each.

#[cfg(feature = "dynamodb")]
mod contents;
#[cfg(feature = "dynamodb")]
mod dynamodb;

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use anyhow::{anyhow, bail};
use roadstead_configuration::Configuration;
use roadstead_configuration::metadata::Store;
use roadstead_configuration::storage::Storage;
use roadstead_metadata::Metadata;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_storage::Driver;

use crate::Shared;

#[cfg(feature = "dynamodb")]
pub use dynamodb::create_table;

const BUILT: &[&str] = &[
    #[cfg(feature = "dynamodb")]
    "dynamodb",
    "layout",
];

pub(crate) fn metadata(
    configuration: &Configuration,
    driver: &Arc<dyn Driver>,
    #[cfg_attr(
        not(feature = "dynamodb"),
        expect(unused_variables, reason = "for DynamoDB")
    )]
    shared: &Shared,
) -> anyhow::Result<Arc<dyn Metadata>> {
    match &configuration.metadata.store {
        None | Some(Store::Layout(_)) => Ok(Arc::new(layout(configuration, driver))),
        #[cfg(feature = "dynamodb")]
        Some(Store::Dynamodb(parameters)) => {
            let grace = configuration.storage.maintenance.garbagecollect.graceage;
            let back_end = dynamodb::back_end(parameters, grace, driver, shared)?;
            Ok(Arc::new(back_end))
        }
        Some(other) => Err(anyhow!(
            "metadata store {} is not built; there are: {}",
            other.name(),
            BUILT.join(", ")
        )),
    }
}

/// The stores of metadata that a configuration knows, over its storage.
#[derive(Clone, Debug)]
pub struct MetadataStores {
    /// Distribution's files.
    pub layout: Arc<dyn Metadata>,
    /// The store that the section `metadata` names, which is another.
    pub configured: Arc<dyn Metadata>,
    /// Where the bytes lie.
    pub driver: Arc<dyn Driver>,
}

/// What `roadstead metadata import` and `export` work on.
///
/// # Errors
///
/// A store that cannot be had, or none beside the layout.
pub fn metadata_stores(configuration: &Configuration) -> anyhow::Result<MetadataStores> {
    if let None | Some(Store::Layout(_)) = &configuration.metadata.store {
        bail!("the configuration has no store of metadata but the layout");
    }
    let shared = Shared::new(configuration);
    let driver = crate::driver::driver(configuration, &shared)?;
    Ok(MetadataStores {
        layout: Arc::new(layout(configuration, &driver)),
        configured: metadata(configuration, &driver, &shared)?,
        driver,
    })
}

/// Distribution's files over `driver`.
fn layout(configuration: &Configuration, driver: &Arc<dyn Driver>) -> Layout {
    Layout::new(Arc::clone(driver), layout_options(&configuration.storage))
}

/// How many blobs and manifests may be remembered.
pub(crate) fn remembered(storage: &Storage) -> usize {
    let entries = storage.cache.blobdescriptorsize;
    crate::size(entries.map_or(u64::MAX, NonZeroU64::get))
}

fn layout_options(storage: &Storage) -> Options {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let tag_concurrency = match crate::size(storage.tag.concurrencylimit) {
        0 => processors(),
        limit => limit,
    };
    Options {
        tag_concurrency,
        cached_manifests: remembered(storage),
    }
}
