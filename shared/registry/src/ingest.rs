//! Bytes from a client into an upload: hashed and written at the same time as more arrive.
//!
//! The bytes go in batches of about half a MiB, or less when there are many transfers. While one
//! batch is hashed on one thread and written on another, the next one arrives; no thread waits for
//! a client, and a transfer holds two batches in memory at the most, each at most a frame larger
//! than [`Transfer::batch`] says.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use roadstead_oci::{Algorithm, Digest, Digester, InvalidState, Sha256State};
use roadstead_storage::Upload;
use tokio::sync::Semaphore;

use crate::Error;

/// The most bytes that a batch has before it is worked on; fits a processor's second-level cache.
const LARGEST_BATCH: usize = 512 * 1024;
/// The fewest: below, changing threads costs more than it hides.
const SMALLEST_BATCH: usize = 64 * 1024;
/// What the batches of all transfers share, as long as each has the fewest bytes.
const ALL_BATCHES: usize = 2 * 1024 * 1024;
/// Up to how many bytes hashing is cheaper than handing it to another thread.
const INLINE: usize = 16 * 1024;

/// An error of the transport that the bytes come from.
pub type TransportError = Box<dyn std::error::Error + Send + Sync>;

/// The digests of what has gone in so far.
#[derive(Clone, Debug)]
pub(crate) struct Hashes {
    sha256: Digester,
    /// Another digest, if it was asked for before the first byte.
    other: Option<Digester>,
}

impl Hashes {
    pub(crate) fn new(also: Option<Algorithm>) -> Self {
        let also = also.filter(|algorithm| *algorithm != Algorithm::Sha256);
        Self {
            sha256: Digester::new(Algorithm::Sha256),
            other: also.map(Digester::new),
        }
    }

    pub(crate) fn resume(state: &Sha256State) -> Result<Self, InvalidState> {
        Ok(Self {
            sha256: Digester::resume(state)?,
            other: None,
        })
    }

    pub(crate) fn state(&self) -> Option<Sha256State> {
        self.sha256.state()
    }

    /// The canonical digest, and the other one.
    pub(crate) fn finish(self) -> (Digest, Option<Digest>) {
        (self.sha256.finish(), self.other.map(Digester::finish))
    }

    fn update(&mut self, chunks: &[Bytes]) {
        for chunk in chunks {
            self.sha256.update(chunk);
            if let Some(other) = &mut self.other {
                other.update(chunk);
            }
        }
    }

    /// Adds `chunks`, off the async threads when they are many bytes, and on no more threads at
    /// once than there are processors.
    pub(crate) async fn updated(mut self, chunks: Vec<Bytes>) -> Result<Self, Error> {
        static PROCESSORS: LazyLock<Semaphore> = LazyLock::new(|| {
            Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))
        });
        if length(&chunks) <= INLINE {
            self.update(&chunks);
            return Ok(self);
        }
        let permit = PROCESSORS.acquire().await;
        let hashing = tokio::task::spawn_blocking(move || {
            self.update(&chunks);
            self
        });
        let hashed = hashing.await;
        drop(permit);
        hashed.map_err(|panic| Error::Unavailable(panic.into()))
    }
}

/// Appends all of `body` to `upload` and returns the digests over it. When the body breaks off,
/// what came before is appended all the same and the error returned beside the digests.
pub(crate) async fn ingest(
    upload: &mut dyn Upload,
    mut hashes: Hashes,
    body: impl Stream<Item = Result<Bytes, TransportError>> + Send,
) -> Result<(Hashes, Result<(), Error>), Error> {
    let mut body = std::pin::pin!(body);
    let transfer = Transfer::begin();
    let mut batch = next_batch(&mut body, &transfer).await;
    loop {
        let end = batch.end.take();
        if batch.chunks.is_empty() && end.is_some() {
            return Ok((hashes, end.unwrap_or(Ok(()))));
        }
        let hashing = hashes.updated(batch.chunks.clone());
        let writing = upload.append(&batch.chunks);
        let receiving = async {
            match end {
                Some(end) => Batch::ended(end),
                None => next_batch(&mut body, &transfer).await,
            }
        };
        let (hashed, written, next) = tokio::join!(hashing, writing, receiving);
        written?;
        hashes = hashed?;
        batch = next;
    }
}

/// One of the transfers of this process, for as long as it lives.
struct Transfer;

static TRANSFERS: AtomicUsize = AtomicUsize::new(0);

impl Transfer {
    fn begin() -> Self {
        TRANSFERS.fetch_add(1, Relaxed);
        Self
    }

    /// How many bytes a batch is to have now: what a transfer adds to the memory of the process
    /// is little when there are many.
    fn batch(&self) -> usize {
        let share = ALL_BATCHES / TRANSFERS.load(Relaxed).max(1);
        share.clamp(SMALLEST_BATCH, LARGEST_BATCH)
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        TRANSFERS.fetch_sub(1, Relaxed);
    }
}

/// Some bytes, and how the body ended if it did.
struct Batch {
    chunks: Vec<Bytes>,
    end: Option<Result<(), Error>>,
}

impl Batch {
    fn ended(end: Result<(), Error>) -> Self {
        Self {
            chunks: Vec::new(),
            end: Some(end),
        }
    }
}

async fn next_batch<S>(body: &mut S, transfer: &Transfer) -> Batch
where
    S: Stream<Item = Result<Bytes, TransportError>> + Unpin,
{
    let mut chunks = Vec::new();
    let mut received = 0;
    while received < transfer.batch() {
        let end = match body.next().await {
            Some(Ok(chunk)) => {
                received += chunk.len();
                if !chunk.is_empty() {
                    chunks.push(chunk);
                }
                continue;
            }
            Some(Err(error)) => Err(Error::BodyBroken(error)),
            None => Ok(()),
        };
        return Batch {
            chunks,
            end: Some(end),
        };
    }
    Batch { chunks, end: None }
}

fn length(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}
