//! The bytes that rows point to.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

/// What this crate asks of the store of the bytes, which it does not know: whoever puts the
/// registry together hands in its storage driver behind this.
#[async_trait]
pub trait Contents: fmt::Debug + Send + Sync + 'static {
    /// The content at `key`, at most a manifest's 4 MiB; `None` when there is none.
    async fn read(&self, key: &str) -> Result<Option<Bytes>, ContentsError>;

    /// Makes `content` what lies at `key`. Durable on return.
    async fn write(&self, key: &str, content: Bytes) -> Result<(), ContentsError>;

    /// Deletes what lies at `key` and below it, unfinished uploads too; done when there is
    /// nothing.
    async fn delete(&self, key: &str) -> Result<(), ContentsError>;

    /// Deletes what lies directly below `prefix`, but not what lies at `kept`; done when there is
    /// nothing.
    async fn delete_others(&self, prefix: &str, kept: &str) -> Result<(), ContentsError>;
}

/// Why the store of the bytes failed.
pub type ContentsError = Box<dyn std::error::Error + Send + Sync>;
