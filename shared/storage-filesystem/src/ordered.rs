//! Filesystems that keep what happened in order, over a crash too.
//!
//! Where the journal is one sequence, whose every commit flushes the disk first, a rename that
//! survives a crash proves that the bytes which had been written out before it survived as well.
//! That is so for XFS, and for ext4 with a journal; both end the writing of a page only when they
//! have journalled where it lies. Btrfs does that later; network filesystems and stacked ones
//! promise nothing here.

use std::fs::File;
use std::path::Path;

/// Whether all `files` lie on such filesystems; `false` when that cannot be told.
///
/// The filesystem is asked each time: another one may be mounted meanwhile.
#[cfg(target_os = "linux")]
pub(crate) fn keep_order<'f>(files: impl IntoIterator<Item = &'f File>) -> bool {
    let mut last = None;
    files.into_iter().all(|file| {
        let Ok(device) = rustix::fs::fstat(file).map(|stat| stat.st_dev) else {
            return false;
        };
        let is_known = last.replace(device) == Some(device);
        is_known || keeps_order(file, device)
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn keep_order<'f>(_: impl IntoIterator<Item = &'f File>) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn keeps_order(file: &File, device: u64) -> bool {
    const EXT: u64 = 0xef53;
    const XFS: u64 = 0x5846_5342;
    let magic = rustix::fs::fstatfs(file).map(|filesystem| filesystem.f_type as u64);
    match magic {
        Ok(XFS) => true,
        Ok(EXT) => has_journal(device),
        _ => false,
    }
}

/// ext2, and ext4 made without a journal, look the same; in place of the number of the thread that
/// writes the journal they tell "<none>".
#[cfg(target_os = "linux")]
fn has_journal(device: u64) -> bool {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = std::fs::read_link(format!("/sys/dev/block/{major}:{minor}")).ok();
    let name = device.as_deref().and_then(Path::file_name);
    let thread = name.map(|name| Path::new("/sys/fs/ext4").join(name).join("journal_task"));
    let thread = thread.and_then(|thread| std::fs::read_to_string(thread).ok());
    thread.is_some_and(|thread| thread.trim().parse::<u32>().is_ok())
}
