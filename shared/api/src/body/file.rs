//! Reading a file onto a connection: what the page cache has at once, the rest on a thread that
//! may block.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use roadstead_storage::FileRange;
use tokio::task::{JoinHandle, spawn_blocking};

/// What is copied at once on an async thread: small enough to stay in the cache of the processor,
/// and what TLS takes in one go.
const CACHED_CHUNK: usize = 64 * 1024;

/// What one visit to a blocking thread reads: large enough that the visit costs little.
const BLOCKING_CHUNK: usize = 512 * 1024;

/// How far the kernel is asked to read ahead of a blocking read.
#[cfg(target_os = "linux")]
const READ_AHEAD: u64 = 2 * 1024 * 1024;

/// The bytes of a file range; see [`super::file_body`].
pub(super) struct FileBody {
    rest: FileRange,
    buffers: Buffers,
    source: Source,
}

enum Source {
    /// Try the page cache first.
    Cache,
    /// The platform or the file system cannot tell what is cached.
    Disk,
    /// A blocking thread reads; afterwards go on as `then_cache` says.
    Reading {
        read: JoinHandle<io::Result<Bytes>>,
        then_cache: bool,
    },
}

impl FileBody {
    pub(super) fn new(range: FileRange) -> Self {
        Self {
            rest: range,
            buffers: Buffers::default(),
            source: Source::Cache,
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        loop {
            match &mut self.source {
                Source::Cache => match read_cached(&self.rest, &self.buffers) {
                    Cached::Read(result) => return Poll::Ready(result),
                    Cached::Absent => self.start_reading(true),
                    Cached::Unknown => self.source = Source::Disk,
                },
                Source::Disk => self.start_reading(false),
                Source::Reading { read, then_cache } => {
                    let result = ready!(Pin::new(read).poll(cx));
                    self.source = if *then_cache {
                        Source::Cache
                    } else {
                        Source::Disk
                    };
                    return Poll::Ready(result.unwrap_or_else(|error| Err(error.into())));
                }
            }
        }
    }

    fn start_reading(&mut self, then_cache: bool) {
        let range = self.rest.clone();
        self.source = Source::Reading {
            read: spawn_blocking(move || read_blocking(&range)),
            then_cache,
        };
    }

    fn take(&mut self, chunk: &Bytes) -> io::Result<()> {
        let length = chunk.len() as u64;
        if length == 0 || length > self.rest.length {
            return Err(shortened());
        }
        self.rest.offset += length;
        self.rest.length -= length;
        Ok(())
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.rest.length == 0 {
            return Poll::Ready(None);
        }
        let result = ready!(self.poll_chunk(cx)).and_then(|chunk| {
            self.take(&chunk)?;
            Ok(Frame::data(chunk))
        });
        if result.is_err() {
            // Nothing follows an error; the size hint of the rest no longer matters.
            self.rest.length = 0;
        }
        Poll::Ready(Some(result))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.length == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.length)
    }
}

fn shortened() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file became shorter while it was sent",
    )
}

/// What a look into the page cache gave.
enum Cached {
    Read(io::Result<Bytes>),
    Absent,
    Unknown,
}

#[cfg(target_os = "linux")]
fn read_cached(range: &FileRange, buffers: &Buffers) -> Cached {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    let mut buffer = buffers.take(CACHED_CHUNK.min(clamp(range.length)));
    let mut slices = [io::IoSliceMut::new(buffer.writable())];
    match preadv2(
        &range.file,
        &mut slices,
        range.offset,
        ReadWriteFlags::NOWAIT,
    ) {
        Ok(length) => Cached::Read(Ok(buffer.freeze(length))),
        Err(Errno::AGAIN | Errno::INTR) => Cached::Absent,
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Cached::Unknown,
        Err(error) => Cached::Read(Err(error.into())),
    }
}

#[cfg(not(target_os = "linux"))]
fn read_cached(_: &FileRange, _: &Buffers) -> Cached {
    Cached::Unknown
}

fn read_blocking(range: &FileRange) -> io::Result<Bytes> {
    let mut buffer = vec![0; BLOCKING_CHUNK.min(clamp(range.length))];
    let mut filled = 0;
    while filled < buffer.len() {
        let offset = range.offset + filled as u64;
        match range.file.read_at(&mut buffer[filled..], offset) {
            Ok(0) => return Err(shortened()),
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    read_ahead(&range.file, range.offset + filled as u64);
    Ok(buffer.into())
}

#[cfg(target_os = "linux")]
fn read_ahead(file: &File, offset: u64) {
    use rustix::fs::{Advice, fadvise};

    // Only a hint: what fails here fails again, and is reported, in the next read.
    let _ = fadvise(file, offset, READ_AHEAD.try_into().ok(), Advice::WillNeed);
}

#[cfg(not(target_os = "linux"))]
fn read_ahead(_: &File, _: u64) {}

fn clamp(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

/// The buffers of one body: each returns here when the connection has sent it.
#[derive(Clone, Default)]
struct Buffers(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Buffers {
    fn take(&self, length: usize) -> Buffer {
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let bytes = spare.filter(|bytes| bytes.len() >= length);
        Buffer {
            bytes: bytes.unwrap_or_else(|| vec![0; length].into()),
            length,
            home: self.clone(),
        }
    }
}

/// Bytes on loan from [`Buffers`].
struct Buffer {
    bytes: Box<[u8]>,
    length: usize,
    home: Buffers,
}

impl Buffer {
    fn writable(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    fn freeze(mut self, length: usize) -> Bytes {
        self.length = length;
        if length == 0 {
            return Bytes::new();
        }
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut spare = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        spare.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body_util::BodyExt;

    use super::*;

    /// Longer than one blocking chunk, and no multiple of anything.
    const LENGTH: usize = 1_300_007;

    fn content() -> Vec<u8> {
        (0..LENGTH as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
            .collect()
    }

    fn stored(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Arc::new(file)
    }

    fn body(file: &Arc<File>, offset: u64, length: u64) -> FileBody {
        FileBody::new(FileRange {
            file: file.clone(),
            offset,
            length,
        })
    }

    async fn collect(body: FileBody) -> io::Result<Bytes> {
        Ok(body.collect().await?.to_bytes())
    }

    #[tokio::test]
    async fn every_range_yields_its_bytes_from_the_cache_and_from_the_disk() {
        let content = content();
        let file = stored(&content);
        let all = LENGTH as u64;
        for (offset, length) in [
            (0, all),
            (0, 0),
            (0, 1),
            (all - 1, 1),
            (65_535, 2),
            (1, all - 2),
        ] {
            let expected = &content[offset as usize..(offset + length) as usize];
            let cached = body(&file, offset, length);
            assert_eq!(cached.size_hint().exact(), Some(length));
            assert_eq!(collect(cached).await.unwrap(), expected);

            let mut from_disk = body(&file, offset, length);
            from_disk.source = Source::Disk;
            assert_eq!(collect(from_disk).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        for truncated in [0, 65_536, LENGTH as u64 - 1] {
            let file = stored(&content());
            let cached = body(&file, 0, LENGTH as u64);
            let mut from_disk = body(&file, 0, LENGTH as u64);
            from_disk.source = Source::Disk;
            file.set_len(truncated).unwrap();
            for body in [cached, from_disk] {
                let error = collect(body).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }
    }

    #[tokio::test]
    async fn a_sent_buffer_is_used_again() {
        let file = stored(&content());
        let mut body = body(&file, 0, LENGTH as u64);
        while let Some(frame) = body.frame().await {
            drop(frame.unwrap());
        }
        assert_eq!(body.buffers.0.lock().unwrap().len(), 1);
    }
}
