#![no_main]

use std::sync::{Arc, LazyLock};

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Uri};
use libfuzzer_sys::fuzz_target;
use roadstead_api::{Api, ApiOptions, Connection, Peer, Secret, TrustedProxies, Urls};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

static API: LazyLock<Api> = LazyLock::new(|| {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let options = ApiOptions::new(Secret::new(b"secret"));
    Api::new(Registry::new(Arc::new(layout), driver, Policy::default()), options)
});

fuzz_target!(|input: [Option<&[u8]>; 5]| {
    let names = ["host", "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-for"];
    let mut request = Request::builder().uri("/v2/");
    for (name, value) in names.into_iter().zip(input) {
        if let Some(value) = value.and_then(|value| HeaderValue::from_bytes(value).ok()) {
            request = request.header(name, value);
        }
    }
    let mut request = request.body(()).expect("a request");
    request.extensions_mut().insert(Connection { peer: Peer::Local, secure: false });
    let proxies = TrustedProxies::parse(["private"]).expect("a known word");
    let (mut parts, ()) = proxies.mark(request).into_parts();
    let Some(Ok(urls)) = Urls::from_request_parts(&mut parts, &*API).now_or_never() else {
        panic!("reading headers waits for nothing");
    };
    let name = "a".parse().expect("a name");
    let url = urls.blob(&name, &DIGEST.parse().expect("a digest"));
    let uri: Uri = url.parse().expect("a URL");
    assert_eq!(uri.path(), format!("/v2/a/blobs/{DIGEST}"));
    assert_eq!(uri.query(), None);
    if let Some(authority) = uri.authority() {
        assert!(!authority.host().is_empty() && !authority.as_str().contains('@'));
    }
});
