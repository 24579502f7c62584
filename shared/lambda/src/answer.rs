//! From answers to what a function returns.

use std::future::{Future, ready};
use std::pin::Pin;

use axum::response::Response;
use http_body_util::BodyExt;
use lambda_http::{Body, IntoResponse};

/// An answer whose body is sent as it is.
///
/// `lambda_http` would read a body as text when its type is JSON or alike, in the charset that
/// the type names, without a byte order mark and with replacements for what is no text: a
/// manifest would no longer have its digest.
pub(crate) struct Exact(http::Response<Body>);

impl Exact {
    /// `answer` with its body in memory: [`limit`](crate::limit) has made sure of its size. A body
    /// that fails on the way makes an answer without one, with the status 502.
    pub(crate) async fn of(answer: Response) -> Self {
        let (mut parts, body) = answer.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be read");
                parts.status = http::StatusCode::BAD_GATEWAY;
                parts.headers.clear();
                Default::default()
            }
        };
        let body = match body.is_empty() {
            true => Body::Empty,
            false => Body::Binary(body.into()),
        };
        Self(http::Response::from_parts(parts, body))
    }
}

impl IntoResponse for Exact {
    fn into_response(self) -> Pin<Box<dyn Future<Output = http::Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn sent(content_type: &str, body: &[u8]) -> Body {
        let answer = http::Response::builder().header("content-type", content_type);
        let answer = answer.body(axum::body::Body::from(body.to_vec())).unwrap();
        Exact::of(answer).await.into_response().await.into_body()
    }

    #[tokio::test]
    async fn a_body_is_sent_as_it_is_whatever_its_type() {
        let all: Vec<u8> = (0..=255).collect();
        for content_type in [
            "application/vnd.oci.image.manifest.v1+json",
            "application/json; charset=utf-16",
            "text/plain; charset=latin1",
            "application/octet-stream",
        ] {
            for body in [&all[..], b"\xef\xbb\xbf{}", b"{\"a\": \"\xff\"}", b"{}"] {
                let sent = sent(content_type, body).await;
                assert_eq!(sent, Body::Binary(body.to_vec()), "{content_type}");
            }
        }
    }
}
