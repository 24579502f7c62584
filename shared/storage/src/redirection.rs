//! Decorators of a [`UrlSigner`](crate::UrlSigner) that change where clients are sent.

mod redirect;
mod rewrite;
mod url;

pub use redirect::{InvalidBaseUrl, Redirect};
pub use rewrite::{InvalidRewrite, Rewrite};

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;

    use crate::{Error, Key, Recipient, UrlSigner};

    /// The client that no test tells from others.
    pub(super) const ANYONE: Recipient = Recipient {
        address: None,
        by_head: false,
    };

    /// Sends clients to a fixed place, or to none.
    #[derive(Debug)]
    pub(super) struct Fixed(pub(super) Option<&'static str>);

    impl Fixed {
        pub(super) fn at(url: Option<&'static str>) -> Arc<dyn UrlSigner> {
            Arc::new(Self(url))
        }
    }

    #[async_trait]
    impl UrlSigner for Fixed {
        async fn sign(&self, _: &Key, _: &Recipient) -> Result<Option<String>, Error> {
            Ok(self.0.map(str::to_owned))
        }

        fn object(&self, key: &Key) -> Option<String> {
            Some(format!("below/{key}"))
        }
    }
}
