//! Uploads that go on at an upload server.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{HOST, LOCATION, RANGE};
use http::{HeaderMap, Method, Request, StatusCode};
use roadstead_api::{Api, ApiOptions, Secret, UploadOrigin, UrlOptions, edge};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digester};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};
use tower::ServiceExt;

/// A registry whose uploads go to an upload server, and that server.
struct Pair {
    registry: Router,
    uploads: Router,
}

impl Pair {
    fn new(origin: UploadOrigin, relative: bool) -> Self {
        let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
        let layout = Layout::new(Arc::clone(&driver), Options::default());
        let registry = Registry::new(Arc::new(layout), driver, Policy::default());
        let urls = UrlOptions {
            relative,
            ..UrlOptions::default()
        };
        let options = ApiOptions {
            urls,
            ..ApiOptions::new(Secret::new(b"secret"))
        };
        let api = Api::new(registry, options).with_upload_origin(Some(origin));
        let whole = |routes| edge(routes, "/", HeaderMap::new());
        Self {
            registry: whole(roadstead_uploads::router(api.clone())),
            uploads: whole(roadstead_uploads::origin_router(api)),
        }
    }

    async fn begin(&self) -> String {
        let path = "/v2/a/b/blobs/uploads/";
        let answer = send(
            &self.registry,
            Method::POST,
            path,
            "registry",
            Body::empty(),
        )
        .await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        header(&answer, LOCATION.as_str()).to_owned()
    }

    async fn at_upload_server(&self, method: Method, url: &str, body: impl Into<Body>) -> Response {
        let path = &url[url.find("/_uploads/").unwrap()..];
        send(&self.uploads, method, path, "internal", body.into()).await
    }
}

async fn send(to: &Router, method: Method, path: &str, host: &str, body: Body) -> Response {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host);
    to.clone()
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

fn digest(content: &[u8]) -> String {
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.update(content);
    digester.finish().to_string()
}

#[tokio::test]
async fn an_upload_goes_on_there_and_ends_with_the_blob_at_the_registry() {
    for (origin, relative, uploads, registry) in [
        (
            UploadOrigin::SameHost,
            false,
            "http://registry/_uploads/",
            "http://registry/v2/",
        ),
        (UploadOrigin::SameHost, true, "/_uploads/", "/v2/"),
        (
            UploadOrigin::Host("https://up".to_owned()),
            true,
            "https://up/_uploads/",
            "http://registry/v2/",
        ),
    ] {
        let pair = Pair::new(origin, relative);
        let url = pair.begin().await;
        assert!(url.starts_with(uploads), "{url}");
        let answer = pair.at_upload_server(Method::PATCH, &url, "first ").await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(header(&answer, RANGE.as_str()), "0-5");
        let url = header(&answer, LOCATION.as_str()).to_owned();
        assert!(url.starts_with(uploads), "{url}");
        let answer = pair
            .at_upload_server(Method::GET, &url, Body::empty())
            .await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        let digest = digest(b"first last");
        let finish = format!("{url}&digest={digest}");
        let answer = pair.at_upload_server(Method::PUT, &finish, "last").await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let blob = format!("{registry}a/b/blobs/{digest}");
        assert_eq!(header(&answer, LOCATION.as_str()), blob);
        assert_eq!(header(&answer, "docker-content-digest"), digest);
    }
}

#[tokio::test]
async fn a_token_is_for_its_upload_only_and_needed_for_everything() {
    let pair = Pair::new(UploadOrigin::SameHost, true);
    let (url, other) = (pair.begin().await, pair.begin().await);
    let (path, _) = url.split_once('?').unwrap();
    let (_, others) = other.split_once('?').unwrap();
    let forged = [
        path.to_owned(),
        format!("{path}?token="),
        format!("{path}?{others}"),
    ];
    for url in &forged {
        for method in [Method::GET, Method::PATCH, Method::PUT, Method::DELETE] {
            let answer = pair.at_upload_server(method.clone(), url, "bytes").await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {url}");
        }
    }
    let answer = pair
        .at_upload_server(Method::DELETE, &url, Body::empty())
        .await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let answer = pair.at_upload_server(Method::PATCH, &url, "bytes").await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    let answer = pair
        .at_upload_server(Method::POST, &url, Body::empty())
        .await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn bytes_at_the_wrong_place_are_told_the_right_one() {
    let pair = Pair::new(UploadOrigin::SameHost, true);
    let url = pair.begin().await;
    let _ = pair.at_upload_server(Method::PATCH, &url, "once").await;
    let answer = pair.at_upload_server(Method::PATCH, &url, "twice").await;
    assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let url = header(&answer, LOCATION.as_str()).to_owned();
    let answer = pair.at_upload_server(Method::PATCH, &url, "more").await;
    assert_eq!(header(&answer, RANGE.as_str()), "0-7");
}

#[tokio::test]
async fn a_refused_body_is_taken_but_not_without_end() {
    let pair = Pair::new(UploadOrigin::SameHost, true);
    let url = pair.begin().await;
    let path = url.split('?').next().unwrap();
    const CHUNK: usize = 1024 * 1024;
    for (chunks, taken) in [(10, 10), (1000, 64)] {
        let given = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&given);
        let body = futures_util::stream::iter(0..chunks).map(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(Bytes::from(vec![0; CHUNK]))
        });
        let answer = pair
            .at_upload_server(Method::PATCH, path, Body::from_stream(body))
            .await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(given.load(Ordering::Relaxed), taken);
    }
}
