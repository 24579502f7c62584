//! Turns: files that are locked, in a folder beside the content that no other registry looks into.
//!
//! A file that was locked once is kept open, so that a turn costs two system calls, and none of
//! them waits unless somebody else has the turn.

use std::collections::HashMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use roadstead_storage::{Error, Key, Share, Turn};
use rustix::fs::{FlockOperation, OFlags, flock, openat};
use rustix::io::Errno;

use crate::directory::Directory;
use crate::disk::{Disk, Threads};
use crate::error;
use crate::write::MODE;

const FOLDER: &str = "roadstead/turns";

/// How many files of a turn stay open while nobody has it.
const KEPT_OPEN: usize = 4;

/// Files of turns that nobody has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    idle: Arc<Mutex<HashMap<String, Vec<File>>>>,
    queues: Arc<Mutex<HashMap<String, Queue>>>,
}

/// Those who wait for a turn, of whom the first waits for the lock: others may be more than there
/// are threads.
type Queue = Arc<tokio::sync::Mutex<()>>;

/// A locked file.
#[derive(Debug)]
struct Taken {
    turns: Turns,
    name: String,
    file: Option<File>,
}

pub(crate) async fn take(
    threads: &Threads,
    name: &str,
    share: Share,
) -> Result<Option<Turn>, Error> {
    let turns = threads.disk().turns.clone();
    let key = Key::new(FOLDER)?.join(name)?;
    let file = match turns.pop(name) {
        Some(file) => file,
        None => {
            let key = key.clone();
            threads.run_here(move |disk| open(disk, &key)).await?
        }
    };
    let (at_once, waiting) = match share {
        Share::Shared => (
            FlockOperation::NonBlockingLockShared,
            FlockOperation::LockShared,
        ),
        Share::Alone => (
            FlockOperation::NonBlockingLockExclusive,
            FlockOperation::LockExclusive,
        ),
    };
    let file = match flock(&file, at_once) {
        Ok(()) => file,
        Err(Errno::WOULDBLOCK) => {
            let queue = turns.queue(name);
            let _first = queue.lock().await;
            let wait = move || lock(file, waiting);
            let waited = tokio::task::spawn_blocking(wait).await;
            let waited = waited.map_err(|panic| Error::Unavailable(panic.into()))?;
            waited.map_err(|error| error::unavailable("wait for", &key, error.into()))?
        }
        // Then it is as in a back end without locks.
        Err(Errno::NOTSUP | Errno::NOSYS | Errno::NOLCK) => return Ok(None),
        Err(error) => return Err(error::unavailable("lock", &key, error.into())),
    };
    Ok(Some(Box::new(Taken {
        turns,
        name: name.to_owned(),
        file: Some(file),
    })))
}

fn lock(file: File, operation: FlockOperation) -> rustix::io::Result<File> {
    loop {
        match flock(&file, operation) {
            Err(Errno::INTR) => {}
            locked => return locked.map(|()| file),
        }
    }
}

fn open(disk: &Disk, key: &Key) -> Result<File, Error> {
    let (folder, name) = disk.target(key)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let open = || {
        let folder = Directory::create(&folder)?;
        Ok(openat(&folder, name, flags, MODE)?.into())
    };
    open().map_err(|error| error::writing("open", key, error))
}

impl Turns {
    fn pop(&self, name: &str) -> Option<File> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.get_mut(name)?.pop()
    }

    fn queue(&self, name: &str) -> Queue {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(name.to_owned()).or_default())
    }

    fn push(&self, name: String, file: File) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.entry(name).or_default();
        if idle.len() < KEPT_OPEN {
            idle.push(file);
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Some(file) = self.file.take()
            && flock(&file, FlockOperation::Unlock).is_ok()
        {
            self.turns.push(std::mem::take(&mut self.name), file);
        }
    }
}
