//! The error codes of the specification, and Distribution's beside them.

/// What went wrong, as clients tell errors apart (specification, "Error Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// code-1
    BlobUnknown,
    /// code-2
    BlobUploadInvalid,
    /// code-3
    BlobUploadUnknown,
    /// code-4
    DigestInvalid,
    /// code-5
    ManifestBlobUnknown,
    /// code-6
    ManifestInvalid,
    /// code-7
    ManifestUnknown,
    /// code-8
    NameInvalid,
    /// code-9
    NameUnknown,
    /// code-10
    SizeInvalid,
    /// code-11
    Unauthorized,
    /// code-12
    Denied,
    /// code-13
    Unsupported,
    /// code-14
    TooManyRequests,
    /// Distribution: a content range that cannot be.
    RangeInvalid,
    /// Distribution: a tag that cannot be.
    TagInvalid,
    /// Distribution: a page size that cannot be.
    PaginationNumberInvalid,
    /// Distribution: a back end cannot be reached.
    Unavailable,
    /// Distribution: none of the others.
    Unknown,
}

impl ErrorCode {
    /// The code as it stands in the answer.
    pub fn as_str(self) -> &'static str {
        self.describe().0
    }

    /// What the code means, in Distribution's words.
    pub fn message(self) -> &'static str {
        self.describe().1
    }

    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::BlobUnknown => ("BLOB_UNKNOWN", "blob unknown to registry"),
            Self::BlobUploadInvalid => ("BLOB_UPLOAD_INVALID", "blob upload invalid"),
            Self::BlobUploadUnknown => ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
            Self::DigestInvalid => (
                "DIGEST_INVALID",
                "provided digest did not match uploaded content",
            ),
            Self::ManifestBlobUnknown => ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
            Self::ManifestInvalid => ("MANIFEST_INVALID", "manifest invalid"),
            Self::ManifestUnknown => ("MANIFEST_UNKNOWN", "manifest unknown"),
            Self::NameInvalid => ("NAME_INVALID", "invalid repository name"),
            Self::NameUnknown => ("NAME_UNKNOWN", "repository name not known to registry"),
            Self::SizeInvalid => (
                "SIZE_INVALID",
                "provided length did not match content length",
            ),
            Self::Unauthorized => ("UNAUTHORIZED", "authentication required"),
            Self::Denied => ("DENIED", "requested access to the resource is denied"),
            Self::Unsupported => ("UNSUPPORTED", "The operation is unsupported."),
            Self::TooManyRequests => ("TOOMANYREQUESTS", "too many requests"),
            Self::RangeInvalid => ("RANGE_INVALID", "invalid content range"),
            Self::TagInvalid => ("TAG_INVALID", "manifest tag did not match URI"),
            Self::PaginationNumberInvalid => (
                "PAGINATION_NUMBER_INVALID",
                "invalid number of results requested",
            ),
            Self::Unavailable => ("UNAVAILABLE", "service unavailable"),
            Self::Unknown => ("UNKNOWN", "unknown error"),
        }
    }
}
