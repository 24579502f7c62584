//! `stat` and `read`, each first without waiting and then, if need be, with.

use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use roadstead_storage::{ByteRange, Content, ContentStat, Error, FileRange, Key, Object, Stat};
use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::disk::{Disk, refuse_temporary};
use crate::error;

/// Up to this many bytes are read at once rather than handed out as a part of an open file.
const SMALL: u64 = 64 * 1024;

/// `NONBLOCK` so that a FIFO cannot hang the opening; it has no effect on regular files.
pub(crate) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

pub(crate) fn stat_cached(disk: &Disk, key: &Key) -> Option<Result<Stat, Error>> {
    let metadata = disk.cached.look(&disk.path(key))?;
    Some(stat_of(key, metadata))
}

pub(crate) fn stat(disk: &Disk, key: &Key) -> Result<Stat, Error> {
    stat_of(key, std::fs::metadata(disk.path(key)))
}

fn stat_of(key: &Key, metadata: io::Result<Metadata>) -> Result<Stat, Error> {
    match metadata {
        Ok(metadata) if metadata.is_dir() => Ok(Stat::Prefix),
        Ok(metadata) => {
            refuse_temporary(key)?;
            Ok(Stat::Content(content_stat(key, &metadata)?))
        }
        Err(error) if error::vanished(&error) && *key == Key::root() => Ok(Stat::Prefix),
        Err(error) => Err(error::reading("look at", key, error)),
    }
}

/// What is at `path`, if it is content and can be looked at.
pub(crate) fn content_at(path: &Path) -> Option<ContentStat> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata.is_file().then(|| of(&metadata))
}

fn of(metadata: &Metadata) -> ContentStat {
    ContentStat {
        size: metadata.len(),
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
    }
}

fn content_stat(key: &Key, metadata: &Metadata) -> Result<ContentStat, Error> {
    if !metadata.is_file() {
        return Err(error::irregular(key));
    }
    Ok(of(metadata))
}

pub(crate) fn read_cached(
    disk: &Disk,
    key: &Key,
    range: ByteRange,
) -> Option<Result<Object, Error>> {
    let file = disk.cached.open(&disk.path(key))?;
    let opened = match Opened::new(key, file, range) {
        Ok(opened) => opened,
        Err(error) => return Some(Err(error)),
    };
    let Some(mut buffer) = opened.buffer() else {
        return Some(Ok(opened.into_file()));
    };
    let read = disk
        .cached
        .read(&opened.file, &mut buffer, opened.range.start);
    read.then(|| Ok(opened.into_bytes(buffer)))
}

pub(crate) fn read(disk: &Disk, key: &Key, range: ByteRange) -> Result<Object, Error> {
    let opened = Opened::new(key, open(&disk.path(key)), range)?;
    let Some(mut buffer) = opened.buffer() else {
        return Ok(opened.into_file());
    };
    let read = opened.file.read_exact_at(&mut buffer, opened.range.start);
    read.map_err(|error| error::unavailable("read", key, error))?;
    Ok(opened.into_bytes(buffer))
}

fn open(path: &Path) -> io::Result<File> {
    let file = openat(CWD, path, READ | OFlags::CLOEXEC, Mode::empty())?;
    Ok(file.into())
}

/// Content that is open, and which of its bytes are wanted.
struct Opened {
    file: File,
    stat: ContentStat,
    range: Range<u64>,
}

impl Opened {
    fn new(key: &Key, file: io::Result<File>, range: ByteRange) -> Result<Self, Error> {
        refuse_temporary(key)?;
        let file = file.map_err(|error| error::reading("open", key, error))?;
        let metadata = file.metadata();
        let metadata = metadata.map_err(|error| error::unavailable("look at", key, error))?;
        if metadata.is_dir() {
            return Err(error::not_found(key));
        }
        let stat = content_stat(key, &metadata)?;
        let range = range.resolve(key, stat.size)?;
        Ok(Self { file, stat, range })
    }

    /// Room for the wanted bytes, if they are few.
    fn buffer(&self) -> Option<Vec<u8>> {
        let length = self.range.end - self.range.start;
        (length <= SMALL).then(|| vec![0; length as usize])
    }

    fn into_bytes(self, bytes: Vec<u8>) -> Object {
        Object {
            stat: self.stat,
            content: Content::Bytes(Bytes::from(bytes)),
            is_own: false,
        }
    }

    fn into_file(self) -> Object {
        let range = FileRange {
            file: Arc::new(self.file),
            offset: self.range.start,
            length: self.range.end - self.range.start,
        };
        Object {
            stat: self.stat,
            content: Content::File(range),
            is_own: false,
        }
    }
}
