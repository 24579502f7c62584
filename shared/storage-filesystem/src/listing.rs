//! `list`: the sorted names of a directory, remembered while it provably has not changed.
//!
//! # Why a remembered listing is right, whoever else writes
//!
//! Adding, removing or replacing a name changes the directory's `ctime`, which nobody can set
//! back; the caller's every look compares it (and `mtime`, device and inode). Only one change can
//! hide: one made after the listing and within the same tick of the kernel's clock as the change
//! before it. So, as git does with "racily clean" files, a listing is remembered only when the
//! directory's last change is older than a tick *before* the listing began: every later change
//! then has a later stamp. That takes one clock, so only filesystems of this machine qualify; one
//! that stamps whole seconds needs a tick of two. A name that is a symbolic link may change its
//! kind without a trace in the directory, so a directory that has one is not remembered.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use roadstead_storage::{Entry, EntryKind, Error, Key, ListOptions};
use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};

use crate::directory::Directory;
use crate::disk::Disk;
use crate::durable::TICK;
use crate::error;
use crate::temporary::is_temporary;

/// How many directories to remember.
const DIRECTORIES: usize = 64;

/// How many names to remember in all; one takes about 60 bytes.
const NAMES: usize = 200_000;

pub(crate) fn list_cached(
    disk: &Disk,
    prefix: &Key,
    options: ListOptions<'_>,
) -> Option<Result<Vec<Entry>, Error>> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let version = match disk.cached.open(&disk.path(prefix), flags)? {
        Ok(directory) => Version::of(&directory.metadata().ok()?),
        Err(error) => return Some(absent(prefix, error)),
    };
    let names = disk.listings.get(&version)?;
    Some(Ok(page(&names, options)))
}

pub(crate) fn list(
    disk: &Disk,
    prefix: &Key,
    options: ListOptions<'_>,
) -> Result<Vec<Entry>, Error> {
    let directory = match Directory::open(&disk.path(prefix)) {
        Ok(directory) => directory,
        Err(error) => return absent(prefix, error),
    };
    let begun = SystemTime::now();
    let listing = Listing::read(directory.file());
    let listing = listing.map_err(|error| error::unavailable("list", prefix, error))?;
    if !listing.is_lasting(directory.file(), begun) {
        return Ok(listing.page_once(options));
    }
    let (version, names) = listing.sorted();
    disk.listings.remember(version, Arc::clone(&names));
    Ok(page(&names, options))
}

fn absent(prefix: &Key, error: io::Error) -> Result<Vec<Entry>, Error> {
    if error::vanished(&error) && *prefix == Key::root() {
        return Ok(Vec::new());
    }
    Err(error::reading("list", prefix, error))
}

/// The part of sorted `names` that is asked for.
fn page(names: &[Entry], options: ListOptions<'_>) -> Vec<Entry> {
    let after = |after: &str| names.partition_point(|entry| entry.name.as_str() <= after);
    let names = &names[options.after.map_or(0, after)..];
    names[..options.limit.min(names.len())].to_vec()
}

/// A directory in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn is_same_directory(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether every change after `moment` gets a later stamp than this version has.
    fn is_settled_at(&self, moment: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let coarse = nanoseconds == 0;
        let tick = if coarse { Duration::from_secs(2) } else { TICK };
        let since_epoch = |seconds| Duration::new(seconds, nanoseconds as u32);
        let changed = u64::try_from(seconds).map(since_epoch);
        let age = moment.duration_since(SystemTime::UNIX_EPOCH);
        matches!((changed, age), (Ok(changed), Ok(age)) if changed + tick < age)
    }
}

/// What one reading of a directory found, in the directory's own order.
struct Listing {
    version: Version,
    entries: Vec<Entry>,
    has_links: bool,
}

impl Listing {
    fn read(directory: &File) -> io::Result<Self> {
        let version = Version::of(&directory.metadata()?);
        let (mut entries, mut has_links) = (Vec::new(), false);
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_name(name)) else {
                continue;
            };
            has_links |= entry.file_type() == FileType::Symlink;
            let kind = kind(directory, name, entry.file_type())?;
            let kind = kind.filter(|kind| *kind == EntryKind::Prefix || !is_temporary(name));
            let name = name.to_owned();
            entries.extend(kind.map(|kind| Entry { name, kind }));
        }
        Ok(Self {
            version,
            entries,
            has_links,
        })
    }

    /// Whether this listing stays right for as long as the directory has the same version.
    fn is_lasting(&self, directory: &File, begun: SystemTime) -> bool {
        let unchanged = |now: Metadata| Version::of(&now) == self.version;
        !self.has_links
            && self.entries.len() <= NAMES
            && self.version.is_settled_at(begun)
            && directory.metadata().is_ok_and(unchanged)
            && is_local(directory)
    }

    fn sorted(mut self) -> (Version, Arc<[Entry]>) {
        self.entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        (self.version, self.entries.into())
    }

    /// The part that is asked for, and no more than that sorted.
    fn page_once(self, options: ListOptions<'_>) -> Vec<Entry> {
        let mut entries = self.entries;
        if let Some(after) = options.after {
            entries.retain(|entry| entry.name.as_str() > after);
        }
        if options.limit < entries.len() {
            entries.select_nth_unstable_by(options.limit, |a, b| a.name.cmp(&b.name));
            entries.truncate(options.limit);
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        entries
    }
}

/// Whether `name` can be the component of a key.
fn is_name(name: &str) -> bool {
    Key::new(name).is_ok()
}

fn kind(directory: &File, name: &str, found: FileType) -> io::Result<Option<EntryKind>> {
    let found = match found {
        FileType::Symlink | FileType::Unknown => follow(directory, name)?,
        known => known,
    };
    Ok(match found {
        FileType::Directory => Some(EntryKind::Prefix),
        FileType::RegularFile => Some(EntryKind::Content),
        _ => None,
    })
}

/// What `name` leads to; unknown when it leads nowhere.
fn follow(directory: &File, name: &str) -> io::Result<FileType> {
    match statat(directory, name, AtFlags::empty()) {
        Ok(stat) => Ok(FileType::from_raw_mode(stat.st_mode)),
        Err(rustix::io::Errno::NOENT) => Ok(FileType::Unknown),
        Err(error) => Err(error.into()),
    }
}

/// Whether the filesystem stamps its files by this machine's clock.
#[cfg(target_os = "linux")]
fn is_local(directory: &File) -> bool {
    const EXT: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const BTRFS: u32 = 0x9123_683e;
    const TMPFS: u32 = 0x0102_1994;
    const F2FS: u32 = 0xf2f5_2010;
    const ZFS: u32 = 0x2fc1_2fc1;
    const OVERLAYFS: u32 = 0x794c_7630;
    let local = [EXT, XFS, BTRFS, TMPFS, F2FS, ZFS, OVERLAYFS];
    rustix::fs::fstatfs(directory).is_ok_and(|stat| local.contains(&(stat.f_type as u32)))
}

#[cfg(not(target_os = "linux"))]
fn is_local(_: &File) -> bool {
    false
}

/// The listings that are remembered, the one used last at the end.
#[derive(Debug, Default)]
pub(crate) struct Listings {
    known: Mutex<Vec<(Version, Arc<[Entry]>)>>,
}

impl Listings {
    fn get(&self, version: &Version) -> Option<Arc<[Entry]>> {
        let mut known = self.known();
        let at = known.iter().position(|(known, _)| known == version)?;
        known[at..].rotate_left(1);
        known.last().map(|(_, names)| Arc::clone(names))
    }

    fn remember(&self, version: Version, names: Arc<[Entry]>) {
        let mut known = self.known();
        known.retain(|(known, _)| !known.is_same_directory(&version));
        known.push((version, names));
        let mut names: usize = known.iter().map(|(_, names)| names.len()).sum();
        while known.len() > DIRECTORIES || names > NAMES {
            let (_, forgotten) = known.remove(0);
            names -= forgotten.len();
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<(Version, Arc<[Entry]>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
