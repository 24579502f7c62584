//! URLs by which a client fetches content from the back end itself.

use async_trait::async_trait;

use crate::{Error, Key};

/// A back end's ability to sign URLs.
#[async_trait]
pub trait UrlSigner: Send + Sync {
    /// A URL that answers `GET` with the content at `key`, for some minutes and for nothing
    /// else; `None` when this client or key shall be served by the registry.
    async fn sign(&self, key: &Key) -> Result<Option<String>, Error>;
}
