//! `delete`: a file, or a directory and all in it.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use roadstead_storage::{ContentStat, Error, Key};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, linkat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

use crate::directory::{ATTEMPTS, Directory};
use crate::disk::{Disk, refuse_temporary};
use crate::journal::{self, Claim};
use crate::{error, read, temporary};

/// Symbolic links are deleted, not followed. The directory that had the key stays, also when it
/// is empty now, as with CNCF Distribution; unfinished files go with their directory.
pub(crate) fn delete(disk: &Disk, key: &Key) -> Result<(), Error> {
    let Some((path, name)) = disk.source(key) else {
        return clear(disk, key);
    };
    let _claim = forget(disk, key)?;
    let parent = Directory::open(&path).map_err(|error| error::reading("delete", key, error))?;
    let removed = name.into_with_c_str(|name| remove(parent.as_fd(), name));
    removed.map_err(|errno| failure(key, errno))?;
    let synced = disk.sync_directory(&parent);
    synced.map_err(|error| error::writing("delete", key, error))
}

/// Whoever writes content puts another file in the place of the old one. So the file is put aside,
/// looked at once more where nobody replaces it, and put back if it is not the one that was seen:
/// for that moment, should it ever come, it is not there to be read.
///
/// A directory that is empty then goes as well.
pub(crate) fn delete_if(disk: &Disk, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
    let Some((path, name)) = disk.source(key) else {
        return Ok(false);
    };
    let is_same = read::content_at(&path.join(name)).as_ref() == Some(seen);
    if refuse_temporary(key).is_err() || !is_same {
        return Ok(false);
    }
    let _claim = disk.claim(&[key])?;
    let deleted = delete_aside(disk, &path, name, seen);
    deleted.map_err(|error| error::writing("delete", key, error))
}

/// Deletes the file `name` in the directory at `path` if it is the one that was seen when nobody
/// can replace it any more.
fn delete_aside(disk: &Disk, path: &Path, name: &str, seen: &ContentStat) -> io::Result<bool> {
    let directory = match Directory::open(path) {
        // Another has deleted the file since, and its directory.
        Err(error) if error::vanished(&error) => return Ok(false),
        opened => opened?,
    };
    let aside = temporary::beside(name);
    match renameat(&directory, name, &directory, &aside) {
        Err(Errno::NOENT) => return Ok(false),
        outcome => outcome?,
    }
    if read::content_at(&path.join(&aside)).as_ref() != Some(seen) {
        put_back(&directory, &aside, name)?;
        return Ok(false);
    }
    unlinkat(&directory, &aside, AtFlags::empty())?;
    remove_if_empty(disk, path, directory)?;
    Ok(true)
}

/// Has the journal, if there is one, say nothing of `key` and all below it any more.
fn forget<'d>(disk: &'d Disk, key: &Key) -> Result<Option<Claim<'d>>, Error> {
    let Some(journal) = disk.journal() else {
        return Ok(None);
    };
    let claim = journal.claim(vec![key.clone()]);
    let forgotten = journal.forget(key);
    forgotten.map_err(|error| error::writing("delete", key, error))?;
    Ok(Some(claim))
}

/// Unless it was written once more; then that is what stays.
fn put_back(directory: &Directory, aside: &str, name: &str) -> Result<(), Errno> {
    match linkat(directory, aside, directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::EXIST) => unlinkat(directory, aside, AtFlags::empty()),
        // A filesystem without links.
        Err(_) => renameat(directory, aside, directory, name),
    }
}

fn remove_if_empty(disk: &Disk, path: &Path, directory: Directory) -> io::Result<()> {
    match path.parent() {
        Some(parent) if path != disk.root() && std::fs::remove_dir(path).is_ok() => {
            disk.sync_directory(&Directory::open(parent)?)
        }
        _ => disk.sync_directory(&directory),
    }
}

fn failure(key: &Key, errno: Errno) -> Error {
    match errno {
        Errno::NOTEMPTY | Errno::EXIST => Error::Busy(key.to_string()),
        errno => error::reading("delete", key, errno.into()),
    }
}

/// Deletes everything in the root, which itself stays.
fn clear(disk: &Disk, root: &Key) -> Result<(), Error> {
    let _claim = disk.claim(&[root])?;
    let failed = |error| error::reading("delete", root, error);
    let directory = Directory::open(disk.root()).map_err(failed)?;
    // Nobody's content; a process that still has one there makes another.
    let _none = std::fs::remove_dir_all(disk.root().join(journal::FOLDER));
    let removed = remove_all_in(directory.as_fd());
    if removed.map_err(|errno| failure(root, errno))? == 0 {
        return Err(error::not_found(root));
    }
    disk.sync_directory(&directory).map_err(failed)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Sync;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = entries.map(name).collect();
        names.sort();
        names
            .into_iter()
            .map(|name| name.into_string().unwrap())
            .collect()
    }

    /// What comes between the look and the deletion is seen by the look that follows.
    #[test]
    fn a_file_that_was_written_again_since_the_look_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b");
        let disk = Disk::new(folder.path().to_owned(), Sync::Always, 4);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("data"), "old").unwrap();
        let seen = read::content_at(&path.join("data")).unwrap();
        fs::write(path.join("new"), "new content").unwrap();
        fs::rename(path.join("new"), path.join("data")).unwrap();
        assert!(!delete_aside(&disk, &path, "data", &seen).unwrap());
        assert_eq!(fs::read(path.join("data")).unwrap(), b"new content");
        assert_eq!(names(&path), ["data"]);
        let seen = read::content_at(&path.join("data")).unwrap();
        assert!(delete_aside(&disk, &path, "data", &seen).unwrap());
        assert!(!path.exists(), "it was empty");
        assert!(!delete_aside(&disk, &path, "data", &seen).unwrap());
    }

    #[test]
    fn what_was_written_while_a_file_is_aside_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::write(path.join("aside"), "newer").unwrap();
        fs::write(path.join("data"), "newest").unwrap();
        let directory = Directory::open(path).unwrap();
        put_back(&directory, "aside", "data").unwrap();
        assert_eq!(fs::read(path.join("data")).unwrap(), b"newest");
        assert_eq!(names(path), ["data"]);
    }
}
