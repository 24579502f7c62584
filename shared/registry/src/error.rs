//! Why the core refuses, or cannot do, what it was asked for.

use roadstead_oci::{Digest, ErrorCode, InvalidManifest, Reference, RepositoryName};

/// Conditions that a client is told apart.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The repository has nothing of the kind asked for.
    #[error("unknown repository {0}")]
    NameUnknown(RepositoryName),
    /// The repository has no such blob.
    #[error("unknown blob {0}")]
    BlobUnknown(Digest),
    /// The repository has no such manifest.
    #[error("unknown manifest {0}")]
    ManifestUnknown(RepositoryName, Reference),
    /// The upload was never begun, or is finished or cancelled.
    #[error("unknown upload")]
    UploadUnknown,
    /// Someone else is sending to the same upload.
    #[error("the upload is in use by another request")]
    UploadBusy,
    /// The content is not what its digest says.
    #[error("the content has the digest {actual}, not {expected}")]
    DigestMismatch {
        /// What the client said.
        expected: Digest,
        /// What the bytes have.
        actual: Digest,
    },
    /// The bytes are no manifest.
    #[error(transparent)]
    ManifestInvalid(#[from] InvalidManifest),
    /// The manifest breaks a rule of this registry.
    #[error("{0}")]
    ManifestRefused(String),
    /// The manifest references content that the repository does not have.
    #[error("the manifest references {} unknown blobs or manifests", .0.len())]
    ReferencesUnknown(Vec<Digest>),
    /// The manifest is larger than the limit, in bytes.
    #[error("a manifest has at most {0} bytes")]
    ManifestTooLarge(u64),
    /// What stands in front of the registry or the repository refuses it.
    #[error("{0}")]
    Denied(String),
    /// Nothing can be changed.
    #[error("the registry is read-only")]
    ReadOnly,
    /// Nothing can be deleted.
    #[error("deletion is disabled")]
    DeletionDisabled,
    /// The range begins at or beyond the end of the blob.
    #[error("the range begins beyond the {0} bytes of the blob")]
    OutOfRange(u64),
    /// The bytes that the client sends broke off; what came is kept.
    #[error("the client's bytes broke off")]
    BodyBroken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A back end failed or could not be reached.
    #[error("a back end failed")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// The code that the specification gives this condition.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NameUnknown(_) => ErrorCode::NameUnknown,
            Self::BlobUnknown(_) => ErrorCode::BlobUnknown,
            Self::ManifestUnknown(..) => ErrorCode::ManifestUnknown,
            Self::UploadUnknown => ErrorCode::BlobUploadUnknown,
            Self::UploadBusy => ErrorCode::BlobUploadInvalid,
            Self::DigestMismatch { .. } => ErrorCode::DigestInvalid,
            Self::ManifestInvalid(_) | Self::ManifestRefused(_) | Self::ManifestTooLarge(_) => {
                ErrorCode::ManifestInvalid
            }
            Self::ReferencesUnknown(_) => ErrorCode::ManifestBlobUnknown,
            Self::Denied(_) => ErrorCode::Denied,
            Self::ReadOnly | Self::DeletionDisabled => ErrorCode::Unsupported,
            Self::OutOfRange(_) => ErrorCode::RangeInvalid,
            Self::BodyBroken(_) => ErrorCode::SizeInvalid,
            Self::Unavailable(_) => ErrorCode::Unavailable,
        }
    }
}

impl From<roadstead_metadata::Error> for Error {
    fn from(error: roadstead_metadata::Error) -> Self {
        match error {
            roadstead_metadata::Error::Busy => Self::UploadBusy,
            roadstead_metadata::Error::TagTaken(tag) => {
                Self::Denied(format!("the tag {tag} is immutable"))
            }
            error => Self::Unavailable(Box::new(error)),
        }
    }
}

impl From<roadstead_storage::Error> for Error {
    fn from(error: roadstead_storage::Error) -> Self {
        match error {
            roadstead_storage::Error::Busy(_) => Self::UploadBusy,
            roadstead_storage::Error::OutOfRange { size, .. } => Self::OutOfRange(size),
            error => Self::Unavailable(Box::new(error)),
        }
    }
}
