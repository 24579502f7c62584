//! Sending files from the page cache to the socket without a copy through user space.
//!
//! Hyper writes bytes, so a file becomes bytes that are never looked at: [`SendfileBody`] maps the
//! range, hands slices of the mapping to hyper, and the connection recognises their addresses in
//! [`Files`] when hyper writes them, and calls `sendfile(2)` in their place. The mapping keeps
//! every layer between the two correct, which may look, and costs nothing as long as none does.
//!
//! A file that becomes shorter meanwhile is an error of the connection: `sendfile` then sends
//! nothing, whereas a look at the mapping would be a fatal signal.

mod body;
#[cfg(target_os = "linux")]
mod mapping;

use std::fs::File;
use std::io::{self, IoSlice};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roadstead_api::body::{FileSender, file_body};
use roadstead_storage::FileRange;

use body::SendfileBody;

/// Below this many bytes one read and one write cost less than a mapping.
const SMALLEST: u64 = 64 * 1024;

/// The mapped ranges that one connection has still to send.
#[derive(Default)]
pub(super) struct Files(Mutex<Vec<Mapped>>);

/// Where a file range lies in memory.
struct Mapped {
    address: usize,
    length: usize,
    file: Arc<File>,
    offset: u64,
}

/// A part of a file that is to be sent.
pub(super) struct Part {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) length: usize,
}

/// What to write next.
pub(super) enum Next {
    /// All of it is ordinary memory.
    Memory,
    /// So many buffers of ordinary memory, and a file after them.
    Head(usize),
    /// A part of a file.
    File(Part),
}

impl Files {
    /// The sender of files over the connection that asks these files what to write.
    pub(super) fn sender(self: &Arc<Self>) -> FileSender {
        let files = self.clone();
        FileSender::new(move |range| {
            if range.length < SMALLEST {
                file_body(range)
            } else {
                axum::body::Body::new(SendfileBody::new(range, files.clone()))
            }
        })
    }

    /// How `buffers` begin.
    pub(super) fn next(&self, buffers: &[IoSlice<'_>]) -> Next {
        let mapped = self.lock();
        if mapped.is_empty() {
            return Next::Memory;
        }
        for (index, buffer) in buffers.iter().enumerate() {
            let part = mapped.iter().find_map(|mapped| mapped.part(buffer));
            match part {
                None => {}
                Some(part) if buffers[..index].iter().all(|buffer| buffer.is_empty()) => {
                    return Next::File(part);
                }
                Some(_) => return Next::Head(index),
            }
        }
        Next::Memory
    }

    /// Announces that `bytes` are those of `range`.
    fn add(&self, bytes: &[u8], range: &FileRange) {
        self.lock().push(Mapped {
            address: bytes.as_ptr().addr(),
            length: bytes.len(),
            file: range.file.clone(),
            offset: range.offset,
        });
    }

    /// Forgets what lies at `bytes`, before the memory goes back to the system.
    fn remove(&self, bytes: &[u8]) {
        let address = bytes.as_ptr().addr();
        self.lock().retain(|mapped| mapped.address != address);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mapped>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mapped {
    fn part(&self, buffer: &[u8]) -> Option<Part> {
        let skip = buffer.as_ptr().addr().checked_sub(self.address)?;
        let inside = !buffer.is_empty() && skip.checked_add(buffer.len())? <= self.length;
        inside.then(|| Part {
            file: self.file.clone(),
            offset: self.offset + skip as u64,
            length: buffer.len(),
        })
    }
}

/// The error of a connection whose file has fewer bytes than were promised.
pub(super) fn shortened() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file became shorter while it was sent",
    )
}
