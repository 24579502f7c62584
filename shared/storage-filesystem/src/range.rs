//! Writing a part of a file to the disk, short of making it durable.

use std::fs::File;
use std::io;

/// Has the kernel begin to write out `length` bytes from `offset` on, 0 meaning all from there.
/// Only a hint, which makes a later sync short; it says nothing about durability.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe binding of sync_file_range(2) exists")]
pub(crate) fn start_writing(file: &File, offset: u64, length: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(offset), Ok(length)) = (offset.try_into(), length.try_into()) else {
        return;
    };
    // SAFETY: the call takes no pointers, and the descriptor is open for as long as `file` lives.
    unsafe {
        libc::sync_file_range(
            file.as_raw_fd(),
            offset,
            length,
            libc::SYNC_FILE_RANGE_WRITE,
        );
    }
}

/// Has the kernel write out all of the file and waits until the disk has taken the bytes, into its
/// volatile cache maybe: not durable, but before all that the disk is told afterwards.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "no safe binding of sync_file_range(2) exists")]
pub(crate) fn finish_writing(file: &File) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let steps = libc::SYNC_FILE_RANGE_WAIT_BEFORE
        | libc::SYNC_FILE_RANGE_WRITE
        | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    // SAFETY: as above.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, steps) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn finish_writing(file: &File) -> io::Result<()> {
    file.sync_data()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn start_writing(_: &File, _: u64, _: u64) {}
