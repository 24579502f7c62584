//! What a read gives back: the bytes themselves, a part of an open file, or a stream.

use std::fmt;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::Error;

/// Bytes that arrive one chunk after another; an error ends the stream.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// The bytes of one read, exactly as many as the range that was asked for.
///
/// A front sends each form in the cheapest way it has: a file part by `sendfile(2)` where the
/// connection allows it, without a copy through user space.
pub enum Content {
    /// Small content, already in memory.
    Bytes(Bytes),
    /// A part of an open file.
    File(FileRange),
    /// Bytes that arrive while they are read.
    Stream(ByteStream),
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => f.debug_tuple("Bytes").field(&bytes.len()).finish(),
            Content::File(range) => f.debug_tuple("File").field(range).finish(),
            Content::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// `length` bytes of `file` from `offset` on; both in bytes.
///
/// The file stays open, and its bytes readable, for as long as the range lives, also when its
/// name is deleted or replaced meanwhile.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The open file.
    pub file: Arc<File>,
    /// The first byte.
    pub offset: u64,
    /// How many bytes.
    pub length: u64,
}
