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

/// How many threads help the one that syncs.
const HELPERS: usize = 5;

/// How one file is synced.
pub(crate) type Sync = fn(&File) -> io::Result<()>;

/// Syncs all `files`, in no particular order, and returns when none is left; the first failure.
///
/// Helpers are threads of the runtime's, if the caller is one, and each takes a permit: without a
/// runtime or a permit the caller does it alone. It never waits for a helper that has not begun.
pub(crate) fn sync_all(
    files: Vec<Arc<File>>,
    sync: Sync,
    permits: &Arc<Semaphore>,
) -> io::Result<()> {
    let helpers = HELPERS.min(files.len().saturating_sub(1));
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
    for _ in 0..helpers {
        job.find_help(permits);
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
    fn find_help(self: &Arc<Self>, permits: &Arc<Semaphore>) {
        let job = Arc::clone(self);
        hand_over(permits, move || job.work());
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
    /// Hands `work` to a thread of the runtime's, if the caller is one and there is a permit.
    pub(crate) fn start(
        work: impl FnOnce() -> T + Send + 'static,
        permits: &Arc<Semaphore>,
    ) -> Self {
        let meantime = Arc::new(Meantime {
            work: Mutex::new(Some(Box::new(work))),
            outcome: Mutex::new(None),
            done: Condvar::new(),
        });
        let other = Arc::clone(&meantime);
        hand_over(permits, move || {
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

/// Has a thread of the runtime's do `work`, if the caller is one and there is a permit.
fn hand_over(permits: &Arc<Semaphore>, work: impl FnOnce() + Send + 'static) {
    if let (Ok(runtime), Ok(permit)) = (
        Handle::try_current(),
        Arc::clone(permits).try_acquire_owned(),
    ) {
        runtime.spawn_blocking(move || {
            work();
            drop(permit);
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
        for permits in [0, 1, 100] {
            let permits = Arc::new(Semaphore::new(permits));
            for count in [0, 1, 2, 50] {
                sync_all(files(count), File::sync_all, &permits).unwrap();
            }
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _entered = runtime.enter();
            for count in [0, 1, 2, 50] {
                sync_all(files(count), File::sync_all, &permits).unwrap();
            }
        }
    }

    #[test]
    fn what_is_done_meanwhile_is_done_once() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for permits in [0, 1] {
            let permits = Arc::new(Semaphore::new(permits));
            for _ in 0..100 {
                let count = Arc::new(AtomicUsize::new(0));
                let counted = Arc::clone(&count);
                let _entered = runtime.enter();
                let meanwhile = Meanwhile::start(move || counted.fetch_add(1, Relaxed), &permits);
                assert_eq!(meanwhile.wait(), 0);
                assert_eq!(count.load(Relaxed), 1);
            }
        }
    }

    #[test]
    fn a_failure_is_told() {
        let permits = Arc::new(Semaphore::new(1));
        let failed = sync_all(files(3), fails, &permits).unwrap_err();
        assert_eq!(failed.to_string(), "disk on fire");
    }
}
