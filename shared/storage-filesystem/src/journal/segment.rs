//! A file of the journal, of a fixed size: what is appended fills bytes that are already there, so
//! that forcing it forces the bytes alone and no entry of the filesystem's own.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::fs::{FlockOperation, OFlags, flock, openat};
use uuid::Uuid;

use super::record::{HEADER, Header, Record};
use crate::directory::Directory;
use crate::write::MODE;

/// Bytes; some three thousand pushed manifests. There are two segments.
pub(super) const SIZE: usize = 4 * 1024 * 1024;

/// One use of a file of the journal, which is locked against the recovery by other processes.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: Arc<File>,
    device: u64,
    header: Header,
    /// How many have appended a record, and not yet done what it says.
    applying: Mutex<usize>,
    applied: Condvar,
}

impl Segment {
    /// A new file in `folder`, whose entry the caller makes durable.
    pub(super) fn create(folder: &Directory, run: Uuid) -> io::Result<Self> {
        let name = Uuid::new_v4().to_string();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file: File = openat(folder, &name, flags, MODE)?.into();
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.write_all_at(&vec![0; SIZE], 0)?;
        file.sync_all()?;
        let segment = Self {
            path: folder.path().join(name),
            device: file.metadata()?.dev(),
            file: Arc::new(file),
            header: Header {
                identity: Uuid::nil(),
                run,
            },
            applying: Mutex::default(),
            applied: Condvar::new(),
        };
        segment.renew()
    }

    /// The same file without a record, which is durable then.
    pub(super) fn renew(&self) -> io::Result<Self> {
        let identity = Uuid::new_v4();
        let header = Header {
            identity,
            ..self.header
        };
        self.file.write_all_at(&header.encode(), 0)?;
        self.file.sync_data()?;
        Ok(Self {
            path: self.path.clone(),
            file: Arc::clone(&self.file),
            device: self.device,
            header,
            applying: Mutex::default(),
            applied: Condvar::new(),
        })
    }

    /// Where the first record goes.
    pub(super) const BEGIN: usize = HEADER;

    pub(super) fn encode(&self, record: &Record) -> Vec<u8> {
        record.encode(self.header.identity)
    }

    pub(super) fn write(&self, bytes: &[u8], at: usize) -> io::Result<()> {
        self.file.write_all_at(bytes, at as u64)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Makes everything durable that was written to the filesystem on which the segment lies.
    pub(super) fn sync_filesystem(&self) -> io::Result<()> {
        super::filesystem::sync(&self.file)
    }

    /// Whether the file still lies where it was made.
    pub(super) fn is_in_place(&self) -> bool {
        let there = std::fs::metadata(&self.path);
        match (self.file.metadata(), there) {
            (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
            _ => false,
        }
    }

    /// Whether `file` lies on the same filesystem.
    pub(super) fn is_beside(&self, file: &File) -> bool {
        let metadata = file.metadata();
        metadata.is_ok_and(|metadata| metadata.dev() == self.device)
    }

    pub(super) fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Counts the caller among those who do what they have appended, until this is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Applying {
        *self.applying() += 1;
        Applying(Arc::clone(self))
    }

    /// Waits until everybody has done what they have appended.
    pub(super) fn wait_until_applied(&self) {
        let applied = self.applied.wait_while(self.applying(), |count| *count > 0);
        drop(applied);
    }

    fn applying(&self) -> MutexGuard<'_, usize> {
        self.applying.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record that is not yet done.
#[derive(Debug)]
pub(crate) struct Applying(Arc<Segment>);

impl Applying {
    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.0
    }
}

impl Drop for Applying {
    fn drop(&mut self) {
        *self.0.applying() -= 1;
        self.0.applied.notify_all();
    }
}

/// What a file of a journal says, whoever wrote it.
pub(super) struct Contents {
    pub(super) header: Header,
    pub(super) records: Vec<Record>,
}

impl Contents {
    /// Reads `file` from where it stands; `None` where there is no journal in it.
    pub(super) fn read(mut file: &File) -> io::Result<Option<Self>> {
        let mut bytes = Vec::with_capacity(SIZE);
        file.read_to_end(&mut bytes)?;
        let mut bytes = Bytes::from(bytes);
        let Some(header) = Header::decode(&bytes) else {
            return Ok(None);
        };
        let _header = bytes.split_to(HEADER);
        let record = || Record::decode(header.identity, &mut bytes);
        let records = std::iter::from_fn(record).collect();
        Ok(Some(Self { header, records }))
    }
}
