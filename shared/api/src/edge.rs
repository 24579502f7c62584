//! What surrounds every route group: folding the path before it, writing down errors after it.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST,
    TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version};
use roadstead_oci::ErrorCode;
use serde::Serialize;
use serde_json::json;
use tower::ServiceExt;

use crate::authorize::Asked;
use crate::connection::{Connection, Peer, RequestId};
use crate::error::{Entries, Entry, Error};
use crate::fold::fold;
use crate::signature;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");

/// What a browser makes of content that somebody has pushed, whatever type they gave it: nothing that
/// runs, and nothing within another page (Content Security Policy, sections 6.3.2 and 6.4.2).
const FOR_BROWSERS: [(HeaderName, HeaderValue); 2] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox"),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// `routes` as a whole registry or a group of it: repository names may have slashes, every
/// error is the specification's JSON, and `headers` stand on every answer.
pub fn edge(routes: Router, prefix: &str, headers: HeaderMap) -> Router {
    let edge = Arc::new(Edge {
        routes,
        prefix: prefix.to_owned(),
        headers,
    });
    Router::new().fallback_service(tower::service_fn(move |request| {
        let edge = Arc::clone(&edge);
        async move { Ok::<_, Infallible>(edge.answer(request).await) }
    }))
}

struct Edge {
    routes: Router,
    prefix: String,
    headers: HeaderMap,
}

impl Edge {
    async fn answer(&self, mut request: Request) -> Response {
        let method = request.method().clone();
        let allowed = allowed_always(request.uri().path(), &method);
        let id = request.extensions().get::<RequestId>().copied();
        signature::keep_target(&mut request);
        let response = match folded(request.uri(), &self.prefix) {
            _ if !names_host(&request) => Error::no_host().into_response(),
            _ if is_coded(&request) => Error::coded().into_response(),
            Folded::Same => self.route(request).await,
            Folded::To(uri) => {
                *request.uri_mut() = uri;
                self.route(request).await
            }
            Folded::Outside => Error::no_route().into_response(),
        };
        let response = explained(asked_for(response), &method);
        let mut response = written_down(response, id);
        if response.status() == StatusCode::METHOD_NOT_ALLOWED {
            response.headers_mut().entry(ALLOW).or_insert(allowed);
        }
        response
            .headers_mut()
            .insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        if [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&response.status()) {
            // The router's, for `HEAD`: not the length of what `GET` would have (RFC 9110, section 8.6).
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        response.headers_mut().extend(FOR_BROWSERS);
        response.headers_mut().extend(self.headers.clone());
        response
    }

    /// A handler that panics fails alone, and as an answer.
    async fn route(&self, request: Request) -> Response {
        let routed = AssertUnwindSafe(self.routes.clone().oneshot(request)).catch_unwind();
        match routed.await {
            Ok(Ok(response)) => response,
            Err(_) => Error::new(ErrorCode::Unknown, json!(null)).into_response(),
        }
    }
}

/// Whether a request of HTTP/1.1 says once, and in no other way than URLs have it, for which host it is
/// (RFC 9112, section 3.2). A gateway has seen to that.
fn names_host(request: &Request) -> bool {
    if !is_read_here(request) {
        return true;
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.as_bytes().iter().all(is_of_host),
        _ => false,
    }
}

/// Whether the bytes of a body are not what is sent in chunks but a coding of it, which nobody here undoes.
fn is_coded(request: &Request) -> bool {
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    let is_coded = codings.next().is_some_and(|first| !is_chunked(first));
    (is_coded || codings.next().is_some()) && is_read_here(request)
}

/// Whether a request was read from a connection of HTTP/1.1, and no gateway has done so before.
fn is_read_here(request: &Request) -> bool {
    let connection = request.extensions().get::<Connection>();
    let peer = connection.map(|connection| connection.peer);
    matches!(peer, Some(Peer::Socket(_) | Peer::Local)) && request.version() == Version::HTTP_11
}

/// Whether a host and its port may have this byte (RFC 3986, section 3.2.2).
fn is_of_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(byte)
}

enum Folded {
    Same,
    To(Uri),
    Outside,
}

fn folded(uri: &Uri, prefix: &str) -> Folded {
    let Some(path) = fold(uri.path(), prefix) else {
        return Folded::Outside;
    };
    if path == uri.path() {
        return Folded::Same;
    }
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    match format!("{path}{query}").try_into() {
        Ok(path_and_query) => parts.path_and_query = Some(path_and_query),
        Err(_) => return Folded::Outside,
    }
    Uri::from_parts(parts).map_or(Folded::Outside, Folded::To)
}

/// What nobody was asked for is not given. Errors are no secrets.
fn asked_for(response: Response) -> Response {
    let is_asked_for = response.extensions().get::<Asked>().is_some();
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if is_asked_for || is_error {
        return response;
    }
    tracing::error!("a route answers without having asked: see roadstead_api::authorized");
    Error::new(ErrorCode::Unknown, json!(null)).into_response()
}

/// The router's own refusals in the words of the specification.
fn explained(response: Response, method: &Method) -> Response {
    let is_ours = response.extensions().get::<Entries>().is_some();
    match response.status() {
        StatusCode::METHOD_NOT_ALLOWED if !is_ours => not_allowed(response, method),
        StatusCode::NOT_FOUND if !is_ours => Error::no_route().into_response(),
        _ => response,
    }
}

/// What stays allowed at a path where `refused` is switched off: reading, and where it is only
/// deletion that is off, pushing manifests.
fn allowed_always(path: &str, refused: &Method) -> HeaderValue {
    let is_manifest = path.rsplit('/').nth(1) == Some("manifests");
    match *refused {
        Method::DELETE if is_manifest => HeaderValue::from_static("GET,HEAD,PUT"),
        _ => HeaderValue::from_static("GET,HEAD"),
    }
}

/// 405 with `Allow`, as the router found it; `OPTIONS` is a question for just that.
fn not_allowed(refusal: Response, method: &Method) -> Response {
    let mut response = match *method {
        Method::OPTIONS => StatusCode::OK.into_response(),
        _ => Error::new(ErrorCode::Unsupported, json!(null)).into_response(),
    };
    if let Some(allow) = refusal.headers().get(ALLOW) {
        response.headers_mut().insert(ALLOW, allow.clone());
    }
    response
}

#[derive(Serialize)]
struct Errors<'a> {
    errors: &'a [Entry],
}

/// The body of an error; for a failure of ours it names the request and nothing else.
fn written_down(mut response: Response, id: Option<RequestId>) -> Response {
    let Some(Entries(mut entries)) = response.extensions_mut().remove::<Entries>() else {
        return response;
    };
    if let (true, Some(id)) = (response.status().is_server_error(), id) {
        let id = id.to_string();
        entries = entries
            .into_iter()
            .map(|entry| entry.of_request(&id))
            .collect();
    }
    let errors = serde_json::to_string(&Errors { errors: &entries }).unwrap_or_default();
    let body = format!("{errors}\n");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    // What is missing now may be pushed in a moment.
    let no_store = HeaderValue::from_static("no-store");
    headers.entry(CACHE_CONTROL).or_insert(no_store);
    *response.body_mut() = Body::from(body);
    response
}
