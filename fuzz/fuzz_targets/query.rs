#![no_main]

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::{Request, Uri};
use libfuzzer_sys::fuzz_target;
use roadstead_api::extract::Query;

fuzz_target!(|text: &str| {
    let Ok(uri) = Uri::try_from(format!("/v2/?{text}")) else {
        return;
    };
    let (mut parts, ()) = Request::builder().uri(uri).body(()).expect("a request").into_parts();
    let Some(Ok(query)) = Query::from_request_parts(&mut parts, &()).now_or_never() else {
        panic!("reading a query waits for nothing");
    };
    if let Ok(Some(size)) = query.page_size(1000) {
        assert!(size <= 1000);
    }
    if let Ok(Some(digest)) = query.digest("digest") {
        assert_eq!(query.get("digest"), Some(digest.as_str()));
    }
    assert!(query.last() != Some(""));
});
