//! Distribution's storage middleware `redirect`: clients fetch content from another host.

use std::sync::Arc;

use async_trait::async_trait;

use super::url::Url;
use crate::{Error, Key, Recipient, UrlSigner};

/// Sends clients to another host, which serves the same keys: unsigned, and without a look at
/// whether the content is there.
#[derive(Debug)]
pub struct Redirect {
    /// Without a slash at its end.
    base: String,
    inner: Arc<dyn UrlSigner>,
}

/// A base URL that nobody could be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("baseurl is not of the form scheme://host[:port][/path]: {0:?}")]
pub struct InvalidBaseUrl(String);

impl Redirect {
    /// `base_url` is a scheme, a host, and perhaps a path in front of the key's; of `inner` only
    /// the names of objects remain.
    ///
    /// # Errors
    ///
    /// When it has no scheme or no host, or has a user, a query or a fragment.
    pub fn new(base_url: &str, inner: Arc<dyn UrlSigner>) -> Result<Self, InvalidBaseUrl> {
        let wrong = || InvalidBaseUrl(base_url.to_owned());
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        let url = Url::parse(base_url).ok_or_else(wrong)?;
        if !url.rest.is_empty() || !url.path.bytes().all(allowed) {
            return Err(wrong());
        }
        let base = url.render().trim_end_matches('/').to_owned();
        Ok(Self { base, inner })
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl UrlSigner for Redirect {
    async fn sign(&self, key: &Key, _: &Recipient) -> Result<Option<String>, Error> {
        Ok(Some(format!("{}/{key}", self.base)))
    }

    fn object(&self, key: &Key) -> Option<String> {
        self.inner.object(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ANYONE, Fixed};
    use super::*;

    #[tokio::test]
    async fn the_key_follows_the_base_url() {
        let key = Key::new("docker/registry/v2/blobs/sha256/ab/abc/data").unwrap();
        for (base, start) in [
            ("https://cdn.example", "https://cdn.example/"),
            ("http://cdn.example:81/", "http://cdn.example:81/"),
            ("https://cdn.example/a/b", "https://cdn.example/a/b/"),
            ("https://cdn.example/a%20b//", "https://cdn.example/a%20b/"),
            ("https://[::1]:5/", "https://[::1]:5/"),
        ] {
            let signer = Redirect::new(base, Fixed::at(None)).unwrap();
            let url = signer.sign(&key, &ANYONE).await.unwrap();
            assert_eq!(url.unwrap(), format!("{start}{key}"), "{base}");
            assert_eq!(signer.object(&key), Some(format!("below/{key}")));
        }
    }

    #[test]
    fn a_base_url_is_a_scheme_a_host_and_a_path() {
        for bad in [
            "",
            "cdn.example",
            "//cdn.example",
            "cdn.example/path",
            "https://",
            "https:///path",
            "https://:80",
            "1://host",
            "https://user:secret@cdn.example",
            "https://cdn.example?a=b",
            "https://cdn.example/#a",
            "https://cdn.example/a b",
            "https://cdn example",
            "https://cdn.example/\r\n",
        ] {
            assert!(Redirect::new(bad, Fixed::at(None)).is_err(), "{bad:?}");
        }
    }
}
