//! Errors as the specification's JSON, and the one table from codes to statuses.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use roadstead_oci::{Digest, ErrorCode};
use serde::Serialize;
use serde_json::{Value, json};

/// An answer that is no success.
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    entries: Vec<Entry>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// One error of an answer (specification, "Error Codes").
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    code: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Value::is_null")]
    detail: Value,
}

/// What a response carries until the outermost layer writes it down.
#[derive(Clone, Debug)]
pub(crate) struct Entries(pub(crate) Vec<Entry>);

/// The status of an answer whose first error has this code.
pub fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BlobUnknown
        | ErrorCode::BlobUploadInvalid
        | ErrorCode::BlobUploadUnknown
        | ErrorCode::ManifestUnknown
        | ErrorCode::NameUnknown => StatusCode::NOT_FOUND,
        ErrorCode::DigestInvalid
        | ErrorCode::ManifestBlobUnknown
        | ErrorCode::ManifestInvalid
        | ErrorCode::NameInvalid
        | ErrorCode::PaginationNumberInvalid
        | ErrorCode::SizeInvalid
        | ErrorCode::TagInvalid => StatusCode::BAD_REQUEST,
        ErrorCode::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Denied => StatusCode::FORBIDDEN,
        ErrorCode::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl Error {
    /// An error with the status of its code.
    pub fn new(code: ErrorCode, detail: impl Into<Value>) -> Self {
        Self {
            status: status(code),
            entries: vec![Entry::new(code, detail.into())],
            headers: Vec::new(),
            cause: None,
        }
    }

    /// The same error with another status.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The same error in other words than its code's: clients show them to people.
    #[must_use]
    pub fn with_message(mut self, message: &'static str) -> Self {
        for entry in &mut self.entries {
            entry.message = message;
        }
        self
    }

    /// The same error with a further header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A path that is no route.
    pub fn no_route() -> Self {
        Self::new(ErrorCode::Unsupported, "there is nothing at this path")
            .with_status(StatusCode::NOT_FOUND)
    }

    /// A request of which nobody can say for which host it is.
    pub(crate) fn no_host() -> Self {
        Self::new(ErrorCode::Unsupported, "the request must name one host")
            .with_status(StatusCode::BAD_REQUEST)
    }

    /// A body in a transfer coding beside `chunked` (RFC 9112, section 6.1).
    pub(crate) fn coded() -> Self {
        Self::new(ErrorCode::Unsupported, Value::Null)
            .with_status(StatusCode::NOT_IMPLEMENTED)
            .with_message("the one transfer coding that is understood is chunked")
    }

    fn unknown_references(missing: Vec<Digest>) -> Self {
        let code = ErrorCode::ManifestBlobUnknown;
        let entries = missing
            .iter()
            .map(|digest| Entry::new(code, digest.as_str().into()));
        Self {
            status: status(code),
            entries: entries.collect(),
            headers: Vec::new(),
            cause: None,
        }
    }

    fn outage(cause: Box<dyn std::error::Error + Send + Sync>) -> Self {
        const SOON: HeaderValue = HeaderValue::from_static("1");
        let mut error =
            Self::new(ErrorCode::Unavailable, Value::Null).with_header(RETRY_AFTER, SOON);
        error.cause = Some(cause);
        error
    }
}

impl Entry {
    fn new(code: ErrorCode, detail: Value) -> Self {
        Self {
            code: code.as_str(),
            message: code.message(),
            detail,
        }
    }

    /// The same entry, naming the request in place of what is nobody's business.
    pub(crate) fn of_request(mut self, id: &str) -> Self {
        self.detail = json!({ "request": id });
        self
    }
}

impl From<roadstead_registry::Error> for Error {
    fn from(error: roadstead_registry::Error) -> Self {
        use roadstead_registry::Error as Core;
        let code = error.code();
        match error {
            Core::NameUnknown(name) => Self::new(code, json!({ "name": name.as_str() })),
            Core::BlobUnknown(digest) => Self::new(code, digest.as_str()),
            Core::ManifestUnknown(name, reference) => {
                Self::new(code, unknown_manifest(&name, &reference))
            }
            Core::ReferencesUnknown(missing) => Self::unknown_references(missing),
            Core::ManifestTooLarge(_) => {
                Self::new(code, error.to_string()).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            Core::UploadBusy => {
                Self::new(code, error.to_string()).with_status(StatusCode::CONFLICT)
            }
            Core::BodyBroken(_) => Self::new(code, error.to_string()),
            Core::Unavailable(cause) => Self::outage(cause),
            Core::UploadUnknown => Self::new(code, Value::Null),
            Core::ReadOnly => Self::new(code, error.to_string())
                .with_header(ALLOW, HeaderValue::from_static("GET,HEAD")),
            error => Self::new(code, error.to_string()),
        }
    }
}

fn unknown_manifest(
    name: &roadstead_oci::RepositoryName,
    reference: &roadstead_oci::Reference,
) -> String {
    match reference {
        roadstead_oci::Reference::Tag(tag) => format!("unknown tag={tag}"),
        roadstead_oci::Reference::Digest(digest) => {
            format!("unknown manifest name={name} revision={digest}")
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(error = %chain(cause.as_ref()), "a back end failed");
        }
        let mut response = self.status.into_response();
        response.headers_mut().extend(self.headers);
        response.extensions_mut().insert(Entries(self.entries));
        response
    }
}

/// An error and all that it comes from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
