//! The two ways, and what they share.

use std::collections::BTreeSet;

use roadstead_metadata::Metadata;
use roadstead_oci::RepositoryName;
use roadstead_storage::Driver;

use crate::blobs::Way;
use crate::{Finding, Summary};

/// How many requests are under way at the same time.
pub(crate) const AT_ONCE: usize = 16;

/// From where to where.
#[derive(Clone, Copy, Debug)]
pub struct Stores<'a> {
    /// What is read.
    pub source: &'a dyn Metadata,
    /// What is written.
    pub target: &'a dyn Metadata,
    /// Where the bytes of both lie.
    pub driver: &'a dyn Driver,
}

/// What to do where the target says something else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Makes the target say what the source says, no more: tags are moved; tags, manifests and
    /// links that the source has not are removed. Content of blobs is not: that is up to garbage
    /// collection.
    pub mirror: bool,
}

/// Why a migration stopped. What was done stays, and is not done again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A store of metadata failed.
    #[error(transparent)]
    Metadata(#[from] roadstead_metadata::Error),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] roadstead_storage::Error),
}

/// Hears of each finding.
pub(crate) type Report<'a> = &'a mut (dyn FnMut(Finding) + Send);

/// Makes `target`, which can point anywhere, have what `source` has. No content is moved.
///
/// # Errors
///
/// A back end's failure.
pub async fn import(
    stores: Stores<'_>,
    options: Options,
    report: &mut (dyn FnMut(Finding) + Send),
) -> Result<Summary, Error> {
    migrate(stores, options, Way::Import, report).await
}

/// Makes `target`, which has one place for each digest, have what `source` has. Content that lies
/// elsewhere is moved to that place, and `source` points there from then on: it stays good.
///
/// # Errors
///
/// A back end's failure.
pub async fn export(
    stores: Stores<'_>,
    options: Options,
    report: &mut (dyn FnMut(Finding) + Send),
) -> Result<Summary, Error> {
    migrate(stores, options, Way::Export, report).await
}

/// Contents first, then what refers to them: whoever looks meanwhile finds nothing that points to
/// what is not there.
async fn migrate(
    stores: Stores<'_>,
    options: Options,
    way: Way,
    report: Report<'_>,
) -> Result<Summary, Error> {
    let mut summary = stores.blobs(way, report).await?;
    let mut known = BTreeSet::new();
    let mut after: Option<RepositoryName> = None;
    loop {
        let names = stores.source.repositories_after(after.as_ref()).await?;
        let Some(last) = names.last() else { break };
        after = Some(last.clone());
        for name in &names {
            let repository = stores.repository(name, options, report).await?;
            report(Finding::Repository(name.clone(), repository));
            summary.add(&repository);
        }
        known.extend(names);
    }
    let rest = stores.repositories_beyond(&known, options, report).await?;
    summary.add(&rest);
    Ok(summary)
}
