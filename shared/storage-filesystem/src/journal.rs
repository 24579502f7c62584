//! The journal: many small files made durable by one sync.
//!
//! A pushed manifest is four small files in as many new directories, and forcing each of them to
//! the disk takes some fifteen syncs. In place of that the driver appends what it is about to write to
//! one file, forces that while it writes the files under temporary names, and then renames them. [`DELAY`] later all of them are
//! forced together, and the journal begins anew. When the machine stops in between, the files may
//! be lost or damaged, but not the journal: who opens the store next writes them once more.
//!
//! The journal must not undo what is done past it. So whoever works on a key that it has says so:
//! deleting has it forget the key, and everything else waits until the key is forced.

mod claims;
mod filesystem;
mod record;
mod recovery;
mod segment;
mod state;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use roadstead_storage::{Key, Write, WriteMode};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub(crate) use self::claims::Claim;
use self::claims::Claims;
use self::record::Entry;
pub(crate) use self::segment::Applying;
use self::segment::Segment;
use self::state::{Open, State};
use crate::directory::{ATTEMPTS, Directory};
use crate::error::vanished;
use crate::together::Meanwhile;

/// Below the root. No key has such a name, so no operation shows it.
pub(crate) const FOLDER: &str = "roadstead~journal";

/// How long files that only the journal made durable wait to be forced.
const DELAY: Duration = Duration::from_secs(1);

/// The most bytes that one call of `write` may have to go through the journal; beyond that
/// writing them twice costs more than it saves.
const LIMIT: usize = 256 * 1024;

/// Makes a new directory durable, and what leads to it.
type Settle<'s> = &'s dyn Fn(&Directory) -> io::Result<()>;

/// The journal of a process over one root.
#[derive(Debug)]
pub(crate) struct Journal {
    shared: Arc<Shared>,
    claims: Claims,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

/// What a journal has to know of where it is.
#[derive(Debug)]
struct Machine {
    /// The kernel's present one.
    run: Uuid,
    is_fit: fn(&File) -> bool,
    delay: Duration,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    folder: PathBuf,
    machine: Machine,
    state: Mutex<State>,
    changed: Condvar,
    /// Held by the one that forces the files.
    forcing: Mutex<()>,
}

impl Journal {
    /// The journal below `root`, of which nothing is made before it is needed; `None` where the
    /// runs of the kernel cannot be told apart.
    pub(crate) fn new(root: &Path) -> Option<Self> {
        let machine = Machine {
            run: filesystem::run()?,
            is_fit: filesystem::is_fit,
            delay: DELAY,
        };
        Some(Self::on(machine, root))
    }

    fn on(machine: Machine, root: &Path) -> Self {
        let shared = Shared {
            root: root.to_owned(),
            folder: root.join(FOLDER),
            machine,
            state: Mutex::default(),
            changed: Condvar::new(),
            forcing: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            claims: Claims::default(),
            keeper: Mutex::default(),
        }
    }

    /// Does what the journals below the root say that no process has any more, and removes them.
    ///
    /// # Errors
    ///
    /// When one cannot be read or done; it stays then, and the store lacks what it says.
    pub(crate) fn recover(&self) -> io::Result<()> {
        recovery::recover(
            &self.shared.root,
            &self.shared.folder,
            self.shared.machine.run,
        )
    }

    /// Waits until nobody else works on `keys`, with what is above and below them. While the claim
    /// lasts, only its owner asks the journal for something that concerns them.
    pub(crate) fn claim(&self, keys: Vec<Key>) -> Claim<'_> {
        self.claims.claim(keys)
    }

    /// Says that `writes` are going to be done, and has that made durable in another thread, if there
    /// is one of the `helpers`. `None` when they cannot go through the journal; then nothing has been
    /// said.
    pub(crate) fn append(
        &self,
        writes: &[Write],
        settle: Settle<'_>,
        helpers: &Arc<Semaphore>,
    ) -> io::Result<Option<Appended>> {
        if !is_small(writes) {
            return Ok(None);
        }
        let keys = writes.iter().map(|write| &write.key);
        let entries = writes.iter().map(Entry::from).collect();
        let mut state = self.shared.lock();
        if !self.shared.is_ready(&mut state, settle) {
            return Ok(None);
        }
        let appended = state.append(entries, keys.cloned())?;
        let has_work = state.is_new() || state.is_half_full();
        drop(state);
        let Some(applying) = appended else {
            return Ok(None);
        };
        if has_work {
            self.wake_keeper();
        }
        let (shared, segment) = (Arc::clone(&self.shared), Arc::clone(applying.segment()));
        let synced = Meanwhile::start(move || shared.sync(&segment), helpers);
        Ok(Some(Appended { applying, synced }))
    }

    /// Has the journal forget `key` and all below it, which the caller, who has the claim, is going
    /// to delete.
    pub(crate) fn forget(&self, key: &Key) -> io::Result<()> {
        let mut state = self.shared.lock();
        if !state.knows(key) {
            return Ok(());
        }
        let entry = Entry::Forget { key: key.clone() };
        let Some(applying) = state.append(vec![entry], [])? else {
            drop(state);
            return self.shared.force();
        };
        state.forget(key);
        drop(state);
        self.shared.sync(applying.segment())
    }

    /// Forces what the journal has of `key` and below it to the disk, of which the caller has the
    /// claim: from then on the journal has nothing of it.
    pub(crate) fn force(&self, key: &Key) -> io::Result<()> {
        let knows = self.shared.lock().knows(key);
        if knows { self.shared.force() } else { Ok(()) }
    }

    /// Wakes the thread that forces the files in the end, or starts it.
    fn wake_keeper(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if keeper.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("journal".to_owned());
            *keeper = thread.spawn(move || shared.keep()).ok();
        }
        self.shared.changed.notify_all();
    }
}

/// A record that is being made durable.
pub(crate) struct Appended {
    applying: Applying,
    synced: Meanwhile<io::Result<()>>,
}

impl Appended {
    /// Whether all `files` lie on the filesystem that the journal forces.
    pub(crate) fn is_beside<'f>(&self, files: impl IntoIterator<Item = &'f File>) -> bool {
        let mut files = files.into_iter();
        files.all(|file| self.applying.segment().is_beside(file))
    }

    /// Waits until it is durable; what it says has to be done before the returned value is dropped.
    pub(crate) fn wait(self) -> io::Result<Applying> {
        self.synced.wait().map(|()| self.applying)
    }
}

/// A clean end leaves no journal behind.
impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().is_stopped = true;
        self.shared.changed.notify_all();
        let keeper = self
            .keeper
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(keeper) = keeper.take() {
            let _panicked = keeper.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that there is a segment to append to, where the root is now.
    fn is_ready(&self, state: &mut State, settle: Settle<'_>) -> bool {
        // The root may have been taken away, with all that was in it.
        state.open.take_if(|open| !open.segment.is_in_place());
        if state.open.is_none() && !state.is_unfit {
            let spare = state.spare.take().filter(|spare| spare.is_in_place());
            let segment = spare.or_else(|| self.create(settle));
            state.is_unfit = segment.is_none();
            state.open = segment.map(Open::new);
        }
        state.open.is_some() && !state.is_unfit
    }

    /// A new segment; `None` where a journal is of no use, or cannot be.
    fn create(&self, settle: Settle<'_>) -> Option<Arc<Segment>> {
        let folder = self.folder.display();
        for _ in 0..ATTEMPTS {
            match self.try_create(settle) {
                // Another process has ended, and taken the folder away.
                Err(error) if vanished(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, %folder, "without a journal: each file is forced to the disk by itself");
                    return None;
                }
                Ok(segment) => return segment.map(Arc::new),
            }
        }
        None
    }

    fn try_create(&self, settle: Settle<'_>) -> io::Result<Option<Segment>> {
        let folder = Directory::create(&self.folder)?;
        if !(self.machine.is_fit)(folder.file()) {
            // Unless it is that of another process.
            let _removed = std::fs::remove_dir(&self.folder);
            return Ok(None);
        }
        // Who recovers at this moment would take the segment for an orphan.
        flock(&folder, FlockOperation::LockShared)?;
        let segment = Segment::create(&folder, self.machine.run)?;
        settle(&folder)?;
        Ok(Some(segment))
    }

    /// Makes the records of `segment` durable. After a failure nobody knows which of them are.
    fn sync(&self, segment: &Segment) -> io::Result<()> {
        let synced = segment.sync();
        if synced.is_err() {
            self.lock().is_unfit = true;
        }
        synced
    }

    /// Forces all that was written through the journal before the call, and empties it.
    ///
    /// # Errors
    ///
    /// When the disk fails. The journal keeps what it says, for the next recovery, and takes in
    /// nothing more.
    fn force(&self) -> io::Result<()> {
        let _forcing = self.forcing.lock().unwrap_or_else(PoisonError::into_inner);
        let segment = {
            let mut state = self.lock();
            if state.closed.is_some() {
                return Err(io::Error::other("the disk failed before"));
            }
            let Some(open) = state.open.take_if(|open| !open.is_empty()) else {
                return Ok(());
            };
            let segment = Arc::clone(&open.segment);
            state.closed = Some(open);
            segment
        };
        segment.wait_until_applied();
        let renewed = segment.sync_filesystem().and_then(|()| segment.renew());
        let mut state = self.lock();
        let renewed = renewed.inspect_err(|_| state.is_unfit = true)?;
        state.closed = None;
        state.spare = Some(Arc::new(renewed));
        Ok(())
    }

    /// Forces the files a while after the first of them, until the journal is dropped.
    fn keep(&self) {
        let wait = |state, until: fn(&mut State) -> bool| {
            let waited = self.changed.wait_while(state, until);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
        loop {
            let state = wait(self.lock(), |state| {
                !state.is_stopped && !state.has_records()
            });
            let go_on = |state: &mut State| !state.is_stopped && !state.is_half_full();
            drop(
                self.changed
                    .wait_timeout_while(state, self.machine.delay, go_on),
            );
            let forced = self.force();
            let mut state = self.lock();
            if let Err(error) = forced {
                tracing::error!(%error, folder = %self.folder.display(), "cannot force what the journal has");
                return;
            }
            if state.is_stopped && !state.has_records() {
                state.remove_segments();
                // Other processes may have theirs in it.
                let _others = std::fs::remove_dir(&self.folder);
                return;
            }
        }
    }
}

fn is_small(writes: &[Write]) -> bool {
    let bytes: usize = writes.iter().map(|write| write.content.len()).sum();
    bytes <= LIMIT
        && writes
            .iter()
            .all(|write| write.mode == WriteMode::Overwrite)
}

#[cfg(test)]
mod tests;
