//! Decorators that change where clients are sent, and leave everything else of a driver alone.

mod redirect;
mod rewrite;
mod url;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use redirect::{InvalidBaseUrl, Redirect};
pub use rewrite::{InvalidRewrite, Rewrite};

use crate::{
    ByteRange, Driver, Entry, Error, Key, ListOptions, Object, Stat, Upload, UrlSigner, Write,
};

/// A driver whose clients are sent where `signer` says.
pub struct Redirected<S> {
    inner: Arc<dyn Driver>,
    signer: S,
}

impl<S: UrlSigner> Redirected<S> {
    /// `inner` in all but its signer, which is `signer`.
    pub fn new(inner: Arc<dyn Driver>, signer: S) -> Self {
        Self { inner, signer }
    }
}

impl<S> fmt::Debug for Redirected<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<S: UrlSigner + 'static> Driver for Redirected<S> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        self.inner.stat(key).await
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        self.inner.read(key, range).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.inner.write(writes).await
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        self.inner.upload(key).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        self.inner.rename(from, to).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.inner.delete(key).await
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        self.inner.list(prefix, options).await
    }

    fn signer(&self) -> Option<&dyn UrlSigner> {
        Some(&self.signer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryDriver, Recipient, testkit};

    struct Decorated(Arc<dyn Driver>);

    #[async_trait]
    impl testkit::Store for Decorated {
        fn driver(&self) -> Arc<dyn Driver> {
            let redirect = Redirect::new("https://cdn.example").unwrap();
            Arc::new(redirect.over(Arc::clone(&self.0)))
        }
    }

    testkit::suite!(Decorated(Arc::new(MemoryDriver::new())));

    /// The address of a client that no test tells apart.
    pub(super) const ANYONE: Recipient = Recipient { address: None };

    /// A driver that sends clients to a fixed place, or to none.
    pub(super) fn over(url: Option<&'static str>) -> Arc<dyn Driver> {
        Arc::new(Redirected::new(Arc::new(MemoryDriver::new()), Fixed(url)))
    }

    struct Fixed(Option<&'static str>);

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
