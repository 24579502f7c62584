//! Requests that come to a function that has no route for them: something in front is set up
//! wrong, and the client is told so in the words of the specification.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Method, Request, StatusCode};
use roadstead_api::{Api, ApiOptions, Secret, edge};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};
use serde_json::Value;
use tower::ServiceExt;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn api() -> Api {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    let options = ApiOptions::new(Secret::new(b"secret"));
    Api::new(registry, options)
}

/// A route of each group, by the group's name.
fn requests() -> Vec<(&'static str, Method, String)> {
    vec![
        ("base", Method::GET, "/v2/".to_owned()),
        ("blobs", Method::GET, format!("/v2/a/b/blobs/{DIGEST}")),
        ("uploads", Method::POST, "/v2/a/b/blobs/uploads/".to_owned()),
        (
            "uploads",
            Method::PATCH,
            "/v2/a/b/blobs/uploads/id".to_owned(),
        ),
        (
            "manifests",
            Method::PUT,
            "/v2/a/b/manifests/latest".to_owned(),
        ),
        ("discovery", Method::GET, "/v2/a/b/tags/list".to_owned()),
        (
            "discovery",
            Method::GET,
            format!("/v2/a/b/referrers/{DIGEST}"),
        ),
        ("none", Method::GET, "/v2/a/b".to_owned()),
        ("none", Method::GET, "/elsewhere".to_owned()),
    ]
}

type Routes = fn(Api) -> Router;

async fn answer(routes: Routes, method: &Method, path: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::from("anything")).unwrap();
    let answer = edge(routes(api()), "/", HeaderMap::new()).oneshot(request);
    let (parts, body) = answer.await.unwrap().into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    (
        parts.status,
        serde_json::from_slice(&body).unwrap_or_default(),
    )
}

#[tokio::test]
async fn a_function_refuses_the_routes_of_others_with_an_error_of_the_specification() {
    let groups: [(&str, Routes); 5] = [
        ("base", roadstead_base::router),
        ("blobs", roadstead_blobs::router),
        ("uploads", roadstead_uploads::router),
        ("manifests", roadstead_manifests::router),
        ("discovery", roadstead_discovery::router),
    ];
    for (group, routes) in groups {
        for (owner, method, path) in requests() {
            let (status, body) = answer(routes, &method, &path).await;
            let code = body["errors"][0]["code"].as_str().unwrap_or_default();
            let refused = status == StatusCode::NOT_FOUND && code == "UNSUPPORTED";
            assert_eq!(
                refused,
                owner != group,
                "{group}: {method} {path}: {status} {body}"
            );
        }
    }
}

#[tokio::test]
async fn the_combined_function_has_the_routes_of_all() {
    for (owner, method, path) in requests() {
        let (status, body) = answer(roadstead_combined::router, &method, &path).await;
        let code = body["errors"][0]["code"].as_str().unwrap_or_default();
        let refused = status == StatusCode::NOT_FOUND && code == "UNSUPPORTED";
        assert_eq!(refused, owner == "none", "{method} {path}: {status} {body}");
    }
}
