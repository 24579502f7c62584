//! The storage drivers: an explicit match, one arm each.

#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;

use anyhow::anyhow;
use roadstead_configuration::{Configuration, storage};
use roadstead_storage::{Driver, MemoryDriver};

use crate::Shared;

const BUILT: &[&str] = &[
    #[cfg(feature = "filesystem")]
    "filesystem",
    "inmemory",
    #[cfg(feature = "s3")]
    "s3",
];

/// The configuration's driver. `shared` is what it shares with a store of metadata.
pub(crate) fn driver(
    configuration: &Configuration,
    #[cfg_attr(not(feature = "s3"), expect(unused_variables, reason = "for S3"))] shared: &Shared,
) -> anyhow::Result<Arc<dyn Driver>> {
    match &configuration.storage.driver {
        #[cfg(feature = "filesystem")]
        storage::Driver::Filesystem(parameters) => filesystem(parameters),
        storage::Driver::Inmemory(_) => Ok(Arc::new(MemoryDriver::new())),
        #[cfg(feature = "s3")]
        storage::Driver::S3(parameters) => s3::driver(parameters, shared.credentials.clone()),
        other => Err(anyhow!(
            "storage driver {} is not built; there are: {}",
            other.name(),
            BUILT.join(", ")
        )),
    }
}

#[cfg(feature = "filesystem")]
fn filesystem(parameters: &storage::Filesystem) -> anyhow::Result<Arc<dyn Driver>> {
    use roadstead_storage_filesystem::{Config, FilesystemDriver, Sync};

    let config = Config {
        root: parameters.rootdirectory.clone().into(),
        max_threads: parameters.threads(),
        sync: match parameters.fsync {
            storage::Fsync::Journal => Sync::Journal,
            storage::Fsync::Always => Sync::Always,
            storage::Fsync::Never => Sync::Never,
        },
    };
    Ok(Arc::new(FilesystemDriver::new(config)?))
}
