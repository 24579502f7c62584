//! The URLs in answers: `Location` and `Link`.

use axum::extract::FromRequestParts;
use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use roadstead_oci::{Digest, RepositoryName};

use crate::client::Client;
use crate::error::Error;
use crate::forwarded;
use crate::state::Api;
use crate::upload_origin::UploadOrigin;

/// How the URLs in answers are built: Distribution's `http.host`, `http.relativeurls` and
/// `http.prefix`.
#[derive(Clone, Debug)]
pub struct UrlOptions {
    /// Scheme and host of all URLs, without a slash at the end; `None` to tell them from the
    /// request.
    pub host: Option<String>,
    /// Paths only.
    pub relative: bool,
    /// What precedes `v2/` in every path; begins and ends with a slash.
    pub prefix: String,
}

/// As the request tells it, below no prefix.
impl Default for UrlOptions {
    fn default() -> Self {
        Self {
            host: None,
            relative: false,
            prefix: "/".to_owned(),
        }
    }
}

/// The base of the URLs in the answer to one request: as its client sees the registry.
#[derive(Clone, Debug)]
pub struct Urls {
    origin: String,
    prefix: String,
    /// The origin also where URLs are paths only.
    absolute: String,
}

/// A request extension: scheme and host of the registry, or nothing for paths only, where the
/// request came another way.
#[derive(Clone, Debug)]
pub struct RegistryOrigin(pub String);

impl Urls {
    /// The path of the base (end-1).
    pub fn base(&self) -> String {
        format!("{}v2/", self.prefix)
    }

    /// Where a blob is pulled from.
    pub fn blob(&self, name: &RepositoryName, digest: &Digest) -> String {
        self.absolute(&format!("{name}/blobs/{digest}"))
    }

    /// Where a manifest is pulled from.
    pub fn manifest(&self, name: &RepositoryName, digest: &Digest) -> String {
        self.absolute(&format!("{name}/manifests/{digest}"))
    }

    /// Where an upload goes on.
    pub fn upload(&self, name: &RepositoryName, id: &str, state: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("_state", state)
            .finish();
        self.absolute(&format!("{name}/blobs/uploads/{id}?{query}"))
    }

    /// Where an upload goes on at `origin`.
    pub fn upload_at(&self, origin: &UploadOrigin, id: &str, token: &str) -> String {
        let host = match origin {
            UploadOrigin::SameHost => &self.origin,
            UploadOrigin::Host(host) => host,
        };
        // A token has no character that a query could not have.
        format!("{host}{}_uploads/{id}?token={token}", self.prefix)
    }

    /// How answers at `origin` name the registry.
    pub fn registry_for(&self, origin: &UploadOrigin) -> &str {
        match origin {
            UploadOrigin::SameHost => &self.origin,
            UploadOrigin::Host(_) => &self.absolute,
        }
    }

    /// The value of a `Link` to the next page of `path`, which is below `v2/` (RFC 8288).
    pub fn next_page(&self, path: &str, query: &[(&str, &str)]) -> String {
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        format!("<{}v2/{path}?{query}>; rel=\"next\"", self.prefix)
    }

    fn absolute(&self, path: &str) -> String {
        format!("{}{}v2/{path}", self.origin, self.prefix)
    }
}

impl FromRequestParts<Api> for Urls {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let options = &api.options.urls;
        let told = parts.extensions.get::<RegistryOrigin>();
        let absolute = match (told, &options.host) {
            (Some(RegistryOrigin(told)), _) => told.clone(),
            (None, Some(host)) => host.clone(),
            (None, None) => origin(parts),
        };
        let relative = told.is_none() && options.host.is_none() && options.relative;
        Ok(Self {
            origin: match relative {
                true => String::new(),
                false => absolute.clone(),
            },
            prefix: options.prefix.clone(),
            absolute,
        })
    }
}

/// Scheme and host as the client wrote them, as far as trusted proxies tell; empty when the
/// request names no host.
fn origin(parts: &Parts) -> String {
    let client = Client::of(&parts.extensions);
    let scheme = if client.secure { "https" } else { "http" };
    let told = match client.is_proxied {
        true => forwarded::host(&parts.headers),
        false => None,
    };
    let own = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    match [told, own.or(authority)]
        .into_iter()
        .flatten()
        .find(|host| is_host(host))
    {
        Some(host) => format!("{scheme}://{host}"),
        None => String::new(),
    }
}

/// The URL of `path` below the prefix, as the client of a request sees it; never a path alone.
pub(crate) fn below_prefix(api: &Api, parts: &Parts, path: &str) -> String {
    let options = &api.options.urls;
    let origin = options.host.clone().unwrap_or_else(|| origin(parts));
    format!("{origin}{}{path}", options.prefix)
}

/// Whether a text can be the host of a URL, with a port or without: anything else could redirect
/// a client elsewhere, or nowhere.
pub(crate) fn is_host(host: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    let authority = || host.parse::<Authority>();
    host.bytes().all(allowed) && authority().is_ok_and(|authority| !authority.host().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Connection, Peer, TrustedProxies};
    use http::Request;

    fn origin_of(headers: &[(&str, &str)], proxies: &TrustedProxies) -> String {
        let mut request = Request::builder().uri("/v2/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(Connection {
            peer: Peer::Local,
            secure: false,
        });
        origin(&proxies.mark(request).into_parts().0)
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_names_no_origin() {
        let headers = [
            ("host", "r:5000"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("forwarded", "proto=https;host=evil.example"),
        ];
        let origin = origin_of(&headers, &TrustedProxies::none());
        assert_eq!(origin, "http://r:5000");
    }

    #[test]
    fn the_origin_is_what_the_nearest_proxy_to_the_client_saw() {
        for (headers, expected) in [
            (&[("host", "r:5000")][..], "http://r:5000"),
            (
                &[("host", "r"), ("x-forwarded-proto", "https")],
                "https://r",
            ),
            (
                &[("host", "r"), ("x-forwarded-proto", "https,http")],
                "https://r",
            ),
            (
                &[("host", "r"), ("x-forwarded-proto", "javascript")],
                "http://r",
            ),
            (
                &[("host", "r"), ("x-forwarded-host", "e.org, r")],
                "http://e.org",
            ),
            (
                &[("host", "r"), ("x-forwarded-host", "e.org/@evil")],
                "http://r",
            ),
            (
                &[
                    ("host", "r"),
                    ("forwarded", "for=1.2.3.4;proto=https;host=e.org, host=x"),
                ],
                "https://e.org",
            ),
            (
                &[("host", "r"), ("forwarded", "host=\"[::1]:5000\"")],
                "http://[::1]:5000",
            ),
            (
                &[
                    ("host", "r"),
                    ("forwarded", r#"for="a;host=evil,\"";host=e.org"#),
                ],
                "http://e.org",
            ),
            (&[("host", "r"), ("x-forwarded-host", "]")], "http://r"),
            (
                &[
                    ("host", "r"),
                    ("forwarded", "broken"),
                    ("x-forwarded-host", "e.org"),
                ],
                "http://r",
            ),
            (&[], ""),
        ] {
            let proxies = TrustedProxies::parse(["unix"]).unwrap();
            assert_eq!(origin_of(headers, &proxies), expected, "{headers:?}");
        }
    }
}
