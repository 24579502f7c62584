//! Forcing many files to the disk together.
//!
//! Each sync waits for the disk, mostly for the same: that it empties its cache. When several wait
//! at a time, the disk works on all of them and empties its cache once.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// How many threads help at the most: those that sync one file each need no help.
pub(crate) const HELPERS: usize = 5;

/// How one file is synced.
pub(crate) type Sync = fn(&File) -> io::Result<()>;

/// Syncs all `files`, in no particular order, and returns when none is left; the first failure.
///
/// The `helpers` are threads of the runtime's, if the caller is one: without a runtime, or when all
/// of them help others, the caller does it alone. It never waits for one that has not begun.
pub(crate) fn sync_all(
    files: Vec<Arc<File>>,
    sync: Sync,
    helpers: &Arc<Semaphore>,
) -> io::Result<()> {
    let wanted = HELPERS.min(files.len().saturating_sub(1));
    let job = Arc::new(Job {
        left: Mutex::new(Left {
            count: files.len(),
            failure: None,
        }),
        files,
        sync,
        next: AtomicUsize::new(0),
        done: Condvar::new(),
    });
    for _ in 0..wanted {
        job.find_help(helpers);
    }
    job.work();
    job.wait()
}

struct Job {
    files: Vec<Arc<File>>,
    sync: Sync,
    /// The first file that nobody has taken.
    next: AtomicUsize,
    left: Mutex<Left>,
    done: Condvar,
}

struct Left {
    count: usize,
    failure: Option<io::Error>,
}

impl Job {
    fn find_help(self: &Arc<Self>, helpers: &Arc<Semaphore>) {
        let job = Arc::clone(self);
        hand_over(helpers, move || job.work());
    }

    /// Syncs files until all are taken.
    fn work(&self) {
        while let Some(file) = self.files.get(self.next.fetch_add(1, Relaxed)) {
            let outcome = (self.sync)(file);
            let mut left = self.left();
            left.count -= 1;
            left.failure = left.failure.take().or(outcome.err());
            if left.count == 0 {
                self.done.notify_one();
            }
        }
    }

    fn wait(&self) -> io::Result<()> {
        let left = self.done.wait_while(self.left(), |left| left.count > 0);
        let failure = left.unwrap_or_else(PoisonError::into_inner).failure.take();
        failure.map_or(Ok(()), Err)
    }

    fn left(&self) -> MutexGuard<'_, Left> {
        lock(&self.left)
    }
}

/// Work that another thread does meanwhile, or else the one that waits for it.
pub(crate) struct Meanwhile<T>(Arc<Meantime<T>>);

struct Meantime<T> {
    /// Taken by the one that does it.
    work: Mutex<Option<Work<T>>>,
    outcome: Mutex<Option<T>>,
    done: Condvar,
}

type Work<T> = Box<dyn FnOnce() -> T + Send>;

impl<T: Send + 'static> Meanwhile<T> {
    /// Hands `work` to one of the `helpers`, if the caller is a thread of the runtime's.
    pub(crate) fn start(
        work: impl FnOnce() -> T + Send + 'static,
        helpers: &Arc<Semaphore>,
    ) -> Self {
        let meantime = Arc::new(Meantime {
            work: Mutex::new(Some(Box::new(work))),
            outcome: Mutex::new(None),
            done: Condvar::new(),
        });
        let other = Arc::clone(&meantime);
        hand_over(helpers, move || {
            if let Some(work) = other.take() {
                *lock(&other.outcome) = Some(work());
                other.done.notify_one();
            }
        });
        Self(meantime)
    }

    /// The outcome. Never waits for a thread that has not begun.
    pub(crate) fn wait(self) -> T {
        if let Some(work) = self.0.take() {
            return work();
        }
        let mut outcome = lock(&self.0.outcome);
        loop {
            match outcome.take() {
                Some(outcome) => return outcome,
                None => {
                    let woken = self.0.done.wait(outcome);
                    outcome = woken.unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl<T> Meantime<T> {
    fn take(&self) -> Option<Work<T>> {
        lock(&self.work).take()
    }
}

/// Has one of the `helpers` do `work`, if the caller is a thread of the runtime's.
fn hand_over(helpers: &Arc<Semaphore>, work: impl FnOnce() + Send + 'static) {
    if let (Ok(runtime), Ok(helper)) = (
        Handle::try_current(),
        Arc::clone(helpers).try_acquire_owned(),
    ) {
        runtime.spawn_blocking(move || {
            work();
            drop(helper);
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(count: usize) -> Vec<Arc<File>> {
        let file = || Arc::new(tempfile::tempfile().unwrap());
        std::iter::repeat_with(file).take(count).collect()
    }

    fn fails(_: &File) -> io::Result<()> {
        Err(io::Error::other("disk on fire"))
    }

    #[test]
    fn it_is_done_with_and_without_help() {
        for helpers in [0, 1, 100] {
            let helpers = Arc::new(Semaphore::new(helpers));
            for count in [0, 1, 2, 50] {
                sync_all(files(count), File::sync_all, &helpers).unwrap();
            }
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _entered = runtime.enter();
            for count in [0, 1, 2, 50] {
                sync_all(files(count), File::sync_all, &helpers).unwrap();
            }
        }
    }

    #[test]
    fn what_is_done_meanwhile_is_done_once() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for helpers in [0, 1] {
            let helpers = Arc::new(Semaphore::new(helpers));
            for _ in 0..100 {
                let count = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&count);
                let _entered = runtime.enter();
                let meanwhile = Meanwhile::start(move || counted.fetch_add(1, Relaxed), &helpers);
                assert_eq!(meanwhile.wait(), 0);
                assert_eq!(count.load(Relaxed), 1);
            }
        }
    }

    #[test]
    fn a_failure_is_told() {
        let helpers = Arc::new(Semaphore::new(1));
        let failed = sync_all(files(3), fails, &helpers).unwrap_err();
        assert_eq!(failed.to_string(), "disk on fire");
    }
}
