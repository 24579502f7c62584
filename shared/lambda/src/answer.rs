//! From answers to what a function returns (Lambda Developer Guide, "Invoking Lambda function
//! URLs", response payload format version 2.0).

use std::collections::BTreeMap;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_LENGTH, WWW_AUTHENTICATE};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;

use crate::limit::MOST;

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

/// What a Function URL does to answers, and what gets through it.
///
/// It makes `x-amzn-Remapped-…` of some headers, `WWW-Authenticate` and `Content-Length` among them,
/// as API Gateway does for REST (API Gateway Developer Guide, "Important notes"; for Function URLs
/// it is not documented, but told by many, as in <https://zenn.dev/ashphy/scraps/5d70402729657f>),
/// and says the length of the body that it was given, which for `HEAD` is none.
impl Answer {
    /// The same, to a request with this method: an answer to `HEAD` has a body as long as it says,
    /// whose bytes no client is sent.
    #[must_use]
    pub(crate) fn with_length_for(mut self, method: &Method) -> Self {
        let length = self.headers.get(CONTENT_LENGTH.as_str());
        let length = length.and_then(|length| length.parse().ok());
        match length {
            Some(length @ 1..=MOST) if *method == Method::HEAD && self.body.is_empty() => {
                self.body = STANDARD.encode(vec![b' '; length]);
                self.is_base64_encoded = true;
                self
            }
            _ => self,
        }
    }

    /// The same, with a challenge as what gets to CloudFront: it has a function for
    /// answers, which is only called below 400 (CloudFront Developer Guide, "Restrictions on all
    /// edge functions") and may change the status. Where there is no such function clients see a
    /// status that permits nothing.
    #[must_use]
    pub(crate) fn with_relayed_challenge(mut self) -> Self {
        if let Some(challenge) = self.headers.remove(WWW_AUTHENTICATE.as_str()) {
            let status = std::mem::replace(&mut self.status_code, RELAYED);
            let relayed = [
                ("x-relayed-status", status.to_string()),
                ("x-relayed-www-authenticate", challenge),
            ];
            let relayed = relayed.map(|(name, value)| (name.to_owned(), value));
            self.headers.extend(relayed);
        }
        self
    }
}

/// "Multiple Choices": of what is below 400 the one that no client takes for more than it is.
const RELAYED: u16 = 300;

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

    fn answer(status: u16, headers: &[(&str, &str)]) -> Answer {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Answer {
            status_code: status,
            headers: headers.iter().map(owned).collect(),
            body: String::new(),
            is_base64_encoded: false,
            cookies: [],
        }
    }

    #[test]
    fn an_answer_to_head_has_a_body_as_long_as_it_says() {
        let most = MOST.to_string();
        let more = (MOST + 1).to_string();
        for (method, length, expected) in [
            (Method::HEAD, "1234", 1234),
            (Method::HEAD, &most, MOST),
            (Method::HEAD, "0", 0),
            (Method::HEAD, &more, 0),
            (Method::GET, "1234", 0),
        ] {
            let answer = answer(200, &[("content-length", length)]).with_length_for(&method);
            let body = STANDARD.decode(&answer.body).unwrap();
            assert_eq!(body.len(), expected, "{method} {length}");
            assert_eq!(answer.is_base64_encoded, expected > 0);
        }
    }

    #[test]
    fn a_challenge_is_relayed_and_nothing_else_is() {
        let challenged = answer(401, &[("www-authenticate", "Basic realm=\"a\"")]);
        let relayed = challenged.with_relayed_challenge();
        let headers = [
            ("x-relayed-status", "401"),
            ("x-relayed-www-authenticate", "Basic realm=\"a\""),
        ];
        let expected = serde_json::to_value(answer(300, &headers)).unwrap();
        assert_eq!(serde_json::to_value(relayed).unwrap(), expected);
        for status in [200, 307, 401, 403] {
            let same = answer(status, &[("a", "b")]).with_relayed_challenge();
            assert_eq!(same.status_code, status);
            assert_eq!(same.headers.len(), 1);
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
