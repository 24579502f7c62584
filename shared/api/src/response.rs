//! Answers with content that a digest names.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, LINK, LOCATION,
};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use roadstead_oci::{Digest, ErrorCode};
use roadstead_storage::Content;

use crate::body::{FileSender, file_body};
use crate::conditional::Precondition;
use crate::error::Error;

/// `Docker-Content-Digest`.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Content that cannot change under its name.
pub const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");
/// Content that may be another one each time.
pub const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// The headers that stand on every answer about the content `digest`, also on one without it.
pub fn content_headers(digest: &Digest, cache_control: HeaderValue) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_DIGEST, value(digest.as_str()));
    headers.insert(ETAG, value(&format!("\"{digest}\"")));
    headers.insert(CACHE_CONTROL, cache_control);
    headers
}

/// The answer to a request whose preconditions do not hold.
pub fn unmet(precondition: Precondition, headers: HeaderMap) -> Option<Response> {
    match precondition {
        Precondition::Holds => None,
        Precondition::NotModified => Some((StatusCode::NOT_MODIFIED, headers).into_response()),
        Precondition::Failed => {
            let error = Error::new(
                ErrorCode::Unsupported,
                "there is other content by this name",
            )
            .with_status(StatusCode::PRECONDITION_FAILED);
            let etag = headers.get(ETAG).cloned();
            let error = etag
                .into_iter()
                .fold(error, |error, etag| error.with_header(ETAG, etag));
            Some(error.into_response())
        }
    }
}

/// 200 with `size` bytes of `content_type`.
pub fn whole(mut headers: HeaderMap, content_type: &str, size: u64, body: Body) -> Response {
    headers.insert(CONTENT_TYPE, value(content_type));
    headers.insert(CONTENT_LENGTH, size.into());
    (headers, body).into_response()
}

/// 206 with `length` bytes from `offset` of `size`.
pub fn part(
    mut headers: HeaderMap,
    content_type: &str,
    (offset, length, size): (u64, u64, u64),
    body: Body,
) -> Response {
    let last = offset + length - 1;
    headers.insert(
        CONTENT_RANGE,
        value(&format!("bytes {offset}-{last}/{size}")),
    );
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut response = whole(headers, content_type, length, body);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response
}

/// 416 for a range that none of `size` bytes is in.
pub fn unsatisfiable(size: u64) -> Error {
    Error::new(
        ErrorCode::RangeInvalid,
        "the range is not within the content",
    )
    .with_header(CONTENT_RANGE, value(&format!("bytes */{size}")))
}

/// `content` as a body, in the way of the front that set `extensions` where it has one.
pub fn body(content: Content, extensions: &Extensions) -> Body {
    match content {
        Content::Bytes(bytes) => Body::from(bytes),
        Content::Stream(stream) => Body::from_stream(stream),
        Content::File(range) => match extensions.get::<FileSender>() {
            Some(sender) => sender.body(range),
            None => file_body(range),
        },
    }
}

/// 201 for content that is pulled from `location` by `digest` from now on.
pub fn created(location: &str, digest: &Digest) -> Response {
    let headers = [
        (LOCATION, value(location)),
        (CONTENT_DIGEST, value(digest.as_str())),
        (CONTENT_LENGTH, value("0")),
    ];
    (StatusCode::CREATED, headers).into_response()
}

/// 202 without content.
pub fn accepted() -> Response {
    (StatusCode::ACCEPTED, [(CONTENT_LENGTH, "0")]).into_response()
}

/// JSON text, a newline after it as Distribution writes it, and the way to the next page.
pub fn page(
    json: &serde_json::Value,
    content_type: &'static str,
    next: Option<String>,
) -> Response {
    let mut response = ([(CONTENT_TYPE, content_type)], format!("{json}\n")).into_response();
    if let Some(next) = next {
        response.headers_mut().insert(LINK, value(&next));
    }
    response
}

/// A header value; what cannot be one is left empty rather than sent.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
