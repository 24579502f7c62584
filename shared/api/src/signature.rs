//! Signed requests: what of them is signed, and that the body is what was signed.
//!
//! docker-registry 0.9 signed `METHOD,PATH,Name:value,...` with all headers `X-Docker-*`, sorted. That
//! is what is signed here, too; as the query is a part of the target, it stands behind the path. A comma
//! anywhere else would let a part of one be read as another, and is refused.

use std::pin::Pin;
use std::task::{Context, Poll};

use aws_lc_rs::digest::{self, SHA256};
use axum::body::Body;
use bytes::Bytes;
use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, Request, Uri};
use http_body::{Body as _, Frame, SizeHint};
use roadstead_auth::{InvalidSignature, Signed};

const SIGNATURE: &str = "x-signature";
const SIGNED: &str = "x-docker-";
const DATE: &str = "x-docker-date";
const CONTENT: &str = "x-docker-content-sha256";

/// A request extension: the target as its client wrote it.
#[derive(Clone)]
struct Target(Uri);

/// Keeps the target of a signed request, before anything changes it.
pub(crate) fn keep_target<B>(request: &mut Request<B>) {
    if request.headers().contains_key(SIGNATURE) {
        let target = Target(request.uri().clone());
        request.extensions_mut().insert(target);
    }
}

/// What is signed of a request, if anything is.
pub(crate) struct SignedParts {
    signature: String,
    message: Option<String>,
    date: Option<String>,
}

impl SignedParts {
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let signature = only(&parts.headers, SIGNATURE)?;
        Some(Self {
            // One that cannot be read is refused as one that is malformed.
            signature: signature.unwrap_or_default().to_owned(),
            message: message(parts),
            date: only(&parts.headers, DATE).flatten().map(str::to_owned),
        })
    }

    pub(crate) fn borrowed(&self) -> Signed<'_> {
        Signed {
            signature: &self.signature,
            message: self.message.as_deref(),
            date: self.date.as_deref(),
        }
    }
}

/// The value of a header: `None` where there is none, and nothing in it where there are several or
/// it is no text.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok();
    Some(value.filter(|_| values.next().is_none()))
}

fn message(parts: &Parts) -> Option<String> {
    let Target(target) = parts.extensions.get::<Target>()?;
    let mut signed = vec![
        parts.method.to_string(),
        target.path_and_query()?.to_string(),
    ];
    let names = parts.headers.keys();
    let mut names: Vec<&HeaderName> = names
        .filter(|name| name.as_str().starts_with(SIGNED))
        .collect();
    names.sort_by_key(|name| name.as_str());
    for name in names {
        let value = only(&parts.headers, name.as_str()).flatten()?;
        signed.push(format!("{}:{value}", capitalized(name)));
    }
    let is_plain = |part: &String| !part.contains(',');
    signed.iter().all(is_plain).then(|| signed.join(","))
}

/// `X-Docker-Date`: names as they are written for people, and were in v1.
fn capitalized(name: &HeaderName) -> String {
    let words = name.as_str().split('-').map(|word| match word.get(..1) {
        Some(first) => first.to_ascii_uppercase() + &word[1..],
        None => String::new(),
    });
    words.collect::<Vec<_>>().join("-")
}

/// The body of a signed request, which fails when it is not the one that was signed.
///
/// # Errors
///
/// There is a body, and nobody has signed it.
pub(crate) fn bound(headers: &HeaderMap, body: Body) -> Result<Body, InvalidSignature> {
    let Some(expected) = only(headers, CONTENT) else {
        return match body.is_end_stream() {
            true => Ok(body),
            false => Err(InvalidSignature::Body),
        };
    };
    Ok(Body::new(Bound {
        inner: body,
        expected: expected.unwrap_or_default().to_ascii_lowercase(),
        seen: Some(digest::Context::new(&SHA256)),
    }))
}

struct Bound {
    inner: Body,
    expected: String,
    /// `None` once it was compared.
    seen: Option<digest::Context>,
}

impl Bound {
    fn compare(&mut self) -> Result<(), axum::Error> {
        let Some(seen) = self.seen.take() else {
            return Ok(());
        };
        let digest = seen.finish();
        let digest = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        match digest.collect::<String>() == self.expected {
            true => Ok(()),
            false => Err(axum::Error::new(InvalidSignature::Body)),
        }
    }
}

impl http_body::Body for Bound {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        let Poll::Ready(frame) = polled else {
            return Poll::Pending;
        };
        let Some(frame) = frame.transpose()? else {
            return Poll::Ready(this.compare().err().map(Err));
        };
        if let (Some(data), Some(seen)) = (frame.data_ref(), &mut this.seen) {
            seen.update(data);
        }
        // Who knows the length does not ask for what follows the last byte.
        if this.inner.is_end_stream() {
            this.compare()?;
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.seen.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(target: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method("PUT").uri(target);
        for (name, value) in headers.iter().chain(&[(SIGNATURE, "x")]) {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        keep_target(&mut request);
        *request.uri_mut() = "/changed".parse().unwrap();
        message(&request.into_parts().0)
    }

    #[test]
    fn what_is_signed_can_be_read_in_one_way_only() {
        let date = ("x-docker-date", "2026-01-02T03:04:05Z");
        let content = ("X-Docker-Content-Sha256", "00");
        for (target, headers, expected) in [
            (
                "/v2/",
                &[date][..],
                Some("PUT,/v2/,X-Docker-Date:2026-01-02T03:04:05Z"),
            ),
            (
                "/v2/a/b?digest=x&y",
                &[date, content, ("accept", "a,b")],
                Some(
                    "PUT,/v2/a/b?digest=x&y,X-Docker-Content-Sha256:00,X-Docker-Date:2026-01-02T03:04:05Z",
                ),
            ),
            (
                "/v2/a%2cb",
                &[date],
                Some("PUT,/v2/a%2cb,X-Docker-Date:2026-01-02T03:04:05Z"),
            ),
            ("/v2/a,X-Docker-Content-Sha256:00", &[date], None),
            ("/v2/?a,b", &[date], None),
            (
                "/v2/",
                &[date, ("x-docker-a", "b,X-Docker-Content-Sha256:00")],
                None,
            ),
            ("/v2/", &[date, date], None),
            ("/v2/", &[("x-docker-date", "\u{e9}")], None),
        ] {
            assert_eq!(message_of(target, headers).as_deref(), expected, "{target}");
        }
    }

    #[tokio::test]
    async fn a_body_is_what_was_signed_or_fails() {
        use http_body_util::BodyExt;
        let sha256 = |text: &str| {
            let digest = digest::digest(&SHA256, text.as_bytes());
            let digest = digest.as_ref().iter();
            digest.map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let signed = |text: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(text) = text {
                headers.insert(CONTENT, sha256(text).parse().unwrap());
            }
            headers
        };
        for (header, body, fits) in [
            (Some("abc"), "abc", true),
            (Some("abc"), "abd", false),
            (Some("abc"), "", false),
            (Some(""), "", true),
            (None, "", true),
        ] {
            let body = bound(&signed(header), Body::from(body)).unwrap();
            let read = body.collect().await;
            assert_eq!(read.is_ok(), fits, "{header:?}");
            let chunks = ["a", "b", "c"].map(|part| Ok::<_, std::io::Error>(Bytes::from(part)));
            let stream = Body::from_stream(futures_util::stream::iter(chunks));
            if header.is_some() {
                let read = bound(&signed(header), stream).unwrap().collect().await;
                assert_eq!(read.is_ok(), header == Some("abc"), "{header:?}");
            }
        }
        assert_eq!(
            bound(&signed(None), Body::from("abc")).unwrap_err(),
            InvalidSignature::Body
        );
    }
}
