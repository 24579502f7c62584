//! URLs in answers: whatever the headers say, a client is sent to a host or nowhere.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use proptest::prelude::*;
use roadstead_api::{Api, ApiOptions, Connection, Peer, Secret, TrustedProxies, UrlOptions, Urls};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Digest, RepositoryName};
use roadstead_registry::{Policy, Registry};
use roadstead_storage::{Driver, MemoryDriver};

use crate::names::name;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn api(relative: bool) -> Api {
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    let urls = UrlOptions {
        relative,
        prefix: "/my/".to_owned(),
        ..UrlOptions::default()
    };
    let options = ApiOptions {
        urls,
        ..ApiOptions::new(Secret::new(b"secret"))
    };
    Api::new(registry, options)
}

fn urls(headers: HeaderMap, relative: bool) -> Urls {
    let mut request = Request::builder().uri("/v2/").body(()).unwrap();
    *request.headers_mut() = headers;
    request.extensions_mut().insert(Connection {
        peer: Peer::Local,
        secure: false,
    });
    let proxies = TrustedProxies::parse(["unix"]).unwrap();
    let (mut parts, ()) = proxies.mark(request).into_parts();
    let urls = Urls::from_request_parts(&mut parts, &api(relative)).now_or_never();
    urls.unwrap().unwrap()
}

/// Scheme and host of the URLs in answers to a request with `headers`.
fn origin(headers: HeaderMap) -> String {
    let name: RepositoryName = "a".parse().unwrap();
    let digest: Digest = DIGEST.parse().unwrap();
    let url = urls(headers, false).blob(&name, &digest);
    let path = format!("/my/v2/a/blobs/{DIGEST}");
    url.strip_suffix(&path).unwrap().to_owned()
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let text = prop_oneof![
        r"[a-z.]{0,6}[:@/\\?#%\[\] ]{0,2}[a-z0-9.]{0,6}",
        "(host|proto|for|by|HOST)=\"?[ -~]{0,12}\"?[;,]?(host|proto)?=?[ -~]{0,12}",
        "(http|https|javascript|HTTPS)(,http)?",
        "[ -~]{0,20}",
    ];
    let bytes = prop::collection::vec(prop_oneof![32..127_u8, 128..=255_u8], 0..20);
    prop_oneof![
        4 => text.prop_map(|text| text.parse().unwrap()),
        1 => bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let name = prop::sample::select(vec![
        "host",
        "forwarded",
        "x-forwarded-host",
        "x-forwarded-proto",
    ]);
    let pairs = prop::collection::vec((name.prop_map(HeaderName::from_static), value()), 0..5);
    pairs.prop_map(|pairs| pairs.into_iter().collect())
}

/// A value as `Forwarded` has them: bare, or quoted with anything in it.
fn forwarded_value() -> impl Strategy<Value = (String, String)> {
    let bare = "[a-z0-9.-]{1,8}".prop_map(|text| (text.clone(), text));
    let quoted = "[ !#-~]{0,8}[\"\\\\]?[,;=:a-z\\[\\]]{0,8}".prop_map(|text| {
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        (text, format!("\"{escaped}\""))
    });
    prop_oneof![bare, quoted]
}

/// The elements of a `Forwarded`: pairs of a name, a value and how that is written.
type Element = Vec<(String, (String, String))>;

fn forwarded() -> impl Strategy<Value = Vec<Element>> {
    let name = prop::sample::select(vec!["for", "by", "host", "Host", "x"]).prop_map(str::to_owned);
    let element = prop::collection::vec((name, forwarded_value()), 1..4);
    prop::collection::vec(element, 1..4)
}

fn written(elements: &[Element]) -> String {
    let pair = |(name, (_, value)): &(String, (String, String))| format!("{name}={value}");
    let element = |element: &Element| element.iter().map(pair).collect::<Vec<_>>().join(";");
    elements.iter().map(element).collect::<Vec<_>>().join(", ")
}

proptest! {
    #[test]
    fn an_origin_is_a_scheme_and_a_host_or_nothing(headers in headers()) {
        let origin = origin(headers);
        if !origin.is_empty() {
            let uri: Uri = origin.parse().unwrap();
            prop_assert!(matches!(uri.scheme_str(), Some("http" | "https")));
            prop_assert!(uri.host().is_some_and(|host| !host.is_empty()));
            let authority = uri.authority().unwrap().as_str();
            prop_assert!(!authority.contains('@'));
            prop_assert_eq!(format!("{}://{authority}", uri.scheme_str().unwrap()), origin);
        }
    }

    #[test]
    fn the_host_of_forwarded_is_that_of_its_first_element(elements in forwarded()) {
        let first = elements[0].iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        let told = first.map(|(_, (value, _))| value.as_str());
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("own"));
        headers.insert(FORWARDED, written(&elements).parse().unwrap());
        let origin = origin(headers);
        let host = origin.strip_prefix("http://").unwrap();
        prop_assert!(Some(host) == told || host == "own", "{host} for {elements:?}");
        let is_plain = |told: &str| !told.is_empty() && told.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
        if told.is_some_and(is_plain) {
            prop_assert_eq!(Some(host), told);
        }
    }

    #[test]
    fn relative_urls_never_name_a_host(headers in headers(), name in name()) {
        let url = urls(headers, true).blob(&name, &DIGEST.parse().unwrap());
        prop_assert_eq!(url, format!("/my/v2/{name}/blobs/{DIGEST}"));
    }

    #[test]
    fn a_link_to_the_next_page_can_be_followed(headers in headers(), name in name(), last in ".{0,20}") {
        let link = urls(headers, false).next_page(&format!("{name}/tags/list"), &[("last", &last), ("n", "1")]);
        let url = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap();
        prop_assert!(!url.contains(['<', '>', '"', '\r', '\n']));
        let uri: Uri = url.parse().unwrap();
        let query = form_urlencoded::parse(uri.query().unwrap().as_bytes());
        let read = query.into_owned().find(|(key, _)| key == "last").unwrap().1;
        prop_assert_eq!(read, last);
    }
}
