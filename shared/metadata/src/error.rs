//! Why metadata could not be read or written.

use roadstead_oci::Tag;

/// Conditions of a metadata back end. "Not there" is no error: lookups answer `None`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Someone else is changing the same thing; trying again may succeed.
    #[error("another change of the same record is under way")]
    Busy,
    /// The tag points to another manifest, and was not to be moved.
    #[error("the tag {0} points to another manifest")]
    TagTaken(Tag),
    /// The back end failed or could not be reached.
    #[error("the metadata back end failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}
