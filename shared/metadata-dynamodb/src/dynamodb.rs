//! The back end itself, and what its nouns share.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use quick_cache::sync::Cache;
use roadstead_metadata::Error;
use roadstead_oci::RepositoryName;

use crate::catalog::Known;
use crate::contents::{Contents, ContentsError};
use crate::table::Table;

/// Which table, and how long things are kept in it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The name of the table.
    pub table: String,
    /// How long an upload can be gone on with.
    pub session_lifetime: Duration,
    /// How long content stays that nothing points to any more: clients may still be fetching it.
    pub orphan_age: Duration,
}

impl Options {
    /// The table `table`; uploads as long as Distribution purges them after, orphans a day.
    pub fn new(table: impl Into<String>) -> Self {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        Self {
            table: table.into(),
            session_lifetime: 7 * 24 * HOUR,
            orphan_age: 24 * HOUR,
        }
    }
}

/// One DynamoDB table as [`Metadata`](roadstead_metadata::Metadata).
///
/// Each write is a transaction with conditions: it takes effect as a whole, may be tried again
/// after an answer that was lost, and refuses what another write has made untrue. Each read is
/// strongly consistent. Timeouts and throttling are retried by the client that is handed in, as
/// it is configured, and are [`Error::Unavailable`] after that.
#[derive(Debug)]
pub struct DynamoDb {
    pub(crate) table: Table,
    pub(crate) contents: Arc<dyn Contents>,
    pub(crate) options: Options,
    /// What is known of repositories, which stays true for ever.
    pub(crate) known: Cache<RepositoryName, Known>,
}

impl DynamoDb {
    /// The back end over `client`, with the bytes of blobs in `contents`.
    pub fn new(client: Client, contents: Arc<dyn Contents>, options: Options) -> Self {
        const REMEMBERED_REPOSITORIES: usize = 10_000;
        Self {
            table: Table::new(client, options.table.clone()),
            contents,
            options,
            known: Cache::new(REMEMBERED_REPOSITORIES),
        }
    }
}

/// The failure of the store of the bytes as this back end's failure.
pub(crate) fn unavailable(error: ContentsError) -> Error {
    Error::Unavailable(error)
}
