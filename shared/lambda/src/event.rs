//! From events to requests (Lambda Developer Guide, "Invoking Lambda function URLs", request
//! payload format version 2.0; HTTP APIs send the same).

use std::collections::BTreeMap;

use anyhow::Context;
use axum::body::Body;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use roadstead_api::{Connection, Peer, RequestId};
use serde::Deserialize;
use uuid::Uuid;

/// What a function needs to know of a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    raw_path: String,
    raw_query_string: Option<String>,
    /// Values of a header that was sent more than once are joined by commas.
    headers: Option<BTreeMap<String, String>>,
    request_context: Caller,
    body: Option<String>,
    is_base64_encoded: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Caller {
    http: Http,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Http {
    method: String,
    source_ip: Option<String>,
}

impl Event {
    /// The request, with the extensions that every front sets; `id` is the invocation's.
    ///
    /// # Errors
    ///
    /// What no gateway sends.
    pub(crate) fn request(self, id: &str) -> anyhow::Result<Request> {
        let body = self.body.unwrap_or_default();
        let body = match self.is_base64_encoded.unwrap_or_default() {
            true => STANDARD.decode(body).context("the body is no base64")?,
            false => body.into_bytes(),
        };
        let mut headers = headers(&self.headers.unwrap_or_default());
        if !body.is_empty() {
            let length = HeaderValue::from(body.len());
            headers.entry(CONTENT_LENGTH).or_insert(length);
        }
        let Http { method, source_ip } = self.request_context.http;
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = Method::from_bytes(method.as_bytes()).context("no method")?;
        *request.uri_mut() = uri(&self.raw_path, &self.raw_query_string.unwrap_or_default())?;
        *request.headers_mut() = headers;
        let id = id.parse::<Uuid>();
        let extensions = request.extensions_mut();
        extensions.insert(id.map_or_else(|_| RequestId::new(), RequestId::from));
        if let Some(peer) = source_ip.and_then(|address| address.parse().ok()) {
            // Function URLs and HTTP APIs speak HTTPS only.
            extensions.insert(Connection {
                peer: Peer::Address(peer),
                secure: true,
            });
        }
        Ok(request)
    }
}

fn uri(path: &str, query: &str) -> anyhow::Result<Uri> {
    let separator = if query.is_empty() { "" } else { "?" };
    let uri = format!("{path}{separator}{query}").parse();
    uri.context("the path and the query are no URI")
}

/// What cannot be a header is left out.
fn headers(sent: &BTreeMap<String, String>) -> HeaderMap {
    let header = |(name, value): (&String, &String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    sent.iter().filter_map(header).collect()
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::{Value, json};

    use super::*;

    fn event(over: Value) -> anyhow::Result<Request> {
        let mut event = json!({
            "rawPath": "/v2/a%2Fb/../c/manifests/t",
            "rawQueryString": "x=%31&y",
            "headers": {"host": "r", "accept": "a,b", "no header": "x", "x-forwarded-proto": "?"},
            "requestContext": {"http": {"method": "PUT", "sourceIp": "192.0.2.7"}},
        });
        let over = over.as_object().cloned().unwrap_or_default();
        event.as_object_mut().unwrap().extend(over);
        serde_json::from_value::<Event>(event)?.request("8476a536-e9f4-11e8-9739-2dfe598c3fcd")
    }

    #[test]
    fn a_request_is_what_the_client_wrote() {
        let request = event(json!({})).unwrap();
        assert_eq!(request.method(), Method::PUT);
        assert_eq!(request.uri(), "/v2/a%2Fb/../c/manifests/t?x=%31&y");
        assert_eq!(request.headers()["accept"], "a,b");
        assert_eq!(request.headers().len(), 3);
        let connection = request.extensions().get::<Connection>().unwrap();
        assert_eq!(connection.peer.to_string(), "192.0.2.7");
        assert!(connection.secure);
        let id = request.extensions().get::<RequestId>().unwrap();
        assert_eq!(id.to_string(), "8476a536-e9f4-11e8-9739-2dfe598c3fcd");
    }

    #[test]
    fn what_is_empty_may_be_null() {
        let null =
            json!({"rawQueryString": null, "headers": null, "body": null, "isBase64Encoded": null});
        let request = event(null).unwrap();
        assert_eq!(request.uri(), "/v2/a%2Fb/../c/manifests/t");
        assert!(request.headers().is_empty());
    }

    #[tokio::test]
    async fn a_body_has_the_bytes_that_were_sent() {
        let all: Vec<u8> = (0..=255).collect();
        for (sent, is_base64, bytes) in [
            (STANDARD.encode(&all), true, &all[..]),
            (
                "\u{feff}{\"\u{e9}\"}".to_owned(),
                false,
                "\u{feff}{\"\u{e9}\"}".as_bytes(),
            ),
            (String::new(), true, b""),
        ] {
            let request = event(json!({"body": sent, "isBase64Encoded": is_base64})).unwrap();
            let length = request.headers().get(CONTENT_LENGTH);
            let length = length.map_or("0".to_owned(), |length| length.to_str().unwrap().into());
            assert_eq!(length, bytes.len().to_string());
            let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
            assert_eq!(body, bytes);
        }
    }

    #[test]
    fn what_no_gateway_sends_is_an_error() {
        for over in [
            json!({"rawPath": "/v2/\u{7f} x"}),
            json!({"rawPath": null}),
            json!({"body": "?", "isBase64Encoded": true}),
            json!({"requestContext": {"http": {"method": "?\n"}}}),
            json!({"requestContext": {}}),
        ] {
            assert!(event(over.clone()).is_err(), "{over}");
        }
    }
}
