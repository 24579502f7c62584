//! Open directories, made when they are missing.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, mkdir, openat};
use rustix::io::Errno;

/// How often an operation starts over because another one deleted the directory it works in.
pub(crate) const ATTEMPTS: usize = 16;

/// 0755 before the umask.
const MODE: Mode = Mode::from_raw_mode(0o755);

/// A directory that is open, and the path by which it was.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    file: Arc<File>,
}

impl Directory {
    /// Opens the directory at `path`, a symbolic link followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let file = openat(CWD, path, flags, Mode::empty())?;
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(file.into()),
        })
    }

    /// Opens the directory at `path`, which is made first if need be, and those above it.
    ///
    /// Fails with `EBUSY` while others keep deleting it, and with `ENOTDIR` when a symbolic link
    /// leads nowhere: a disk that is not mounted, perhaps, whose place is not to be filled.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            match Self::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => make(path)?,
                outcome => return outcome,
            }
        }
        Err(Errno::BUSY.into())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Makes the entries of an open directory durable, where the filesystem has a notion of that.
pub(crate) fn sync(directory: &File) -> io::Result<()> {
    match rustix::fs::fsync(directory) {
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(()),
        outcome => Ok(outcome?),
    }
}

fn make(path: &Path) -> io::Result<()> {
    match (mkdir(path, MODE), path.parent()) {
        (Err(Errno::EXIST), _) if path.is_symlink() && !path.exists() => Err(Errno::NOTDIR.into()),
        (Ok(()) | Err(Errno::EXIST), _) => Ok(()),
        (Err(Errno::NOENT), Some(parent)) => {
            make(parent)?;
            // Should the parent be deleted at once, then the caller tries again.
            mkdir(path, MODE).or_else(present_or_vanished)
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn present_or_vanished(error: Errno) -> io::Result<()> {
    match error {
        Errno::EXIST | Errno::NOENT => Ok(()),
        error => Err(error.into()),
    }
}
