//! Distribution's storage middleware `rewrite`: the driver's own URLs, changed.

use std::sync::Arc;

use async_trait::async_trait;

use super::url::{Url, is_authority, is_scheme};
use crate::{Error, Key, Recipient, UrlSigner};

/// Changes URLs that another signer gives. Whom that one sends nowhere, this one does not either.
#[derive(Debug)]
pub struct Rewrite {
    inner: Arc<dyn UrlSigner>,
    scheme: Option<String>,
    host: Option<String>,
    trim_path_prefix: String,
}

/// What cannot be put into a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRewrite {
    /// No URL begins so.
    #[error("scheme is not one: {0:?}")]
    Scheme(String),
    /// No host, or more than one.
    #[error("host is not of the form host[:port]: {0:?}")]
    Host(String),
}

impl Rewrite {
    /// Puts in `scheme` and `host`, where they are not empty, and takes `trim_path_prefix` away
    /// from the beginning of the path, where it stands there.
    ///
    /// # Errors
    ///
    /// When a scheme or a host is none.
    pub fn new(
        scheme: &str,
        host: &str,
        trim_path_prefix: &str,
        inner: Arc<dyn UrlSigner>,
    ) -> Result<Self, InvalidRewrite> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        if !scheme.is_empty() && !is_scheme(scheme) {
            return Err(InvalidRewrite::Scheme(scheme.to_owned()));
        }
        if !host.is_empty() && !is_authority(host) {
            return Err(InvalidRewrite::Host(host.to_owned()));
        }
        Ok(Self {
            inner,
            scheme: given(scheme),
            host: given(host),
            trim_path_prefix: trim_path_prefix.to_owned(),
        })
    }

    fn rewritten(&self, url: &str) -> Option<String> {
        let mut url = Url::parse(url)?;
        if let Some(scheme) = &self.scheme {
            url.scheme.clone_from(scheme);
        }
        if let Some(host) = &self.host {
            url.authority.clone_from(host);
        }
        if let Some(path) = url.path.strip_prefix(&self.trim_path_prefix) {
            url.path = path.to_owned();
        }
        Some(url.render())
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl UrlSigner for Rewrite {
    async fn sign(&self, key: &Key, recipient: &Recipient) -> Result<Option<String>, Error> {
        let Some(url) = self.inner.sign(key, recipient).await? else {
            return Ok(None);
        };
        let wrong = || Error::Unavailable("what the store signs is no URL".into());
        self.rewritten(&url).map(Some).ok_or_else(wrong)
    }

    fn object(&self, key: &Key) -> Option<String> {
        self.inner.object(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ANYONE, Fixed};
    use super::*;
    use crate::{Driver, MemoryDriver};

    const SIGNED: &str = "http://s3:9000/bucket/a%2Fb/c?X=http%3A%2F%2F&Y=/bucket/#z";

    async fn rewritten(scheme: &str, host: &str, prefix: &str) -> String {
        let rewrite = Rewrite::new(scheme, host, prefix, Fixed::at(Some(SIGNED))).unwrap();
        let key = Key::new("k").unwrap();
        let url = rewrite.sign(&key, &ANYONE).await;
        url.unwrap().unwrap()
    }

    #[tokio::test]
    async fn only_what_is_named_is_changed() {
        let query = "?X=http%3A%2F%2F&Y=/bucket/#z";
        for ((scheme, host, prefix), expected) in [
            (("", "", ""), "http://s3:9000/bucket/a%2Fb/c"),
            (("https", "", ""), "https://s3:9000/bucket/a%2Fb/c"),
            (("", "cdn:1", ""), "http://cdn:1/bucket/a%2Fb/c"),
            (("", "", "/bucket"), "http://s3:9000/a%2Fb/c"),
            (("", "", "/bucket/"), "http://s3:9000/a%2Fb/c"),
            (("", "", "/other"), "http://s3:9000/bucket/a%2Fb/c"),
            (("", "", "bucket"), "http://s3:9000/bucket/a%2Fb/c"),
            (("", "", "/bucket/a%2Fb/c"), "http://s3:9000"),
            (("https", "cdn", "/bucket"), "https://cdn/a%2Fb/c"),
        ] {
            let url = rewritten(scheme, host, prefix).await;
            assert_eq!(url, format!("{expected}{query}"));
        }
    }

    #[tokio::test]
    async fn a_driver_that_sends_clients_nowhere_goes_on_not_to() {
        let key = Key::new("k").unwrap();
        let memory: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
        for inner in [Fixed::at(None), Arc::new(memory)] {
            let rewrite = Rewrite::new("https", "cdn", "", inner).unwrap();
            let url = rewrite.sign(&key, &ANYONE).await;
            assert_eq!(url.unwrap(), None);
        }
    }

    #[test]
    fn a_scheme_and_a_host_are_just_that() {
        for scheme in ["https:", "https://", "1", "a b"] {
            let error = Rewrite::new(scheme, "", "", Fixed::at(None)).unwrap_err();
            assert_eq!(error, InvalidRewrite::Scheme(scheme.to_owned()));
        }
        for host in ["https://h", "h/p", "u@h", "h?q", "a b", ":80", "h\r\n"] {
            let error = Rewrite::new("", host, "", Fixed::at(None)).unwrap_err();
            assert_eq!(error, InvalidRewrite::Host(host.to_owned()));
        }
    }
}
