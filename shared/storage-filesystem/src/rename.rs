//! `rename`: content gets another key.

use std::fs::File;
use std::io;
use std::path::Path;
use std::rc::Rc;

use roadstead_storage::{Error, Key, WriteMode};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::directory::{ATTEMPTS, Directory};
use crate::disk::{Disk, refuse_temporary};
use crate::error;
use crate::write::Staged;

pub(crate) fn rename(disk: &Disk, from: &Key, to: &Key) -> Result<(), Error> {
    refuse_temporary(from)?;
    let (from_path, from_name) = disk.source(from).ok_or_else(|| error::not_found(from))?;
    let (to_path, to_name) = disk.target(to)?;
    let _claim = disk.claim(&[from, to])?;
    for _ in 0..ATTEMPTS {
        let source = content(from, &from_path, from_name)?;
        let failed = |error| error::writing("rename to", to, error);
        let target = Rc::new(Directory::create(&to_path).map_err(failed)?);
        match renameat(&source, from_name, &*target, to_name) {
            // The content or the target's directory: the next look tells.
            Err(Errno::NOENT) => continue,
            Err(Errno::XDEV) => carry(disk, (&source, from_name), (&target, to_name)),
            outcome => outcome.map_err(io::Error::from),
        }
        .and_then(|()| disk.settle(&[&*target]))
        .and_then(|()| sync_source(disk, &source, &target))
        .map_err(failed)?;
        return Ok(());
    }
    Err(Error::Busy(to.to_string()))
}

fn sync_source(disk: &Disk, source: &Directory, target: &Directory) -> io::Result<()> {
    if source.path() == target.path() {
        return Ok(());
    }
    disk.sync_directory(source)
}

/// The directory that has the content `name` of `key`.
fn content(key: &Key, path: &Path, name: &str) -> Result<Directory, Error> {
    let look = || {
        let directory = Directory::open(path)?;
        let stat = statat(&directory, name, AtFlags::empty())?;
        Ok((directory, FileType::from_raw_mode(stat.st_mode)))
    };
    match look() {
        Ok((directory, FileType::RegularFile)) => Ok(directory),
        Ok((_, FileType::Directory)) => Err(error::not_found(key)),
        Ok(_) => Err(error::irregular(key)),
        Err(error) => Err(error::reading("rename", key, error)),
    }
}

/// Renames from one filesystem to another, which only copying can do.
fn carry(
    disk: &Disk,
    (source, from): (&Directory, &str),
    (target, to): (&Rc<Directory>, &str),
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut content = File::from(openat(source, from, flags, Mode::empty())?);
    let mut staged = Staged::new(Rc::clone(target), to)?;
    io::copy(&mut content, &mut &*staged.file)?;
    disk.sync_file(&staged.file)?;
    staged.publish(WriteMode::Overwrite)?;
    // The new name has to last before the old one goes.
    disk.settle(&[&**target])?;
    Ok(unlinkat(source, from, AtFlags::empty())?)
}
