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
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// Forces the entries of `touched` to the disk, each directory once, and everything that
    /// leads there from the directory above `root` on, by `sync`.
    pub(crate) fn settle(
        &self,
        root: &Path,
        touched: &[&Directory],
        sync: impl FnOnce(Vec<Arc<File>>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut round = Round::default();
        for directory in touched {
            round.add(directory)?;
            self.anchor(root, directory, &mut round)?;
        }
        sync(round.directories)?;
        self.remember(round.fresh);
        Ok(())
    }

    /// Adds what leads to `directory`, unless that is known to be durable.
    fn anchor(&self, root: &Path, directory: &Directory, round: &mut Round) -> io::Result<()> {
        let mut fresh = Vec::new();
        let mut path = directory.path();
        let mut identity = Identity::of(&directory.file().metadata()?);
        while !self.knows(identity) {
            fresh.extend(identity);
            let Some(above) = path.parent() else { break };
            match Directory::open(above).and_then(|above| round.add(&above)) {
                Ok(metadata) => identity = Identity::of(&metadata),
                // Deleted meanwhile, with all that was below it: there is nothing to keep.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if is_foreign(root, above, &error) => break,
                Err(error) => return Err(error),
            }
            path = above;
        }
        round.fresh.extend(fresh);
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

/// One settling, in which each directory is synced once.
#[derive(Default)]
struct Round {
    directories: Vec<Arc<File>>,
    /// By device and inode: a path may lead to another directory by now.
    added: HashSet<(u64, u64)>,
    /// Those that are durable when all have been synced.
    fresh: Vec<Identity>,
}

impl Round {
    fn add(&mut self, directory: &Directory) -> io::Result<Metadata> {
        let metadata = directory.file().metadata()?;
        if self.added.insert((metadata.dev(), metadata.ino())) {
            self.directories.push(Arc::clone(directory.file()));
        }
        Ok(metadata)
    }
}

impl Identity {
    /// The identity of a directory, if it can be told from that of every later one: its birth
    /// must be known, and so long ago that a successor cannot have been born in the same tick.
    fn of(metadata: &Metadata) -> Option<Self> {
        let born = metadata.created().ok().filter(|born| is_past(*born))?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            born,
        })
    }
}

fn is_past(time: SystemTime) -> bool {
    time.elapsed().is_ok_and(|age| age > TICK)
}
