//! What proxies say of a request: `Forwarded` (RFC 7239), else the older `X-Forwarded-*`.
//!
//! Whoever sends a request can say anything here; [`crate::Client`] decides whether it counts.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName};

const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// The scheme as the client wrote it, when it is one of HTTP's.
pub(crate) fn proto(headers: &HeaderMap) -> Option<&'static str> {
    let told = match header(headers, &FORWARDED) {
        Some(forwarded) => parameter(first_element(forwarded), "proto"),
        None => first(headers, &PROTO),
    };
    ["http", "https"]
        .into_iter()
        .find(|scheme| told.is_some_and(|told| told.eq_ignore_ascii_case(scheme)))
}

/// The host as the client wrote it.
pub(crate) fn host(headers: &HeaderMap) -> Option<&str> {
    match header(headers, &FORWARDED) {
        Some(forwarded) => parameter(first_element(forwarded), "host"),
        None => first(headers, &HOST),
    }
}

/// The addresses that the request came through, the nearest first; `None` for what is no address.
///
/// Most proxies append to `X-Forwarded-For` and hand `Forwarded` on as it came: so it is the other
/// way round here.
pub(crate) fn addresses(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut addresses: Vec<_> = if headers.contains_key(FOR) {
        lists(headers, &FOR).map(address).collect()
    } else if headers.contains_key(REAL_IP) {
        lists(headers, &REAL_IP).map(address).collect()
    } else {
        lists(headers, &FORWARDED)
            .map(|element| parameter(element, "for").and_then(address))
            .collect()
    };
    addresses.reverse();
    addresses
}

/// An address with or without a port, IPv6 with or without brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let address: Option<IpAddr> = text.parse().ok().or_else(bracketed).or_else(with_port);
    address.map(|address| address.to_canonical())
}

/// The elements of all headers of that name.
fn lists<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| unquoted_split(value.to_str().unwrap_or_default(), ','))
}

fn first_element(forwarded: &str) -> &str {
    unquoted_split(forwarded, ',').next().unwrap_or_default()
}

/// A parameter of an element of `Forwarded` (RFC 7239, section 4).
fn parameter<'a>(element: &'a str, wanted: &str) -> Option<&'a str> {
    unquoted_split(element, ';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case(wanted).then_some(value)
    })
}

/// The parts of `text` between separators; one within quotes separates nothing.
fn unquoted_split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c| {
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
        c == separator && !quoted
    })
}

/// The first element of a comma-separated header.
fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    header(headers, name)?.split(',').next().map(str::trim)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
