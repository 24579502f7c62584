//! What stands in front of a repository is asked once for each request: it may look something up, or count.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use http::header::LOCATION;
use http::{Method, Request, StatusCode};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digester};
use roadstead_registry::middleware::{Change, Middleware, Permit, RepositoryMiddleware};
use roadstead_registry::{Error, Policy, Registry, Repository};
use roadstead_storage::{Driver, MemoryDriver};
use support::routes_over;
use tower::ServiceExt;

/// Permits all, and counts how often it is asked.
#[derive(Clone, Debug, Default)]
struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl RepositoryMiddleware for Counting {
    async fn permit(&self, _: Repository<'_>, _: &Change<'_>) -> Result<Permit, Error> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(Permit::free())
    }
}

fn registry(counting: &Counting, driver: MemoryDriver) -> Router {
    let driver: Arc<dyn Driver> = Arc::new(driver);
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    let registry = registry.with_middleware(Middleware {
        repository: vec![Arc::new(counting.clone())],
        ..Middleware::default()
    });
    routes_over(registry)
}

async fn send(registry: &Router, method: Method, path: &str, body: &'static str) -> Response {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    registry.clone().oneshot(request).await.unwrap()
}

fn location(response: &Response) -> String {
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_request_of_an_upload_asks_once() {
    let digest = Digester::digest(Algorithm::Sha256, b"the blob");
    for driver in [MemoryDriver::new(), MemoryDriver::with_notes()] {
        for (chunk, last) in [("the blob", ""), ("the ", "blob")] {
            let counting = Counting::default();
            let registry = registry(&counting, driver.clone());
            let asked = || counting.0.swap(0, Ordering::SeqCst);

            let begun = send(&registry, Method::POST, "/v2/app/blobs/uploads/", "").await;
            assert_eq!((begun.status(), asked()), (StatusCode::ACCEPTED, 1));
            let grown = send(&registry, Method::PATCH, &location(&begun), chunk).await;
            assert_eq!((grown.status(), asked()), (StatusCode::ACCEPTED, 1));
            let end = format!("{}&digest={digest}", location(&grown));
            let ended = send(&registry, Method::PUT, &end, last).await;
            assert_eq!(
                (ended.status(), asked()),
                (StatusCode::CREATED, 1),
                "{last:?}"
            );
        }
    }
}
