//! Lists: whatever a client asks for, and following every link leads through all of it once.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::header::LINK;
use http::{HeaderMap, Request, StatusCode};
use proptest::prelude::*;
use roadstead_api::{Api, ApiOptions, Secret, UrlOptions, edge};
use roadstead_metadata::{ManifestPush, ManifestRecord, ManifestStore};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digester};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};
use serde_json::Value;
use tower::ServiceExt;

const NAMES: [&str; 6] = ["a", "a-b", "a.b", "a/b", "a/b/c", "a0"];
const TAGS: [&str; 5] = ["1.0", "A", "_", "a-b", "latest"];

async fn registry() -> Router {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let bytes = br#"{"schemaVersion":2,"manifests":[]}"#;
    for name in NAMES {
        let push = ManifestPush {
            repository: name.parse().unwrap(),
            manifest: ManifestRecord {
                digest: Digester::digest(Algorithm::Sha256, bytes),
                media_type: "a/b".to_owned(),
                bytes: bytes.as_slice().into(),
            },
            alias: None,
            tags: TAGS.map(|tag| tag.parse().unwrap()).into(),
            fixed: Default::default(),
            referrer: None,
        };
        layout.record(&push).await.unwrap();
    }
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    let urls = UrlOptions {
        prefix: "/my/".to_owned(),
        ..UrlOptions::default()
    };
    let options = ApiOptions {
        urls,
        max_catalog_entries: 4,
        max_tags: 3,
        ..ApiOptions::new(Secret::new(b"secret"))
    };
    let routes = roadstead_discovery::router(Api::new(registry, options));
    edge(routes, "/my/", HeaderMap::new())
}

/// Status, names and the link to the next page.
async fn get(registry: &Router, path: &str) -> (StatusCode, Vec<String>, Option<String>) {
    let request = Request::builder().uri(path).body(Body::empty()).unwrap();
    let response = registry.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let link = response
        .headers()
        .get(LINK)
        .map(|link| link.to_str().unwrap().to_owned());
    let next = link.map(|link| link.split(['<', '>']).nth(1).unwrap().to_owned());
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let names = body
        .get("repositories")
        .or(body.get("tags"))
        .or(body.get("manifests"));
    let names = names.and_then(Value::as_array).cloned().unwrap_or_default();
    let names = names.iter().map(|name| name.as_str().unwrap().to_owned());
    (status, names.collect(), next)
}

fn block_on(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_links_lead_through_the_whole_list_from_anywhere(n in 1..9_usize, last in prop_oneof![".{0,4}", "[a-b0./-]{0,4}"]) {
        block_on(async {
            let registry = registry().await;
            let lists = [("/my/v2/_catalog", &NAMES[..], 4), ("/my/v2/a/b/tags/list", &TAGS[..], 3)];
            for (path, all, most) in lists {
                let query = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs([("n", n.to_string()), ("last", last.clone())])
                    .finish();
                let mut found = Vec::new();
                let mut next = Some(format!("{path}?{query}"));
                while let Some(url) = next {
                    let (status, names, link) = get(&registry, &url).await;
                    assert_eq!(status, StatusCode::OK);
                    assert!(names.len() <= n.min(most));
                    assert!(link.is_none() || names.len() == n.min(most), "a link to an empty page");
                    found.extend(names);
                    next = link;
                }
                let rest: Vec<&str> = all.iter().copied().filter(|name| *name > last.as_str()).collect();
                assert_eq!(found, rest);
            }
        });
    }

    #[test]
    fn no_query_and_no_path_makes_the_registry_fail(
        path in prop_oneof![
            Just("/my/v2/_catalog".to_owned()),
            Just("/my/v2/a/tags/list".to_owned()),
            "/my/v2/[a-zA-Z0-9./%_-]{0,12}/(tags/list|referrers/[a-z0-9:]{0,20})",
            "/my/[a-zA-Z0-9./%_-]{0,20}",
        ],
        query in "(n=[0-9-]{0,22}|last=[ -~]{0,8}|artifactType=[a-z/%]{0,8})?(&[ -~]{0,8})?",
    ) {
        block_on(async {
            let query = query.replace(['#', ' ', '"', '<', '>', '`', '\\', '^', '|', '{', '}'], "_");
            let uri = format!("{path}?{query}");
            if uri.parse::<http::Uri>().is_ok() {
                let (status, ..) = get(&registry().await, &uri).await;
                assert!(!status.is_server_error(), "{status} for {uri}");
            }
        });
    }
}
