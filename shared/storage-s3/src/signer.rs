//! URLs by which clients fetch content from the store.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::presigning::PresigningConfig;
use roadstead_storage::{Error, Key, Recipient, UrlSigner};

use crate::bucket::Bucket;
use crate::config::ConfigError;
use crate::error::Failure;

/// How long a URL is good for: Distribution's 20 minutes.
const LIFETIME: Duration = Duration::from_secs(20 * 60);

/// Signs `GET` and `HEAD` requests; no request is made for that, though credentials may have to be fetched.
#[derive(Debug)]
pub(crate) struct Signer {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) redirect: Option<Redirect>,
}

#[async_trait]
impl UrlSigner for Signer {
    async fn sign(&self, key: &Key, recipient: &Recipient) -> Result<Option<String>, Error> {
        let lifetime = PresigningConfig::expires_in(LIFETIME);
        let lifetime = lifetime.map_err(|error| Error::Unavailable(error.into()))?;
        let (client, bucket) = (&self.bucket.client, &self.bucket.config.bucket);
        let object = self.bucket.object(key);
        // The two calls have nothing in common but their names.
        macro_rules! signed {
            ($call:expr) => {{
                let call = $call.bucket(bucket).key(object).customize();
                let call = match &self.redirect {
                    Some(redirect) => call.interceptor(redirect.clone()),
                    None => call,
                };
                let signed = call.presigned(lifetime).await;
                signed.map_err(|error| Failure::new("signing a URL", error).outage())
            }};
        }
        let signed = match recipient.by_head {
            true => signed!(client.head_object())?,
            false => signed!(client.get_object())?,
        };
        Ok(Some(signed.uri().to_owned()))
    }

    fn object(&self, key: &Key) -> Option<String> {
        Some(self.bucket.object(key))
    }
}

/// `redirectendpoint`: takes the place of scheme and host before a URL is signed; the path stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Redirect {
    origin: String,
}

impl Redirect {
    pub(crate) fn new(endpoint: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::RedirectEndpoint(endpoint.to_owned());
        let origin = endpoint.strip_suffix('/').unwrap_or(endpoint);
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        let host = host.ok_or_else(wrong)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(allowed) {
            return Err(wrong());
        }
        let origin = origin.to_owned();
        Ok(Self { origin })
    }

    fn redirected(&self, url: &str) -> Option<String> {
        let (_, rest) = url.split_once("://")?;
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        Some(format!("{}{path}", self.origin))
    }
}

impl Intercept for Redirect {
    fn name(&self) -> &'static str {
        "Redirect"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        let url = self.redirected(request.uri());
        request.set_uri(url.ok_or("the URL has no host")?)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_endpoint_is_a_scheme_and_a_host() {
        for good in [
            "https://h",
            "http://h:9000",
            "https://h.example/",
            "https://[::1]:1",
        ] {
            assert!(Redirect::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "h",
            "//h",
            "ftp://h",
            "https://",
            "https://h/path",
            "https://h?q",
            "https://u@h",
        ] {
            assert!(Redirect::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scheme_and_host_are_replaced_and_nothing_else() {
        let redirect = Redirect::new("https://cdn.example:8443/").unwrap();
        for (url, expected) in [
            (
                "http://s3:9000/b/a/x?y=%2F",
                "https://cdn.example:8443/b/a/x?y=%2F",
            ),
            ("https://b.s3.amazonaws.com/a", "https://cdn.example:8443/a"),
            ("https://b.s3.amazonaws.com", "https://cdn.example:8443/"),
        ] {
            assert_eq!(redirect.redirected(url).unwrap(), expected);
        }
    }
}
