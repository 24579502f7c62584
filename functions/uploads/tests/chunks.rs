//! Chunks with any range beside them: what the registry says it has is what it has.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, LOCATION, RANGE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use proptest::prelude::*;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digester};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};
use support::routes_over;
use tower::ServiceExt;

fn registry() -> Router {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    routes_over(registry)
}

async fn send(
    registry: &Router,
    method: Method,
    path: &str,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    *request.headers_mut() = headers;
    registry.clone().oneshot(request).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &http::HeaderName) -> &'a str {
    response.headers()[name].to_str().unwrap()
}

/// Where the upload goes on, and how many bytes it has; `sent` tells one byte from none.
async fn status(registry: &Router, location: &str, sent: usize) -> (String, usize) {
    let path = location.split('?').next().unwrap();
    let response = send(registry, Method::GET, path, HeaderMap::new(), Bytes::new()).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    let last: usize = header(&response, &RANGE)
        .strip_prefix("0-")
        .unwrap()
        .parse()
        .unwrap();
    let size = if sent == 0 { 0 } else { last + 1 };
    (header(&response, &LOCATION).to_owned(), size)
}

/// A chunk: how many bytes, what stands in `Content-Range`, and whether its length is told.
#[derive(Clone, Debug)]
struct Chunk {
    length: usize,
    range: Said,
    tells_length: bool,
}

#[derive(Clone, Debug)]
enum Said {
    Nothing,
    Truth { bytes: bool },
    Lie { first: i64, last: i64 },
    Anything(HeaderValue),
}

fn chunk() -> impl Strategy<Value = Chunk> {
    let anything = prop_oneof!["[0-9]{0,21}-[0-9]{0,21}", "[ -~]{0,12}"];
    let said = prop_oneof![
        2 => Just(Said::Nothing),
        3 => any::<bool>().prop_map(|bytes| Said::Truth { bytes }),
        2 => (-3..3_i64, -3..3_i64).prop_map(|(first, last)| Said::Lie { first, last }),
        1 => anything.prop_map(|text| Said::Anything(text.parse().unwrap())),
    ];
    (0..40_usize, said, any::<bool>()).prop_map(|(length, range, tells_length)| Chunk {
        length,
        range,
        tells_length,
    })
}

impl Chunk {
    fn headers(&self, size: usize) -> HeaderMap {
        let (first, last) = (size as i64, (size + self.length) as i64 - 1);
        let range = match &self.range {
            Said::Nothing => None,
            Said::Truth { bytes: false } => format!("{first}-{last}").parse().ok(),
            Said::Truth { bytes: true } => format!("bytes {first}-{last}/*").parse().ok(),
            Said::Lie { first: a, last: b } => format!("{}-{}", first + a, last + b).parse().ok(),
            Said::Anything(value) => Some(value.clone()),
        };
        let mut headers = HeaderMap::new();
        headers.extend(range.map(|range: HeaderValue| (CONTENT_RANGE, range)));
        if self.tells_length {
            headers.insert(CONTENT_LENGTH, self.length.into());
        }
        headers
    }

    fn is_honest(&self) -> bool {
        match self.range {
            Said::Nothing => true,
            Said::Truth { .. } => self.length > 0,
            Said::Lie { first, last } => (first, last) == (0, 0) && self.length > 0,
            Said::Anything(_) => false,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn an_upload_has_the_bytes_that_it_says_whatever_ranges_clients_name(chunks in prop::collection::vec(chunk(), 0..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let registry = registry();
            let begun = send(&registry, Method::POST, "/v2/a/b/blobs/uploads/", HeaderMap::new(), Bytes::new()).await;
            let mut location = header(&begun, &LOCATION).to_owned();
            let mut content = Vec::new();
            for (number, chunk) in chunks.into_iter().enumerate() {
                let bytes = vec![number as u8; chunk.length];
                let headers = chunk.headers(content.len());
                let answer = send(&registry, Method::PATCH, &location, headers, bytes.clone().into()).await;
                let whole = [content.clone(), bytes].concat();
                let (next, size) = status(&registry, &location, whole.len()).await;
                match answer.status() {
                    StatusCode::ACCEPTED => assert_eq!(size, whole.len(), "{chunk:?}"),
                    StatusCode::BAD_REQUEST | StatusCode::RANGE_NOT_SATISFIABLE => assert!(!chunk.is_honest(), "{chunk:?}"),
                    other => panic!("{other} for {chunk:?}"),
                }
                // Status answers alike for one byte and for none.
                if size == whole.len() && (size != 1 || answer.status() == StatusCode::ACCEPTED) {
                    content = whole;
                }
                location = next;
            }
            let digest = Digester::digest(Algorithm::Sha256, &content);
            let last = format!("{location}&digest={digest}");
            let finished = send(&registry, Method::PUT, &last, HeaderMap::new(), Bytes::new()).await;
            assert_eq!(finished.status(), StatusCode::CREATED);
        });
    }
}
