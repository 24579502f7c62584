//! What the store's answers mean.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use roadstead_storage::{Error, Key};

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A call that failed for good: the SDK has tried it again where that could help.
#[derive(Debug, thiserror::Error)]
#[error("{action} failed")]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    action: &'static str,
    #[source]
    cause: Cause,
}

/// Why a call failed, as far as the driver cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no such object: the store says so in words.
    NoObject,
    /// Something is not there, and nobody says what: all that the answer to a HEAD can tell. It
    /// may be the object, the bucket, or a page that a proxy does not know.
    Bare404,
    /// There is no such multipart upload.
    NoUpload,
    /// A part is not the one that the request names.
    NoPart,
    /// The condition of the request does not hold.
    Condition,
    /// Another request on the same object came between.
    Race,
    /// The range lies beyond the end.
    Range,
    /// The store does not know this request, or not with these headers.
    Unknown,
    /// Anything else: an outage, as far as callers are concerned.
    Outage,
}

impl Failure {
    pub(crate) fn new<E>(action: &'static str, error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let status = error.raw_response().map(|answer| answer.status().as_u16());
        let kind = kind(error.as_service_error().and_then(E::code), status);
        let cause = Cause::from(error);
        Self {
            kind,
            action,
            cause,
        }
    }

    /// A failure that the store did not report, but that its answers amount to.
    pub(crate) fn found(action: &'static str, what: impl Into<Cause>) -> Self {
        Self {
            kind: Kind::Outage,
            action,
            cause: what.into(),
        }
    }

    /// The same as a condition that does not hold.
    pub(crate) fn into_condition(self) -> Self {
        Self {
            kind: Kind::Condition,
            ..self
        }
    }

    /// As the driver's caller sees it when there is nothing to be had at `key`.
    pub(crate) fn at(self, key: &Key) -> Error {
        match self.kind {
            Kind::NoObject => Error::NotFound(key.to_string()),
            Kind::Race | Kind::Condition => Error::Busy(key.to_string()),
            _ => self.outage(),
        }
    }

    /// As an outage, whatever it is.
    pub(crate) fn outage(self) -> Error {
        Error::Unavailable(self.into())
    }
}

fn kind(code: Option<&str>, status: Option<u16>) -> Kind {
    match (code, status) {
        (Some("NoSuchKey"), _) => Kind::NoObject,
        (Some("NotFound") | None, Some(404)) => Kind::Bare404,
        (Some("NoSuchUpload"), _) => Kind::NoUpload,
        (Some("InvalidPart"), _) => Kind::NoPart,
        (Some("PreconditionFailed"), _) | (_, Some(412)) => Kind::Condition,
        (Some("ConditionalRequestConflict"), _) => Kind::Race,
        (Some("InvalidRange"), _) | (_, Some(416)) => Kind::Range,
        (Some("NotImplemented" | "MethodNotAllowed"), _) | (_, Some(405 | 501)) => Kind::Unknown,
        _ => Kind::Outage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_object_is_ever_missing() {
        for (code, status, expected) in [
            (Some("NoSuchKey"), 404, Kind::NoObject),
            (Some("NotFound"), 404, Kind::Bare404),
            (None, 404, Kind::Bare404),
            (Some("NoSuchBucket"), 404, Kind::Outage),
            (Some("AccessDenied"), 403, Kind::Outage),
            (Some("SlowDown"), 503, Kind::Outage),
            (None, 503, Kind::Outage),
            (None, 500, Kind::Outage),
            (Some("NoSuchUpload"), 404, Kind::NoUpload),
            (Some("InvalidPart"), 400, Kind::NoPart),
            (Some("PreconditionFailed"), 412, Kind::Condition),
            (None, 412, Kind::Condition),
            (Some("ConditionalRequestConflict"), 409, Kind::Race),
            (Some("InvalidRange"), 416, Kind::Range),
            (Some("NotImplemented"), 501, Kind::Unknown),
        ] {
            assert_eq!(kind(code, Some(status)), expected, "{code:?} {status}");
        }
        assert_eq!(kind(None, None), Kind::Outage);
    }
}
