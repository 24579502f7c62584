//! Bytes from a client into an upload: hashed and written at the same time as more arrive.
//!
//! The bytes go in batches. While one batch is hashed on one thread and written on another, the
//! next one arrives; no thread waits for a client.
//!
//! A transfer has two buffers of [`Transfer::batch`] bytes, which take turns. What arrives is
//! copied into them: kept as it came, a frame of a few bytes would hold all of the buffer that the
//! transport read it into, and the transport would need another one for the next.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use roadstead_oci::{Algorithm, Digest, Digester, InvalidState, Sha256State};
use roadstead_storage::Upload;
use tokio::sync::Semaphore;

use crate::Error;

/// The bytes of a batch while there are [`FEW`] transfers: with smaller ones, a processor waits more
/// often while threads change.
const LARGE_BATCH: usize = 256 * 1024;
/// The bytes of a batch while there are more, which keep the processors busy between them.
const SMALL_BATCH: usize = 128 * 1024;
const FEW: usize = 4;
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

    fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(other) = &mut self.other {
            other.update(bytes);
        }
    }

    /// Adds `bytes`, off the async threads when they are many, and on no more threads at once
    /// than there are processors.
    pub(crate) async fn updated(mut self, bytes: Bytes) -> Result<Self, Error> {
        static PROCESSORS: LazyLock<Semaphore> = LazyLock::new(|| {
            Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))
        });
        if bytes.len() <= INLINE {
            self.update(&bytes);
            return Ok(self);
        }
        let permit = PROCESSORS.acquire().await;
        let hashing = tokio::task::spawn_blocking(move || {
            self.update(&bytes);
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
    let body = std::pin::pin!(body);
    let mut batches = Batches::of(body);
    let mut batch = batches.next().await;
    loop {
        let Batch { bytes, end } = batch;
        let end = match end {
            Some(end) if bytes.is_empty() => return Ok((hashes, end)),
            end => end,
        };
        let hashing = hashes.updated(bytes.clone());
        let writing = upload.append(std::slice::from_ref(&bytes));
        let receiving = async {
            match end {
                Some(end) => Batch::ended(end),
                None => batches.next().await,
            }
        };
        let (hashed, written, next) = tokio::join!(hashing, writing, receiving);
        written?;
        hashes = hashed?;
        batches.reuse(bytes);
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

    /// How many bytes a batch is to have now.
    fn batch(&self) -> usize {
        match TRANSFERS.load(Relaxed) {
            ..=FEW => LARGE_BATCH,
            _ => SMALL_BATCH,
        }
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        TRANSFERS.fetch_sub(1, Relaxed);
    }
}

/// Some bytes, and how the body ended if it did.
struct Batch {
    bytes: Bytes,
    end: Option<Result<(), Error>>,
}

impl Batch {
    fn ended(end: Result<(), Error>) -> Self {
        Self {
            bytes: Bytes::new(),
            end: Some(end),
        }
    }
}

/// A body in batches.
struct Batches<S> {
    body: S,
    transfer: Transfer,
    /// What the last batch had no room for.
    rest: Bytes,
    /// The buffer of a batch that is done with.
    spare: BytesMut,
}

impl<S> Batches<S>
where
    S: Stream<Item = Result<Bytes, TransportError>> + Unpin,
{
    fn of(body: S) -> Self {
        Self {
            body,
            transfer: Transfer::begin(),
            rest: Bytes::new(),
            spare: BytesMut::new(),
        }
    }

    async fn next(&mut self) -> Batch {
        let size = self.transfer.batch();
        let mut bytes = std::mem::take(&mut self.spare);
        if bytes.capacity() > size {
            bytes = BytesMut::new();
        }
        let end = loop {
            let room = size - bytes.len();
            // A body of one frame needs no more than that.
            if !bytes.is_empty() {
                bytes.reserve(room);
            }
            bytes.extend_from_slice(&self.rest.split_to(room.min(self.rest.len())));
            if bytes.len() == size {
                break None;
            }
            match self.body.next().await {
                Some(Ok(frame)) => self.rest = frame,
                Some(Err(error)) => break Some(Err(Error::BodyBroken(error))),
                None => break Some(Ok(())),
            }
        };
        Batch {
            bytes: bytes.freeze(),
            end,
        }
    }

    /// Takes the buffer of a batch back, unless somebody keeps it.
    fn reuse(&mut self, bytes: Bytes) {
        if let Ok(mut bytes) = bytes.try_into_mut() {
            bytes.clear();
            self.spare = bytes;
        }
    }
}
