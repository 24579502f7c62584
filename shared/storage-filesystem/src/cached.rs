//! Looking at files without ever waiting for a disk, for the runtime's own threads.
//!
//! Linux answers from what it has in memory and says so when it would have to wait
//! (`RESOLVE_CACHED` since 5.12, `RWF_NOWAIT` since 4.14). A "no such file" comes this way as
//! well, once the kernel has learned it. Elsewhere nothing is ever known without waiting.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::OFlags;

/// The kernel's ability to answer without waiting.
#[derive(Debug)]
pub(crate) struct Cached {
    supported: bool,
}

impl Cached {
    /// Asks the kernel once; sandboxes may refuse what the kernel could do.
    pub(crate) fn detect() -> Self {
        let supported = platform::is_supported();
        Self { supported }
    }

    /// Opens `path` if that needs no waiting. `None` says nothing about the file: it may be there
    /// or not, and other failures than its absence are for the slow path to find out.
    pub(crate) fn open(&self, path: &Path, flags: OFlags) -> Option<io::Result<File>> {
        if !self.supported {
            return None;
        }
        platform::open(path, flags)
    }

    /// Fills `buffer` from `offset` on if that needs no waiting; whether it did.
    pub(crate) fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> bool {
        platform::read(file, buffer, offset)
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::fs::File;
    use std::io::{self, IoSliceMut};
    use std::path::Path;

    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    fn try_open(path: &Path, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)?;
        Ok(file.into())
    }

    pub(super) fn is_supported() -> bool {
        let root = try_open(Path::new("/"), OFlags::PATH);
        matches!(root, Ok(_) | Err(Errno::AGAIN))
    }

    pub(super) fn open(path: &Path, flags: OFlags) -> Option<io::Result<File>> {
        match try_open(path, flags) {
            Ok(file) => Some(Ok(file)),
            Err(absent @ (Errno::NOENT | Errno::NOTDIR)) => Some(Err(absent.into())),
            Err(_) => None,
        }
    }

    pub(super) fn read(file: &File, mut buffer: &mut [u8], mut offset: u64) -> bool {
        while !buffer.is_empty() {
            let part = &mut [IoSliceMut::new(buffer)];
            match preadv2(file, part, offset, ReadWriteFlags::NOWAIT) {
                Ok(count @ 1..) => {
                    buffer = &mut buffer[count..];
                    offset += count as u64;
                }
                Ok(0) | Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    use rustix::fs::OFlags;

    pub(super) fn is_supported() -> bool {
        false
    }

    pub(super) fn open(_: &Path, _: OFlags) -> Option<io::Result<File>> {
        None
    }

    pub(super) fn read(_: &File, _: &mut [u8], _: u64) -> bool {
        false
    }
}
