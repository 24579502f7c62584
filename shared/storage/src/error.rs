//! Why an operation on stored bytes did not succeed.

/// Conditions that a caller can tell apart; the cause is kept as the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is nothing at this key.
    #[error("nothing is stored at {0}")]
    NotFound(String),
    /// A create-new write found something at this key.
    #[error("something is stored at {0} already")]
    Exists(String),
    /// Another operation holds this key; trying again later may succeed.
    #[error("{0} is in use")]
    Busy(String),
    /// The key is not of the form that drivers accept.
    #[error("invalid key {0:?}")]
    InvalidKey(String),
    /// The content is larger than the caller's limit, in bytes.
    #[error("the content at {key} is larger than {limit} bytes")]
    TooLarge {
        /// The key that was read.
        key: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The range begins at or beyond the end of the content.
    #[error("the range begins beyond the {size} bytes at {key}")]
    OutOfRange {
        /// The key that was read.
        key: String,
        /// The size of the content in bytes.
        size: u64,
    },
    /// The bytes handed in by the caller ended with an error.
    #[error("the incoming bytes broke off")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The back end failed or could not be reached: an outage, never "not found".
    #[error("the storage back end failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
