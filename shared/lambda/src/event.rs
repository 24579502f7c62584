//! From events to requests.

use axum::extract::Request;
use http::header::CONTENT_LENGTH;
use http::{HeaderValue, Uri};
use lambda_http::request::RequestContext;
use lambda_http::{Body, RequestExt};
use roadstead_api::{Connection, Peer, RequestId};
use uuid::Uuid;

/// The request that an event tells of, with the extensions that every front sets.
pub(crate) fn request(event: lambda_http::Request) -> Request {
    let id = event.lambda_context_ref();
    let id = id.and_then(|context| context.request_id.parse::<Uuid>().ok());
    let id = id.map_or_else(RequestId::new, RequestId::from);
    let connection = connection(&event);
    let uri = uri(&event);
    let (mut parts, body) = event.into_parts();
    parts.uri = uri;
    parts.extensions = http::Extensions::new();
    parts.extensions.insert(id);
    if let Some(connection) = connection {
        parts.extensions.insert(connection);
    }
    let body = bytes(body);
    if !body.is_empty() {
        let length = HeaderValue::from(body.len());
        parts.headers.entry(CONTENT_LENGTH).or_insert(length);
    }
    Request::from_parts(parts, axum::body::Body::from(body))
}

/// The path as the client wrote it: `lambda_http` resolves dots in it, the router does not.
fn uri(event: &lambda_http::Request) -> Uri {
    let query = event.uri().query();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let written = format!("{}{query}", event.raw_http_path());
    let written = written.parse().ok();
    written.unwrap_or_else(|| event.uri().clone())
}

/// Function URLs and HTTP APIs speak HTTPS only.
fn connection(event: &lambda_http::Request) -> Option<Connection> {
    let RequestContext::ApiGatewayV2(context) = event.request_context_ref()? else {
        return None;
    };
    let peer = context.http.source_ip.as_deref()?.parse().ok()?;
    Some(Connection {
        peer: Peer::Address(peer),
        secure: true,
    })
}

fn bytes(body: Body) -> Vec<u8> {
    match body {
        Body::Text(text) => text.into_bytes(),
        Body::Binary(bytes) => bytes,
        _ => Vec::new(),
    }
}
