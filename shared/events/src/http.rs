//! The sink of Distribution: an HTTP endpoint.

use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use ::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use roadstead_fetch::{Options, Sender};
use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use crate::{Envelope, Sink, Undelivered};

/// Who sends.
const AGENT: HeaderValue =
    HeaderValue::from_static(concat!("roadstead/", env!("CARGO_PKG_VERSION")));

/// How much of an answer is looked at: none of it counts.
const LARGEST: usize = 64 * 1024;

/// Posts each event, in an envelope of its own, to a URL.
///
/// 2xx is success, and so is 3xx that leads nowhere. Redirects are not followed: an event would get
/// lost where a redirect makes a `GET` of it, and configured headers could get to others.
#[derive(Debug)]
pub struct HttpEndpoint {
    sender: Sender,
    headers: HeaderMap,
}

/// A URL that nothing can be posted to.
#[derive(Debug, thiserror::Error)]
#[error("the URL has to begin with http:// or https://, and name a host")]
pub struct InvalidEndpoint;

impl HttpEndpoint {
    /// Posts to `url`, of which a user and a password become an `Authorization` header, with `headers`;
    /// an answer may take `timeout`.
    ///
    /// # Errors
    ///
    /// It cannot be posted to.
    pub fn new(
        url: &str,
        headers: impl IntoIterator<Item = (HeaderName, HeaderValue)>,
        timeout: Duration,
    ) -> Result<Self, InvalidEndpoint> {
        let (url, user) = without_user(url);
        let uri: Uri = url.parse().map_err(|_| InvalidEndpoint)?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        if !is_web || uri.host().is_none_or(str::is_empty) {
            return Err(InvalidEndpoint);
        }
        let mut all = HeaderMap::new();
        all.insert(CONTENT_TYPE, HeaderValue::from_static(Envelope::MEDIA_TYPE));
        all.insert(USER_AGENT, AGENT);
        if let Some(user) = user.and_then(|user| basic(&user)) {
            all.insert(AUTHORIZATION, user);
        }
        for (name, value) in headers {
            match name {
                USER_AGENT => drop(all.insert(name, value)),
                // The URL says it, as with Distribution.
                HOST => {}
                _ => drop(all.append(name, value)),
            }
        }
        let options = Options {
            patience: timeout,
            largest: LARGEST,
            authorities: None,
        };
        let sender = Sender::new(uri, options);
        let headers = all;
        Ok(Self { sender, headers })
    }
}

#[async_trait]
impl Sink for HttpEndpoint {
    async fn deliver(&self, envelope: &Envelope) -> Result<(), Undelivered> {
        let body = written(envelope).map_err(|error| Undelivered::Request(error.into()))?;
        let answer = self.sender.post(self.headers.clone(), body).await;
        let (status, _) = answer.map_err(|error| Undelivered::NoAnswer(error.into()))?;
        let leads_on = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if status.is_success() || (status.is_redirection() && !leads_on) {
            return Ok(());
        }
        let reason = leads_on.then(|| "redirects are not followed".to_owned());
        let status = status.as_u16();
        Err(Undelivered::Answer { status, reason })
    }
}

/// The JSON as Go writes it, with Distribution's indent of three spaces: `<`, `>`, `&` and the two
/// line separators of Unicode are escaped, which can only stand within texts.
fn written(envelope: &Envelope) -> serde_json::Result<Bytes> {
    let mut json = Vec::new();
    let indent = PrettyFormatter::with_indent(b"   ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut json, indent);
    envelope.serialize(&mut serializer)?;
    let mut text = String::from_utf8_lossy(&json).into_owned();
    for (character, escape) in [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ] {
        if text.contains(character) {
            text = text.replace(character, escape);
        }
    }
    Ok(text.into())
}

/// A URL without its user and password, and these as they are written.
fn without_user(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else {
        return (url.to_owned(), None);
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => (format!("{scheme}://{host}{path}"), Some(user.to_owned())),
        None => (url.to_owned(), None),
    }
}

/// `Authorization` for the user of a URL (RFC 3986, section 3.2.1; RFC 7617).
fn basic(user: &str) -> Option<HeaderValue> {
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let [name, password] =
        [name, password].map(|text| percent_decode_str(text).collect::<Vec<_>>());
    let pair = [name.as_slice(), b":", &password].concat();
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_the_url_is_sent_as_a_header_and_nowhere_else() {
        let headers = || std::iter::empty();
        let endpoint =
            HttpEndpoint::new("https://a:p%40%3Aw@host:7/x?y@z", headers(), Duration::ZERO);
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint.sender.uri(), "https://host:7/x?y@z");
        // base64 of a:p@:w
        assert_eq!(endpoint.headers[AUTHORIZATION], "Basic YTpwQDp3");
        assert!(!format!("{endpoint:?}").contains("YTpwQDp3"));
        for url in ["", "/x", "host:80", "ftp://host/", "http:///x", "http://"] {
            assert!(
                HttpEndpoint::new(url, headers(), Duration::ZERO).is_err(),
                "{url}"
            );
        }
    }
}
