//! URLs by which a client fetches content from the back end itself.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Driver, Error, Key};

/// A back end's ability to sign URLs.
#[async_trait]
pub trait UrlSigner: fmt::Debug + Send + Sync {
    /// A URL that answers `GET`, or `HEAD` where the recipient asks for that, with the content at
    /// `key`, for some minutes and for nothing else; `None` when this client or key shall be
    /// served by the registry.
    async fn sign(&self, key: &Key, recipient: &Recipient) -> Result<Option<String>, Error>;

    /// The name of the object that has the content at `key`, by which another host in front of
    /// the same store knows it; `None` when the store has no such names.
    fn object(&self, key: &Key) -> Option<String> {
        let _ = key;
        None
    }
}

/// Whom a URL is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    /// The client's address; `None` when it is not known, as over a unix socket.
    pub address: Option<IpAddr>,
    /// Whether it asks by `HEAD`: a URL signed for `GET` may refuse that.
    pub by_head: bool,
}

/// A driver signs as its [`Driver::signer`] does; without one, clients are sent nowhere.
#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl UrlSigner for Arc<dyn Driver> {
    async fn sign(&self, key: &Key, recipient: &Recipient) -> Result<Option<String>, Error> {
        match self.signer() {
            Some(signer) => signer.sign(key, recipient).await,
            None => Ok(None),
        }
    }

    fn object(&self, key: &Key) -> Option<String> {
        self.signer()?.object(key)
    }
}
