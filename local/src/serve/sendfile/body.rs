//! The body whose bytes are sent by the kernel.

use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use roadstead_api::body::file_body;
use roadstead_storage::FileRange;
use rustix::fs::{Advice, fadvise};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{Files, mapping, shortened};

/// The longest slice: what is in the page cache is sent at once.
const CACHED_SLICE: u64 = 4 * 1024 * 1024;

/// The slice that is read from the disk first: the client does not wait for long.
const COLD_SLICE: u64 = 1024 * 1024;

/// The distance of the places at which the page cache is probed.
const PROBE: u64 = 256 * 1024;

/// How much of the file passes through memory at once while it is brought into the page cache.
const SCRATCH: usize = 128 * 1024;

/// A file range as slices of its untouched mapping.
///
/// `sendfile` waits for the disk where pages are missing, and would stop every connection of its
/// thread. So each slice is probed first, and read by a blocking thread when it is not cached.
pub(super) struct SendfileBody {
    rest: FileRange,
    files: Arc<Files>,
    state: State,
}

enum State {
    /// Nothing is mapped before the first poll: an answer to HEAD is never polled.
    Unmapped,
    /// The unsent rest of the mapping, and what brings its next slice into the page cache.
    Mapped {
        rest: Bytes,
        warming: Option<JoinHandle<io::Result<()>>>,
    },
    /// The file cannot be mapped or probed: read it.
    Read(Body),
}

impl SendfileBody {
    pub(super) fn new(range: FileRange, files: Arc<Files>) -> Self {
        Self {
            rest: range,
            files,
            state: State::Unmapped,
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        let sendable = match cached(&self.rest)? {
            Cached::Unknown => None,
            Cached::Bytes(_) => mapping::map(&self.rest, &self.files).ok(),
        };
        self.state = match sendable {
            Some(rest) => State::Mapped {
                rest,
                warming: None,
            },
            None => State::Read(file_body(self.rest.clone())),
        };
        Ok(())
    }

    /// The length of the next slice, once it is in the page cache.
    fn poll_cached(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let State::Mapped { warming, .. } = &mut self.state else {
            return Poll::Ready(Ok(0));
        };
        loop {
            if let Some(task) = warming {
                let result = ready!(Pin::new(task).poll(cx));
                *warming = None;
                result??;
                return Poll::Ready(Ok(self.rest.length.min(COLD_SLICE)));
            }
            match cached(&self.rest)? {
                Cached::Bytes(length) if length > 0 => return Poll::Ready(Ok(length)),
                _ => {
                    let range = self.rest.clone();
                    *warming = Some(spawn_blocking(move || warm(&range)));
                }
            }
        }
    }

    fn take(&mut self, length: u64) -> Bytes {
        self.rest.offset += length;
        self.rest.length -= length;
        match &mut self.state {
            State::Mapped { rest, .. } => rest.split_to(length as usize),
            State::Unmapped | State::Read(_) => Bytes::new(),
        }
    }

    /// Ends the body; its mapping goes when the last slice has been sent.
    fn end(&mut self) {
        self.rest.length = 0;
        self.state = State::Unmapped;
    }

    fn poll_slice(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let result = ready!(self.poll_cached(cx)).map(|length| Frame::data(self.take(length)));
        if result.is_err() || self.rest.length == 0 {
            self.end();
        }
        Poll::Ready(Some(result))
    }
}

impl http_body::Body for SendfileBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let State::Read(body) = &mut self.state {
            return Pin::new(body).poll_frame(cx);
        }
        if self.rest.length == 0 {
            return Poll::Ready(None);
        }
        if let State::Unmapped = self.state {
            if let Err(error) = self.begin() {
                self.end();
                return Poll::Ready(Some(Err(axum::Error::new(error))));
            }
            return self.poll_frame(cx);
        }
        self.poll_slice(cx)
            .map(|frame| frame.map(|result| result.map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Read(body) => body.is_end_stream(),
            State::Unmapped | State::Mapped { .. } => self.rest.length == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Read(body) => body.size_hint(),
            State::Unmapped | State::Mapped { .. } => SizeHint::with_exact(self.rest.length),
        }
    }
}

/// What the page cache has of the beginning of a range.
enum Cached {
    /// So many bytes as far as probes can tell, [`CACHED_SLICE`] at most.
    Bytes(u64),
    /// The file system cannot tell.
    Unknown,
}

fn cached(range: &FileRange) -> io::Result<Cached> {
    let end = range.length.min(CACHED_SLICE);
    let places = (0..end).step_by(PROBE as usize).chain([end - 1]);
    for place in places {
        match probe(range, place) {
            Ok(0) => return Err(shortened()),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Cached::Bytes(place)),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return Ok(Cached::Unknown),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Cached::Bytes(end))
}

/// Reads one byte if that needs no disk.
fn probe(range: &FileRange, place: u64) -> rustix::io::Result<usize> {
    let mut byte = [0];
    let mut slices = [io::IoSliceMut::new(&mut byte)];
    let offset = range.offset + place;
    preadv2(&range.file, &mut slices, offset, ReadWriteFlags::NOWAIT)
}

/// Reads the next slice into the page cache and starts with the one after it.
fn warm(range: &FileRange) -> io::Result<()> {
    let mut scratch = [0; SCRATCH];
    let end = range.offset + range.length.min(COLD_SLICE);
    let mut offset = range.offset;
    while offset < end {
        let length = SCRATCH.min((end - offset) as usize);
        match range.file.read_at(&mut scratch[..length], offset) {
            Ok(0) => return Err(shortened()),
            Ok(length) => offset += length as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    // Only a hint: what fails here fails again, and is reported, in the next read.
    let _ = fadvise(
        &range.file,
        end,
        COLD_SLICE.try_into().ok(),
        Advice::WillNeed,
    );
    Ok(())
}
