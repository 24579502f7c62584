//! The journal of a server over a directory, as a power cut leaves it: `shared/storage-filesystem/src/journal/record.rs`
//! says what its bytes mean.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::store::JOURNAL;

/// Magic, the segment's identity, the run of the kernel, checksum.
const HEADER: usize = 16 + 16 + 16 + 4;
const RUN: usize = 16 + 16;

const WRITE: u8 = 1;
const FORGET: u8 = 2;

/// Whether a server over this directory keeps a journal: on filesystems of this machine that it knows.
///
/// # Panics
/// When the kernel does not tell.
#[must_use]
pub fn is_kept(directory: &Path) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const F2FS: u64 = 0xf2f5_2010;
    let filesystem = rustix::fs::statfs(directory).expect("the kernel tells");
    [EXT, XFS, BTRFS, F2FS].contains(&(filesystem.f_type as u64))
}

/// What a journal says, in the order in which it was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Below the root.
    pub key: String,
    /// `None` when what was said before of the key, and all below it, no longer counts.
    pub content: Option<Vec<u8>>,
}

/// All entries of the journals below `root`.
///
/// # Panics
/// When a journal cannot be read.
#[must_use]
pub fn entries(root: &Path) -> Vec<Entry> {
    let mut entries: Vec<Entry> = segments(root)
        .iter()
        .flat_map(|path| entries_of(&std::fs::read(path).expect("a segment can be read")))
        .collect();
    entries.sort_by_key(|entry| entry.time);
    entries
}

/// What only the journals below `root` may keep from being lost: keys and their content.
#[must_use]
pub fn at_risk(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut at_risk = BTreeMap::new();
    for Entry { key, content, .. } in entries(root) {
        match content {
            Some(content) => drop(at_risk.insert(key, content)),
            None => at_risk.retain(|other, _| !Path::new(other).starts_with(&key)),
        }
    }
    at_risk
}

/// Makes the journals below `root` those of another run of the kernel.
///
/// # Panics
/// When they cannot be written.
pub fn stamp(root: &Path) {
    for path in segments(root) {
        let mut segment = std::fs::read(&path).expect("a segment can be read");
        let checksum = HEADER - 4;
        segment[RUN..checksum].fill(0);
        let sum = crc32fast::hash(&segment[..checksum]);
        segment[checksum..HEADER].copy_from_slice(&sum.to_be_bytes());
        std::fs::write(path, segment).expect("a segment can be written");
    }
}

fn segments(root: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(root.join(JOURNAL)).into_iter().flatten();
    files.map(|file| file.expect("a segment").path()).collect()
}

fn entries_of(segment: &[u8]) -> Vec<Entry> {
    let (header, rest) = segment.split_at(HEADER);
    let mut bytes = Bytes(rest);
    let mut entries = Vec::new();
    while let Some(record) = bytes.record(&header[16..RUN]) {
        entries.extend(record);
    }
    entries
}

struct Bytes<'b>(&'b [u8]);

impl<'b> Bytes<'b> {
    /// `None` behind the last record of this use of the segment.
    fn record(&mut self, identity: &[u8]) -> Option<Vec<Entry>> {
        let length = self.number()? as usize;
        let expected = self.number()?;
        let mut payload = Self(self.take(length)?);
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(identity);
        checksum.update(payload.0);
        if length == 0 || checksum.finalize() != expected {
            return None;
        }
        let time = u64::from_be_bytes(payload.take(8)?.try_into().ok()?);
        let count = payload.number()?;
        (0..count).map(|_| payload.entry(time)).collect()
    }

    fn entry(&mut self, time: u64) -> Option<Entry> {
        let kind = self.take(1)?[0];
        let key = String::from_utf8(self.text()?.to_vec()).ok()?;
        let content = match kind {
            WRITE => Some(self.text()?.to_vec()),
            FORGET => None,
            other => panic!("no entry begins with {other}"),
        };
        Some(Entry { time, key, content })
    }

    fn text(&mut self) -> Option<&'b [u8]> {
        let length = self.number()? as usize;
        self.take(length)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}
