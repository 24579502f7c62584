//! The directory tree that all operations work on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roadstead_storage::{Error, Key, Write};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Semaphore;

use crate::cached::Cached;
use crate::config::Sync;
use crate::directory::{self, Directory};
use crate::durable::Durable;
use crate::error;
use crate::journal::{Appended, Claim, Journal};
use crate::listing::Listings;
use crate::turn::Turns;
use crate::upload::Claims;
use crate::{temporary, together};

/// A root directory and what is known about it. Its methods block.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    sync: Sync,
    durable: Durable,
    pub(crate) cached: Cached,
    pub(crate) listings: Listings,
    pub(crate) claims: Claims,
    pub(crate) turns: Turns,
    journal: Option<Journal>,
    /// One for each thread that may block on the disk.
    permits: Arc<Semaphore>,
    /// One for each that may do so on another's behalf.
    helpers: Arc<Semaphore>,
}

impl Disk {
    /// The tree at `root`, on which `at_most` threads may block at a time.
    pub(crate) fn new(root: PathBuf, sync: Sync, at_most: usize) -> Self {
        let helpers = together::HELPERS.min(at_most / 2);
        Self {
            journal: Journal::new(&root),
            root,
            sync,
            durable: Durable::default(),
            cached: Cached::detect(),
            listings: Listings::default(),
            claims: Claims::default(),
            turns: Turns::default(),
            permits: Arc::new(Semaphore::new(at_most - helpers)),
            helpers: Arc::new(Semaphore::new(helpers)),
        }
    }

    /// The same with another journal.
    #[cfg(test)]
    pub(crate) fn with_journal(self, journal: Journal) -> Self {
        let journal = Some(journal);
        Self { journal, ..self }
    }

    /// Where `key` lies.
    ///
    /// Always from the path of the root, never from an open descriptor of it: a root that is
    /// mounted, replaced or made anew while the process runs is then found.
    pub(crate) fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    /// The directory and the name in it where content of `key` is to be put.
    pub(crate) fn target<'k>(&self, key: &'k Key) -> Result<(PathBuf, &'k str), Error> {
        let (parent, name) = split(key);
        if name.is_empty() || temporary::is_temporary(name) {
            return Err(Error::InvalidKey(key.to_string()));
        }
        Ok((self.root.join(parent), name))
    }

    /// The directory and the name in it where `key` may lie; none for the root.
    pub(crate) fn source<'k>(&self, key: &'k Key) -> Option<(PathBuf, &'k str)> {
        let (parent, name) = split(key);
        (!name.is_empty()).then(|| (self.root.join(parent), name))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether bytes are to be forced to the disk.
    pub(crate) fn syncs(&self) -> bool {
        self.sync != Sync::Never
    }

    /// Does what was acknowledged and may have been lost when the machine stopped, whatever is to be
    /// forced from now on.
    pub(crate) fn recover(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), Journal::recover)
    }

    /// Where small writes are made durable, if there.
    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref().filter(|_| self.sync == Sync::Journal)
    }

    /// Says in the journal, if there is one, that `writes` are going to be done; `None` when they are not to go
    /// through it, which has nothing of their keys then.
    pub(crate) fn append_to_journal(&self, writes: &[Write]) -> Result<Option<Appended>, Error> {
        let Some(journal) = self.journal() else {
            return Ok(None);
        };
        let failed = |error: io::Error| Error::Unavailable(error.into());
        let settle = |directory: &Directory| self.settle(&[directory]);
        let appended = journal.append(writes, &settle, &self.helpers);
        let appended = appended.map_err(failed)?;
        if appended.is_none() {
            let mut keys = writes.iter().map(|write| &write.key);
            keys.try_for_each(|key| journal.force(key))
                .map_err(failed)?;
        }
        Ok(appended)
    }

    /// Forces what the journal has of `keys` and below, and keeps others from writing there.
    pub(crate) fn claim(&self, keys: &[&Key]) -> Result<Option<Claim<'_>>, Error> {
        let Some(journal) = self.journal() else {
            return Ok(None);
        };
        let claim = journal.claim(keys.iter().copied().cloned().collect());
        let forced = keys.iter().try_for_each(|key| journal.force(key));
        forced.map_err(|error| Error::Unavailable(error.into()))?;
        Ok(Some(claim))
    }

    /// Makes the content of `file` durable, if it is to be.
    pub(crate) fn sync_file(&self, file: &File) -> io::Result<()> {
        if self.syncs() {
            return file.sync_all();
        }
        Ok(())
    }

    /// Makes the content of `files` durable, if it is to be.
    pub(crate) fn sync_files(&self, files: Vec<Arc<File>>) -> io::Result<()> {
        if self.syncs() {
            return together::sync_all(files, File::sync_all, &self.helpers);
        }
        Ok(())
    }

    /// Makes what went from `directory` stay away, if anything is to be durable.
    pub(crate) fn sync_directory(&self, directory: &Directory) -> io::Result<()> {
        if self.syncs() {
            return directory::sync(directory.file());
        }
        Ok(())
    }

    /// Makes the entries of `touched` durable, and all that lead there, if they are to be.
    pub(crate) fn settle(&self, touched: &[&Directory]) -> io::Result<()> {
        if self.syncs() {
            let sync = |all| together::sync_all(all, directory::sync, &self.helpers);
            return self.durable.settle(&self.root, touched, sync);
        }
        Ok(())
    }
}

fn split(key: &Key) -> (&str, &str) {
    let key = key.as_str();
    key.rsplit_once('/').unwrap_or(("", key))
}

/// Where blocking happens: a bounded number of threads that are not the runtime's own.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    disk: Arc<Disk>,
}

impl Threads {
    pub(crate) fn new(disk: Disk) -> Self {
        Self {
            disk: Arc::new(disk),
        }
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Runs short `work` that blocks, on the caller's own thread where the runtime can spare it:
    /// another one takes over what else that thread has to do. Waking a thread to hand `work` over,
    /// and waking the first when it is done, would cost as much as writing a small file.
    pub(crate) async fn run_here<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Arc<Disk>) -> Result<T, Error> + Send + 'static,
    {
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        if let Ok(RuntimeFlavor::MultiThread) = flavor
            && let Ok(_permit) = self.disk.permits.try_acquire()
        {
            return tokio::task::block_in_place(|| work(&self.disk));
        }
        self.run(work).await
    }

    /// Runs `work` where it may block. Dropping the future does not stop work that has begun; it
    /// keeps its place among the threads until it ends.
    pub(crate) async fn run<T, W>(&self, work: W) -> Result<T, Error>
    where
        T: Send + 'static,
        W: FnOnce(&Arc<Disk>) -> Result<T, Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.disk.permits).acquire_owned().await;
        let permit = permit.map_err(|closed| Error::Unavailable(closed.into()))?;
        let disk = Arc::clone(&self.disk);
        let work = move || {
            let outcome = work(&disk);
            drop(permit);
            outcome
        };
        let outcome = tokio::task::spawn_blocking(work).await;
        outcome.map_err(|panic| Error::Unavailable(panic.into()))?
    }
}

/// [`Error::NotFound`] for a key that only an unfinished file has.
pub(crate) fn refuse_temporary(key: &Key) -> Result<(), Error> {
    let (_, name) = split(key);
    if temporary::is_temporary(name) {
        return Err(error::not_found(key));
    }
    Ok(())
}
