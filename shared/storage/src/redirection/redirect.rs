//! Distribution's storage middleware `redirect`: clients fetch content from another host.

use std::sync::Arc;

use async_trait::async_trait;

use super::Redirected;
use super::url::Url;
use crate::{Driver, Error, Key, Recipient, UrlSigner};

/// Sends clients to another host, which serves the same keys: unsigned, and without a look at
/// whether the content is there.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// Without a slash at its end.
    base: String,
}

/// A base URL that nobody could be sent to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("baseurl is not of the form scheme://host[:port][/path]: {0:?}")]
pub struct InvalidBaseUrl(String);

impl Redirect {
    /// `base_url` is a scheme, a host, and perhaps a path in front of the key's.
    ///
    /// # Errors
    ///
    /// When it has no scheme or no host, or has a user, a query or a fragment.
    pub fn new(base_url: &str) -> Result<Self, InvalidBaseUrl> {
        let wrong = || InvalidBaseUrl(base_url.to_owned());
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
        let url = Url::parse(base_url).ok_or_else(wrong)?;
        if !url.rest.is_empty() || !url.path.bytes().all(allowed) {
            return Err(wrong());
        }
        let base = url.render().trim_end_matches('/').to_owned();
        Ok(Self { base })
    }

    /// `driver`, with its clients sent to this place.
    pub fn over(self, driver: Arc<dyn Driver>) -> Redirected<impl UrlSigner + use<>> {
        let signer = Signer {
            redirect: self,
            driver: Arc::clone(&driver),
        };
        Redirected::new(driver, signer)
    }
}

struct Signer {
    redirect: Redirect,
    driver: Arc<dyn Driver>,
}

#[async_trait]
impl UrlSigner for Signer {
    async fn sign(&self, key: &Key, _: &Recipient) -> Result<Option<String>, Error> {
        Ok(Some(format!("{}/{key}", self.redirect.base)))
    }

    fn object(&self, key: &Key) -> Option<String> {
        self.driver.signer()?.object(key)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ANYONE, over};
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
            let driver = Redirect::new(base).unwrap().over(over(None));
            let signer = driver.signer().unwrap();
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
            assert!(Redirect::new(bad).is_err(), "{bad:?}");
        }
    }
}
