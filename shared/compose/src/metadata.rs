//! The stores of metadata: an explicit match, one arm each.

#[cfg(feature = "dynamodb")]
mod contents;
#[cfg(feature = "dynamodb")]
mod dynamodb;

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use anyhow::anyhow;
use roadstead_configuration::Configuration;
use roadstead_configuration::metadata::Store;
use roadstead_configuration::storage::Storage;
use roadstead_metadata::Metadata;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_storage::Driver;

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
) -> anyhow::Result<Arc<dyn Metadata>> {
    match &configuration.metadata.store {
        None | Some(Store::Layout(_)) => Ok(Arc::new(layout(configuration, driver))),
        #[cfg(feature = "dynamodb")]
        Some(Store::Dynamodb(parameters)) => {
            let grace = configuration.storage.maintenance.garbagecollect.graceage;
            let back_end = dynamodb::back_end(parameters, grace, driver)?;
            Ok(Arc::new(back_end))
        }
        Some(other) => Err(anyhow!(
            "metadata store {} is not built; there are: {}",
            other.name(),
            BUILT.join(", ")
        )),
    }
}

/// Distribution's files over `driver`.
pub(crate) fn layout(configuration: &Configuration, driver: &Arc<dyn Driver>) -> Layout {
    Layout::new(Arc::clone(driver), layout_options(&configuration.storage))
}

fn layout_options(storage: &Storage) -> Options {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let tag_concurrency = match crate::size(storage.tag.concurrencylimit) {
        0 => processors(),
        limit => limit,
    };
    let cached = storage
        .cache
        .blobdescriptorsize
        .map_or(u64::MAX, NonZeroU64::get);
    Options {
        tag_concurrency,
        cached_manifests: crate::size(cached),
    }
}
