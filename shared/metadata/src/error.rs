//! Why metadata could not be read or written.

/// Conditions of a metadata back end. "Not there" is no error: lookups answer `None`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Someone else is changing the same thing; trying again may succeed.
    #[error("another change of the same record is under way")]
    Busy,
    /// The back end failed or could not be reached.
    #[error("the metadata back end failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
