//! What the journal has to know of filesystems.

use std::fs::File;
use std::io;

use uuid::Uuid;

/// Whether `file` lies on a filesystem of this machine that [`sync`] makes durable as a whole:
/// stacked and network filesystems promise less, and those in memory have nothing to keep.
#[cfg(target_os = "linux")]
pub(super) fn is_fit(file: &File) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683e;
    const F2FS: u64 = 0xf2f5_2010;
    let kind = rustix::fs::fstatfs(file).map(|filesystem| filesystem.f_type as u64);
    matches!(kind, Ok(EXT | XFS | BTRFS | F2FS))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_fit(_: &File) -> bool {
    false
}

/// Makes all that was written to the filesystem of `file` durable; tells of errors since Linux 5.8.
#[cfg(target_os = "linux")]
pub(super) fn sync(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sync(_: &File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// What tells this run of the kernel from others: what a process wrote, and did not force to the
/// disk, is there for all others until this changes.
pub(super) fn run() -> Option<Uuid> {
    let run = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Uuid::try_parse(run.trim()).ok()
}
