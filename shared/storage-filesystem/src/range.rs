//! Starting to write a part of a file to the disk without waiting for it.

use std::fs::File;

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

#[cfg(not(target_os = "linux"))]
pub(crate) fn start_writing(_: &File, _: u64, _: u64) {}
