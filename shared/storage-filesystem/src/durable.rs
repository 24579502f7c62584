//! Which directories a crash cannot take away any more.
//!
//! A file is durable only when its own directory, and each directory above that, has the entry
//! that leads to it on the disk. Whoever makes a directory forces its entry out; but a second
//! writer may find that directory *before* the first has done so, and must not rely on it. So a
//! directory counts as durable only when this process has forced out each entry from it up to
//! the root. It is remembered by its identity, not by its path, for a path may come to lead to
//! another directory.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::directory::Directory;

/// Beyond the tick by which any kernel stamps files (10 ms at most).
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// How many directories to remember; forgetting them merely costs a few syncs.
const REMEMBERED: usize = 65_536;

/// What no other directory has or will have: filesystems reuse the numbers of deleted
/// directories, but not with an earlier time of birth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    device: u64,
    inode: u64,
    born: SystemTime,
}

/// The directories known to be durable.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    known: Mutex<HashSet<Identity>>,
}

impl Durable {
    /// Forces the entries of `touched` to the disk, in this order and each directory once, and
    /// everything that leads there from the directory above `root` on.
    pub(crate) fn settle(&self, root: &Path, touched: &[&Directory]) -> io::Result<()> {
        let mut synced = HashSet::new();
        for directory in touched {
            if synced.insert(directory.path().to_owned()) {
                directory.sync()?;
            }
        }
        let mut anchor = |directory: &&Directory| self.anchor(root, directory, &mut synced);
        touched.iter().try_for_each(&mut anchor)
    }

    /// Forces out what leads to `directory`, unless that is known to have happened.
    fn anchor(
        &self,
        root: &Path,
        directory: &Directory,
        synced: &mut HashSet<PathBuf>,
    ) -> io::Result<()> {
        let mut fresh = Vec::new();
        let mut path = directory.path();
        let mut identity = identity(directory.file())?;
        while !self.knows(identity) {
            fresh.extend(identity);
            let Some(above) = path.parent() else { break };
            match sync_once(above, synced) {
                Ok(next) => identity = next,
                // Deleted meanwhile, with all that was below it: there is nothing to keep.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if is_foreign(root, above, &error) => break,
                Err(error) => return Err(error),
            }
            path = above;
        }
        self.remember(fresh);
        Ok(())
    }

    fn knows(&self, identity: Option<Identity>) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        identity.is_some_and(|identity| known.contains(&identity))
    }

    fn remember(&self, fresh: Vec<Identity>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() + fresh.len() > REMEMBERED {
            known.clear();
        }
        known.extend(fresh);
    }
}

/// What lies above the root need not be ours to open; then it is not ours to have made either.
fn is_foreign(root: &Path, above: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && !above.starts_with(root)
}

fn sync_once(path: &Path, synced: &mut HashSet<PathBuf>) -> io::Result<Option<Identity>> {
    let directory = Directory::open(path)?;
    if synced.insert(path.to_owned()) {
        directory.sync()?;
    }
    identity(directory.file())
}

/// The directory's identity, if it can be told from that of every later directory: its birth must
/// be known, and so long ago that a successor cannot have been born in the same tick.
fn identity(directory: &File) -> io::Result<Option<Identity>> {
    let metadata = directory.metadata()?;
    let born = metadata.created().ok().filter(|born| is_past(*born));
    Ok(born.map(|born| identity_of(&metadata, born)))
}

fn identity_of(metadata: &Metadata, born: SystemTime) -> Identity {
    Identity {
        device: metadata.dev(),
        inode: metadata.ino(),
        born,
    }
}

fn is_past(time: SystemTime) -> bool {
    time.elapsed().is_ok_and(|age| age > TICK)
}
