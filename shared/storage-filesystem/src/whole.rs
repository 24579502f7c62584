//! Syncing a whole filesystem in place of many of its files.
//!
//! A batch has a dozen files and directories to force out, and each `fsync` waits for the disk.
//! One `syncfs(2)` forces out all of them, with whatever else the filesystem has to write: much
//! cheaper while that is little, and not to be done while it is much.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rustix::fs::{fstat, fstatfs, syncfs};

/// From how many files on it is worth it.
const MANY: usize = 4;

/// Up to how many bytes that wait to be written, anywhere on the machine, it is cheaper.
const LITTLE: u64 = 16 * 1024 * 1024;

/// How long an answer about these bytes holds.
const FRESH: Duration = Duration::from_millis(100);

/// Makes all `files` durable at once; `false`, with nothing done, where that would not be better
/// or might not be as sure: the files lie on several filesystems, on one of a kind that is not
/// known to force out everything, or there is much to write.
pub(crate) fn sync(files: &[Arc<File>], pressure: &Pressure) -> io::Result<bool> {
    let [first, ..] = files else {
        return Ok(true);
    };
    if files.len() < MANY || !is_one_known_filesystem(files) || !pressure.is_low() {
        return Ok(false);
    }
    syncfs(first)?;
    // ext4 without a journal empties the disk's cache before its last writes; any `fsync` empties
    // it again.
    first.sync_all()?;
    Ok(true)
}

fn is_one_known_filesystem(files: &[Arc<File>]) -> bool {
    let device = |file: &Arc<File>| fstat(file).map(|stat| stat.st_dev).ok();
    let first = device(&files[0]);
    first.is_some() && files.iter().all(|file| device(file) == first) && is_known(&files[0])
}

fn is_known(file: &File) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    fstatfs(file).is_ok_and(|filesystem| [EXT, XFS].contains(&(filesystem.f_type as u64)))
}

/// How much the machine has to write, asked for a few times a second at most.
#[derive(Debug)]
pub(crate) struct Pressure {
    begun: Instant,
    asked_at: AtomicU64,
    is_low: AtomicBool,
}

impl Pressure {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            asked_at: AtomicU64::new(0),
            is_low: AtomicBool::new(false),
        }
    }

    fn is_low(&self) -> bool {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let asked_at = self.asked_at.load(Relaxed);
        if asked_at == 0 || u128::from(now - asked_at.min(now)) >= FRESH.as_millis() {
            self.asked_at.store(now.max(1), Relaxed);
            let is_low = waiting_bytes().is_some_and(|bytes| bytes <= LITTLE);
            self.is_low.store(is_low, Relaxed);
        }
        self.is_low.load(Relaxed)
    }
}

/// The bytes in memory that the disks do not have yet, as Linux tells them.
fn waiting_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kibibytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim()
            .trim_end_matches("kB")
            .trim()
            .parse::<u64>()
            .ok()
    };
    Some((kibibytes("Dirty:")? + kibibytes("Writeback:")?) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: usize) -> (tempfile::TempDir, Vec<Arc<File>>) {
        let folder = tempfile::tempdir().unwrap();
        let file =
            |index: usize| Arc::new(File::create(folder.path().join(index.to_string())).unwrap());
        let files = (0..count).map(file).collect();
        (folder, files)
    }

    #[test]
    fn few_files_are_left_to_be_synced_one_by_one() {
        let (_folder, files) = files(MANY - 1);
        assert!(!sync(&files, &Pressure::new()).unwrap());
    }

    #[test]
    fn nothing_is_done_while_there_is_much_to_write() {
        let (_folder, files) = files(MANY);
        let pressure = Pressure::new();
        pressure.asked_at.store(u64::MAX, Relaxed);
        pressure.is_low.store(false, Relaxed);
        assert!(!sync(&files, &pressure).unwrap());
    }

    #[test]
    fn linux_tells_what_waits_to_be_written() {
        assert!(waiting_bytes().is_some());
    }
}
