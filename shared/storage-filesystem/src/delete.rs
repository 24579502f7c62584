//! `delete`: a file, or a directory and all in it.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};

use roadstead_storage::{Error, Key};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::directory::{ATTEMPTS, Directory};
use crate::disk::Disk;
use crate::error;

/// Symbolic links are deleted, not followed. The directory that had the key stays, also when it
/// is empty now, as with CNCF Distribution; unfinished files go with their directory.
pub(crate) fn delete(disk: &Disk, key: &Key) -> Result<(), Error> {
    let Some((path, name)) = disk.source(key) else {
        return clear(disk, key);
    };
    let parent = Directory::open(&path).map_err(|error| error::reading("delete", key, error))?;
    let removed = name.into_with_c_str(|name| remove(parent.as_fd(), name));
    removed.map_err(|errno| failure(key, errno))?;
    let settled = disk.settle(&[&parent]);
    settled.map_err(|error| error::writing("delete", key, error))
}

fn failure(key: &Key, errno: Errno) -> Error {
    match errno {
        Errno::NOTEMPTY | Errno::EXIST => Error::Busy(key.to_string()),
        errno => error::reading("delete", key, errno.into()),
    }
}

/// Deletes everything in the root, which itself stays.
fn clear(disk: &Disk, root: &Key) -> Result<(), Error> {
    let failed = |error| error::reading("delete", root, error);
    let directory = Directory::open(disk.root()).map_err(failed)?;
    let removed = remove_all_in(directory.as_fd());
    if removed.map_err(|errno| failure(root, errno))? == 0 {
        return Err(error::not_found(root));
    }
    disk.settle(&[&directory]).map_err(failed)
}

/// Deletes `name` and all in it.
fn remove(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(refused @ (Errno::ISDIR | Errno::PERM)) => remove_directory(parent, name, refused),
        outcome => outcome,
    }
}

/// Starts over while others add names, but not for ever.
fn remove_directory(parent: BorrowedFd<'_>, name: &CStr, refused: Errno) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut outcome = Err(refused);
    for _ in 0..ATTEMPTS {
        let directory = match openat(parent, name, flags, Mode::empty()) {
            Err(Errno::NOTDIR | Errno::LOOP) => return Err(refused),
            directory => directory?,
        };
        remove_all_in(directory.as_fd())?;
        outcome = unlinkat(parent, name, AtFlags::REMOVEDIR);
        if !matches!(outcome, Err(Errno::NOTEMPTY | Errno::EXIST)) {
            break;
        }
    }
    outcome
}

/// Deletes all in a directory and counts it; what another deletes meanwhile is as good as ours.
fn remove_all_in(directory: BorrowedFd<'_>) -> Result<usize, Errno> {
    let mut removed = 0;
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        match remove(directory, entry.file_name()) {
            Ok(()) | Err(Errno::NOENT) => removed += 1,
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}
