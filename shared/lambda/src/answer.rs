//! From answers to what a function returns (Lambda Developer Guide, "Invoking Lambda function
//! URLs", response payload format version 2.0).

use std::collections::BTreeMap;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;

/// An answer; its body is always sent in base64, so that nobody on the way takes it for text: a
/// manifest would no longer have its digest.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    status_code: u16,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    is_base64_encoded: bool,
    /// None; `cargo lambda` insists on being told.
    cookies: [(); 0],
}

impl Answer {
    /// `response` with its body in memory: [`limit`](crate::limit) has made sure of its size. A
    /// body that fails on the way makes an answer without one, with the status 502.
    pub(crate) async fn of(response: Response) -> Self {
        let (mut parts, body) = response.into_parts();
        let body = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) => {
                tracing::error!(%error, "an answer cannot be read");
                parts.status = StatusCode::BAD_GATEWAY;
                parts.headers.clear();
                Default::default()
            }
        };
        Self {
            status_code: parts.status.as_u16(),
            headers: joined(&parts.headers),
            body: STANDARD.encode(&body),
            is_base64_encoded: !body.is_empty(),
            cookies: [],
        }
    }
}

/// A header has one value here: several become a list (RFC 9110, section 5.2). No answer of a
/// registry sets cookies, for which that does not hold.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut joined = BTreeMap::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.filter_map(|value| value.to_str().ok()).collect();
        joined.insert(name.to_string(), values.join(", "));
    }
    joined
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use serde_json::{Value, json};

    use super::*;

    async fn sent(content_type: &str, body: &[u8]) -> Value {
        let response = http::Response::builder().header("content-type", content_type);
        let response = response.header("oci-tag", "a").header("oci-tag", "b");
        let response = response.body(Body::from(body.to_vec())).unwrap();
        serde_json::to_value(Answer::of(response).await).unwrap()
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
                assert_eq!(sent["isBase64Encoded"], true);
                let bytes = STANDARD.decode(sent["body"].as_str().unwrap()).unwrap();
                assert_eq!(bytes, body, "{content_type}");
            }
        }
    }

    #[tokio::test]
    async fn headers_are_all_sent_and_an_empty_body_is_none() {
        let sent = sent("text/plain", b"").await;
        let headers = json!({"content-type": "text/plain", "oci-tag": "a, b"});
        let expected = json!({
            "statusCode": 200,
            "headers": headers,
            "isBase64Encoded": false,
            "cookies": [],
        });
        assert_eq!(sent, expected);
    }
}
