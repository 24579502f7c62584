//! A function that is asked for what another one has says so in the specification's words, and
//! does nothing: whatever stands in front of the functions may be configured wrongly.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use roadstead_api::{Api, ApiOptions, Secret, UrlOptions, edge};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};
use serde_json::Value;
use tower::ServiceExt;

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A route of each group.
const ROUTES: [(&str, &str); 7] = [
    ("base", "/v2/"),
    ("blobs", "/v2/a/b/blobs/{digest}"),
    ("uploads", "/v2/a/b/blobs/uploads/"),
    (
        "uploads",
        "/v2/a/b/blobs/uploads/0193a7f0-7c1e-4b6a-8000-0123456789ab",
    ),
    ("manifests", "/v2/a/b/manifests/latest"),
    ("discovery", "/v2/a/b/tags/list"),
    ("discovery", "/v2/_catalog"),
];

fn api() -> Api {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    let options = ApiOptions {
        urls: UrlOptions {
            host: None,
            relative: true,
            prefix: "/".to_owned(),
        },
        secret: Secret::new(b"secret"),
        max_catalog_entries: 10,
        max_tags: 10,
    };
    Api::new(registry, options)
}

/// Status and, of an error, its first code.
async fn asked(routes: Router, method: &str, path: &str) -> (StatusCode, Option<String>) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::from("{}")).unwrap();
    let answer = edge(routes, "/", HeaderMap::new()).oneshot(request).await;
    let answer = answer.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    let code = body.and_then(|body| Some(body["errors"][0]["code"].as_str()?.to_owned()));
    (status, code)
}

#[tokio::test]
async fn a_function_refuses_what_another_one_has() {
    let groups: [(&str, fn(Api) -> Router); 5] = [
        ("base", roadstead_base::router),
        ("blobs", roadstead_blobs::router),
        ("uploads", roadstead_uploads::router),
        ("manifests", roadstead_manifests::router),
        ("discovery", roadstead_discovery::router),
    ];
    for (group, router) in groups {
        for (owner, route) in ROUTES {
            let path = route.replace("{digest}", DIGEST);
            for method in ["GET", "PUT", "POST", "PATCH", "DELETE"] {
                let (status, code) = asked(router(api()), method, &path).await;
                if group == owner {
                    let is_route = code.as_deref() != Some("UNSUPPORTED")
                        || status == StatusCode::METHOD_NOT_ALLOWED;
                    assert!(is_route, "{group}: {method} {path}: {status}");
                } else {
                    let refused = (status, code.is_some());
                    let expected = (StatusCode::NOT_FOUND, true);
                    assert_eq!(refused, expected, "{group}: {method} {path}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_function_with_all_routes_refuses_none() {
    for (_, route) in ROUTES {
        let path = route.replace("{digest}", DIGEST);
        // No route takes it, so one that exists says which methods it does take.
        let (status, _) = asked(roadstead_combined::router(api()), "FROM", &path).await;
        let is_there = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::OK].contains(&status);
        assert!(is_there, "{path}: {status}");
    }
}
