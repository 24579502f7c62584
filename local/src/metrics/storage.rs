//! What is counted of the store.

use std::future::Future;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use async_trait::async_trait;
use prometheus::{HistogramOpts, HistogramVec, Registry};
use roadstead_storage::{
    ByteRange, ContentStat, Driver, Entry, Error, Key, ListOptions, NotedUploads, Object,
    Recipient, Share, Stat, Turn, Upload, UrlSigner, Write,
};

/// How long operations take, by Distribution's names for them.
#[derive(Clone, Debug)]
pub(super) struct StorageMetrics {
    seconds: HistogramVec,
}

impl StorageMetrics {
    pub(super) fn new(all: &Registry) -> prometheus::Result<Self> {
        let options = HistogramOpts::new(
            "registry_storage_action_seconds",
            "How long operations of the storage driver take",
        );
        let seconds = HistogramVec::new(options, &["action", "driver"])?;
        all.register(Box::new(seconds.clone()))?;
        Ok(Self { seconds })
    }
}

/// A driver whose operations are timed: reads to the first byte, uploads not at all.
#[derive(Debug)]
pub(super) struct Measured {
    inner: Arc<dyn Driver>,
    metrics: StorageMetrics,
}

impl Measured {
    pub(super) fn new(inner: Arc<dyn Driver>, metrics: StorageMetrics) -> Self {
        Self { inner, metrics }
    }

    async fn timed<T>(&self, action: &'static str, operation: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let result = operation.await;
        let labels = [action, self.inner.name()];
        let seconds = self.metrics.seconds.with_label_values(&labels);
        seconds.observe(begun.elapsed().as_secs_f64());
        result
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl Driver for Measured {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        self.timed("Stat", self.inner.stat(key)).await
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        self.timed("GetContent", self.inner.read(key, range)).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.timed("PutContent", self.inner.write(writes)).await
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        self.inner.upload(key).await
    }

    async fn upload_apart(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        self.inner.upload_apart(key).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        self.timed("Move", self.inner.rename(from, to)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        self.timed("Delete", self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        self.timed("List", self.inner.list(prefix, options)).await
    }

    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        self.timed("Delete", self.inner.delete_if(key, seen)).await
    }

    async fn turn(&self, name: &str, share: Share) -> Result<Option<Turn>, Error> {
        self.inner.turn(name, share).await
    }

    async fn abandon(&self, prefix: &Key, since: SystemTime) -> Result<usize, Error> {
        self.inner.abandon(prefix, since).await
    }

    fn has_directories(&self) -> bool {
        self.inner.has_directories()
    }

    fn noted_uploads(&self) -> Option<&dyn NotedUploads> {
        self.inner.noted_uploads()
    }

    fn signer(&self) -> Option<&dyn UrlSigner> {
        self.inner.signer().map(|_| self as &dyn UrlSigner)
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl UrlSigner for Measured {
    async fn sign(&self, key: &Key, recipient: &Recipient) -> Result<Option<String>, Error> {
        let Some(signer) = self.inner.signer() else {
            return Ok(None);
        };
        self.timed("RedirectURL", signer.sign(key, recipient)).await
    }

    fn object(&self, key: &Key) -> Option<String> {
        self.inner.signer()?.object(key)
    }
}
