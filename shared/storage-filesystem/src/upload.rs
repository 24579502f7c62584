//! Uploads: the file itself, appended in place, as CNCF Distribution lays them out.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_storage::{Apart, Error, Key, Upload};
use rustix::fs::{
    FlockOperation, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, flock, futimens, openat,
};
use rustix::io::{Errno, pwritev};

use crate::directory::{ATTEMPTS, Directory};
use crate::disk::{Disk, Threads};
use crate::write::MODE;
use crate::{error, range, rename};

/// The kernel is asked to write out an upload in steps of this many bytes, so that the sync at
/// the end is short.
const WRITE_BACK: u64 = 8 * 1024 * 1024;

const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_NOW,
};
const KEEP: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: UTIME_OMIT,
};

/// The most slices that one `pwritev` takes (`IOV_MAX`).
const SLICES: usize = 1024;

/// An upload whose file is locked against others, in this process and elsewhere.
///
/// Should the future of an operation be dropped, then the operation goes on in its thread, the
/// key stays busy until it ends, and this `Upload` is of no more use: its every operation fails.
/// The same holds after a failed sync, since nobody knows what the disk has then.
#[derive(Debug)]
pub(crate) struct FilesystemUpload {
    threads: Threads,
    key: Key,
    size: u64,
    /// Whether it was committed apart, which its own key is as good as.
    is_apart: bool,
    /// Absent while a thread has it.
    data: Option<Box<Data>>,
}

impl FilesystemUpload {
    pub(crate) async fn open(threads: &Threads, key: &Key) -> Result<Self, Error> {
        let data = {
            let key = key.clone();
            let open = move |disk: &Arc<Disk>| Data::open(Arc::clone(disk), key);
            threads.run(open).await?
        };
        Ok(Self {
            threads: threads.clone(),
            key: key.clone(),
            size: data.size,
            is_apart: false,
            data: Some(Box::new(data)),
        })
    }

    fn take(&mut self) -> Result<Box<Data>, Error> {
        let abandoned = || {
            let why = io::Error::other("an operation on it failed or was abandoned");
            error::unavailable("go on with", &self.key, why)
        };
        self.data.take().ok_or_else(abandoned)
    }

    async fn with<W>(&mut self, work: W) -> Result<(), Error>
    where
        W: FnOnce(&mut Data) -> Result<(), Error> + Send + 'static,
    {
        let mut data = self.take()?;
        let work = move |_: &Arc<Disk>| {
            let outcome = work(&mut data);
            Ok((data, outcome))
        };
        let (data, outcome) = self.threads.run(work).await?;
        self.size = data.size;
        self.data = Some(data).filter(|data| !data.doubtful);
        outcome
    }
}

#[async_trait]
impl Upload for FilesystemUpload {
    fn size(&self) -> u64 {
        self.size
    }

    /// Holds nothing beyond the call; the bytes are the kernel's then.
    async fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        if chunks.iter().all(Bytes::is_empty) {
            return Ok(());
        }
        let chunks = chunks.to_vec();
        self.with(move |data| data.append(&chunks)).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.with(Data::sync).await
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.with(Data::commit).await
    }

    /// At its own key: the lock keeps every other process from it.
    async fn commit_apart(&mut self) -> Result<Apart, Error> {
        self.with(Data::commit).await?;
        self.is_apart = true;
        Ok(Apart {
            key: self.key.clone(),
            is_certain: true,
        })
    }

    fn identity(&self) -> Option<String> {
        None
    }

    async fn commit_as(&mut self, to: &Key) -> Result<(), Error> {
        let to = to.clone();
        self.with(move |data| data.commit_as(&to)).await
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        if self.is_apart {
            return Ok(());
        }
        self.with(Data::cancel).await
    }
}

/// The file of an upload. Its methods block.
#[derive(Debug)]
struct Data {
    file: File,
    disk: Arc<Disk>,
    key: Key,
    size: u64,
    /// Up to where the kernel was asked to write out.
    written_back: u64,
    /// Whether what leads to the file is durable.
    settled: bool,
    /// Whether a failure left the file in a state that nobody knows.
    doubtful: bool,
    /// Dropped after the file: declared last.
    _claim: Claim,
}

/// A copy of the descriptor in a process that was just forked off would hold the lock beyond the
/// closing of the file, until that process becomes another program.
impl Drop for Data {
    fn drop(&mut self) {
        // Closing does the same for everyone else.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

impl Data {
    fn open(disk: Arc<Disk>, key: Key) -> Result<Self, Error> {
        let claim = disk.claims.claim(&key)?;
        drop(disk.claim(&[&key])?);
        let file = open_locked(&disk, &key)?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| error::unavailable("look at", &key, error))?;
        let size = metadata.len();
        Ok(Self {
            file,
            disk,
            key,
            size,
            written_back: size,
            settled: false,
            doubtful: false,
            _claim: claim,
        })
    }

    fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        match write_all(&self.file, chunks, self.size) {
            Ok(end) => self.size = end,
            Err(error) => {
                self.doubtful = self.file.set_len(self.size).is_err();
                return Err(self.failure("append to", error));
            }
        }
        self.write_back();
        Ok(())
    }

    fn write_back(&mut self) {
        if self.disk.syncs() && self.size - self.written_back >= WRITE_BACK {
            let length = self.size - self.written_back;
            range::start_writing(&self.file, self.written_back, length);
            self.written_back = self.size;
        }
    }

    fn sync(&mut self) -> Result<(), Error> {
        self.doubtful = true;
        let synced = self.disk.sync_file(&self.file);
        synced.map_err(|error| self.failure("sync", error))?;
        self.settle()?;
        self.doubtful = false;
        Ok(())
    }

    /// Makes what leads to the file durable, once.
    fn settle(&mut self) -> Result<(), Error> {
        if self.settled {
            return Ok(());
        }
        let (path, _) = self.disk.target(&self.key)?;
        let settle = || self.disk.settle(&[&Directory::open(&path)?]);
        settle().map_err(|error| match error::vanished(&error) {
            true => error::not_found(&self.key),
            false => self.failure("settle", error),
        })?;
        self.settled = true;
        Ok(())
    }

    /// Age counts from now on, not from when the last bytes came.
    fn commit(&mut self) -> Result<(), Error> {
        let now = Timestamps {
            last_access: KEEP,
            last_modification: NOW,
        };
        let touched = futimens(&self.file, &now);
        touched.map_err(|error| self.failure("touch", error.into()))?;
        self.sync()?;
        if !is_at(&self.file, &self.disk.path(&self.key)) {
            return Err(error::not_found(&self.key));
        }
        Ok(())
    }

    fn commit_as(&mut self, to: &Key) -> Result<(), Error> {
        self.commit()?;
        rename::rename(&self.disk, &self.key, to)
    }

    fn cancel(&mut self) -> Result<(), Error> {
        let path = self.disk.path(&self.key);
        if !is_at(&self.file, &path) {
            return Ok(());
        }
        let remove = std::fs::remove_file(path);
        remove.map_err(|error| self.failure("delete", error))
    }

    fn failure(&self, action: &'static str, error: io::Error) -> Error {
        error::writing(action, &self.key, error)
    }
}

/// Opens the file of `key`, which is made if need be, and locks it.
fn open_locked(disk: &Disk, key: &Key) -> Result<File, Error> {
    let (path, name) = disk.target(key)?;
    for _ in 0..ATTEMPTS {
        let file = match open(&path, name) {
            Err(error) if error::vanished(&error) => continue,
            file => file.map_err(|error| error::writing("open", key, error))?,
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Err(error::irregular(key));
        }
        lock(&file, key)?;
        // It may have been deleted before it was locked; then it is nobody's.
        if is_at(&file, &disk.path(key)) {
            return Ok(file);
        }
    }
    Err(Error::Busy(key.to_string()))
}

fn open(directory: &Path, name: &str) -> io::Result<File> {
    let directory = Directory::create(directory)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK | OFlags::NOCTTY;
    Ok(openat(&directory, name, flags | OFlags::CLOEXEC, MODE)?.into())
}

/// Locks `file` against other processes, where the filesystem can do that.
fn lock(file: &File, key: &Key) -> Result<(), Error> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) | Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(Error::Busy(key.to_string())),
        Err(error) => Err(error::unavailable("lock", key, error.into())),
    }
}

/// Whether `path` leads to `file`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Writes `chunks` from `offset` on; where they end.
fn write_all(file: &File, chunks: &[Bytes], mut offset: u64) -> io::Result<u64> {
    let slices = chunks.iter().filter(|chunk| !chunk.is_empty());
    let mut slices: Vec<IoSlice<'_>> = slices.map(|chunk| IoSlice::new(chunk)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        let some = &rest[..rest.len().min(SLICES)];
        match pwritev(file, some, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                offset += count as u64;
                IoSlice::advance_slices(&mut rest, count);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(offset)
}

/// The keys that have an `Upload` in this process, for filesystems without locks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    keys: Arc<Mutex<HashSet<Key>>>,
}

impl Claims {
    fn claim(&self, key: &Key) -> Result<Claim, Error> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if !keys.insert(key.clone()) {
            return Err(Error::Busy(key.to_string()));
        }
        Ok(Claim {
            claims: self.clone(),
            key: key.clone(),
        })
    }
}

/// A claimed key, until it is dropped.
#[derive(Debug)]
struct Claim {
    claims: Claims,
    key: Key,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let keys = self.claims.keys.lock();
        keys.unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}
