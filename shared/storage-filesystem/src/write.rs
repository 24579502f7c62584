//! `write`: whole files, durable and in order.
//!
//! Each file is written under a temporary name, forced to the disk and only then renamed, so that
//! it is never seen half written, before or after a crash. For many files that is done in steps
//! (write all, force all, rename all, force each directory once): the disk gets the bytes of all
//! while the first is waited for, and a journal commits once per step rather than once per file.
//! Where the journal keeps everything in order (see [`crate::ordered`]) the bytes need only have
//! been written out before the renames; all is forced after these, and the journal commits once.
//! Where the driver keeps a journal of its own (see [`crate::journal`]), small files are not forced
//! at all.
//!
//! What the contract says of a machine that stops in between, that the first few writes may have
//! taken effect and later ones not, rests on the filesystem's journal keeping renames in order,
//! as those of ext4, XFS and Btrfs do. What it says of the return rests on nothing but `fsync`.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use roadstead_storage::{Error, Write, WriteMode};
use rustix::fs::{AtFlags, Mode, OFlags, linkat, openat, renameat, statat, unlinkat};
use rustix::io::Errno;

use crate::directory::{ATTEMPTS, Directory};
use crate::disk::Disk;
use crate::error::{self, vanished};
use crate::ordered::keep_order;
use crate::{range, temporary};

/// How many files are written at a time; each takes two descriptors.
const GROUP: usize = 64;

/// 0644 before the umask.
pub(crate) const MODE: Mode = Mode::from_raw_mode(0o644);

pub(crate) fn write(disk: &Disk, writes: &[Write]) -> Result<(), Error> {
    writes.chunks(GROUP).try_for_each(|group| {
        let keys = || group.iter().map(|write| write.key.clone()).collect();
        let _claim = disk.journal().map(|journal| journal.claim(keys()));
        let mut batch = Batch::new(disk);
        let outcome = batch.perform(group);
        // After a failure too: who is told that content exists relies on it.
        batch.settle(group)?;
        outcome
    })
}

/// The writes that go through the steps together.
struct Batch<'d> {
    disk: &'d Disk,
    directories: HashMap<PathBuf, Rc<Directory>>,
    /// Those in which a name may be new, in the order of the writes.
    touched: Vec<Rc<Directory>>,
    /// Whether a file was written once more, since its directory had gone.
    is_restaged: bool,
}

impl<'d> Batch<'d> {
    fn new(disk: &'d Disk) -> Self {
        Self {
            disk,
            directories: HashMap::new(),
            touched: Vec::new(),
            is_restaged: false,
        }
    }

    fn perform(&mut self, writes: &[Write]) -> Result<(), Error> {
        let appended = self.disk.append_to_journal(writes)?;
        let (mut staged, conflict) = self.stage_all(writes)?;
        let files = || staged.iter().map(|staged| &*staged.file);
        if let Some(appended) = appended.filter(|appended| appended.is_beside(files())) {
            let applying = appended.wait();
            let _applying = applying.map_err(|error| Error::Unavailable(error.into()))?;
            self.publish_all(&mut staged, writes)?;
            if !self.is_restaged {
                self.touched.clear();
            }
            return conflict;
        }
        let in_order = self.disk.syncs() && keep_order(files());
        if in_order {
            write_out(&staged)?;
            let published = self.publish_all(&mut staged, writes);
            self.force(&staged)?;
            published?;
        } else {
            self.force(&staged)?;
            self.publish_all(&mut staged, writes)?;
        }
        conflict
    }

    /// Stages the writes before the first that is in vain, and says why that one is.
    fn stage_all(&mut self, writes: &[Write]) -> Result<(Vec<Staged>, Result<(), Error>), Error> {
        let mut staged = Vec::with_capacity(writes.len());
        for write in writes {
            match self.stage(write) {
                Ok(file) => staged.push(file),
                Err(exists @ Error::Exists(_)) => return Ok((staged, Err(exists))),
                Err(error) => return Err(error),
            }
        }
        Ok((staged, Ok(())))
    }

    fn publish_all(&mut self, staged: &mut [Staged], writes: &[Write]) -> Result<(), Error> {
        let mut pairs = staged.iter_mut().zip(writes);
        pairs.try_for_each(|(staged, write)| self.publish(staged, write))
    }

    /// Writes the content under a temporary name, unless it is in vain.
    fn stage(&mut self, write: &Write) -> Result<Staged, Error> {
        let (path, name) = self.disk.target(&write.key)?;
        let failed = |error| error::writing("write", &write.key, error);
        for _ in 0..ATTEMPTS {
            let directory = self.directory(&path).map_err(failed)?;
            if write.mode == WriteMode::CreateNew && exists(&directory, name).map_err(failed)? {
                self.touched.push(directory);
                return Err(Error::Exists(write.key.to_string()));
            }
            match Staged::create(directory, name, &write.content) {
                Err(error) if vanished(&error) => drop(self.directories.remove(&path)),
                outcome => return outcome.map_err(failed),
            }
        }
        Err(Error::Busy(write.key.to_string()))
    }

    fn directory(&mut self, path: &PathBuf) -> io::Result<Rc<Directory>> {
        if let Some(directory) = self.directories.get(path) {
            return Ok(Rc::clone(directory));
        }
        let directory = Rc::new(Directory::create(path)?);
        self.directories.insert(path.clone(), Rc::clone(&directory));
        Ok(directory)
    }

    /// Forces the content of all files to the disk.
    fn force(&self, staged: &[Staged]) -> Result<(), Error> {
        if !self.disk.syncs() {
            return Ok(());
        }
        if staged.len() > 1 {
            start_writing(staged);
        }
        let files = staged.iter().map(|staged| Arc::clone(&staged.file));
        let outcome = self.disk.sync_files(files.collect());
        outcome.map_err(|error| Error::Unavailable(error.into()))
    }

    /// Gives a staged file its name.
    fn publish(&mut self, staged: &mut Staged, write: &Write) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            self.touched.push(Rc::clone(&staged.directory));
            match staged.publish(write.mode) {
                Err(error) if vanished(&error) => {
                    let (path, _) = self.disk.target(&write.key)?;
                    self.directories.remove(&path);
                    *staged = self.stage(write)?;
                    self.force(std::slice::from_ref(staged))?;
                    self.is_restaged = true;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Error::Exists(write.key.to_string()));
                }
                outcome => {
                    return outcome.map_err(|error| error::writing("write", &write.key, error));
                }
            }
        }
        Err(Error::Busy(write.key.to_string()))
    }

    fn settle(&self, writes: &[Write]) -> Result<(), Error> {
        let touched: Vec<&Directory> = self.touched.iter().map(Rc::as_ref).collect();
        let failed = |error| error::writing("settle", &writes[0].key, error);
        self.disk.settle(&touched).map_err(failed)
    }
}

fn start_writing(staged: &[Staged]) {
    let all = staged.iter();
    all.for_each(|staged| range::start_writing(&staged.file, 0, 0));
}

/// Writes the content of all files to the disk and waits for it.
fn write_out(staged: &[Staged]) -> Result<(), Error> {
    start_writing(staged);
    let mut all = staged.iter();
    let outcome = all.try_for_each(|staged| range::finish_writing(&staged.file));
    outcome.map_err(|error| Error::Unavailable(error.into()))
}

fn exists(directory: &Directory, name: &str) -> io::Result<bool> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// A file with a temporary name; it is deleted unless it is published.
pub(crate) struct Staged {
    directory: Rc<Directory>,
    temporary: String,
    name: String,
    pub(crate) file: Arc<File>,
    published: bool,
}

impl Staged {
    /// An empty file beside `name`.
    pub(crate) fn new(directory: Rc<Directory>, name: &str) -> io::Result<Self> {
        let temporary = temporary::beside(name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let file = openat(&*directory, &temporary, flags, MODE)?;
        Ok(Self {
            directory,
            temporary,
            name: name.to_owned(),
            file: Arc::new(file.into()),
            published: false,
        })
    }

    pub(crate) fn create(directory: Rc<Directory>, name: &str, content: &[u8]) -> io::Result<Self> {
        let staged = Self::new(directory, name)?;
        (&*staged.file).write_all(content)?;
        Ok(staged)
    }

    /// Renames the file, at once and without a moment in which its name has no content.
    pub(crate) fn publish(&mut self, mode: WriteMode) -> io::Result<()> {
        let directory = &*self.directory;
        match mode {
            WriteMode::Overwrite => renameat(directory, &self.temporary, directory, &self.name)?,
            WriteMode::CreateNew => self.publish_new()?,
        }
        self.published = true;
        Ok(())
    }

    #[cfg(target_os = "linux")]
    fn publish_new(&self) -> Result<(), Errno> {
        use rustix::fs::{RenameFlags, renameat_with};
        let (directory, from, to) = (&*self.directory, &self.temporary, &self.name);
        match renameat_with(directory, from, directory, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => self.publish_by_link(),
            outcome => outcome,
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn publish_new(&self) -> Result<(), Errno> {
        self.publish_by_link()
    }

    /// For filesystems that only know how to rename over what is there.
    fn publish_by_link(&self) -> Result<(), Errno> {
        let (directory, from, to) = (&*self.directory, &self.temporary, &self.name);
        linkat(directory, from, directory, to, AtFlags::empty())?;
        // At worst it stays, as after a crash.
        let _ = unlinkat(directory, from, AtFlags::empty());
        Ok(())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // At worst it stays, as after a crash.
            let _ = unlinkat(&*self.directory, &self.temporary, AtFlags::empty());
        }
    }
}
