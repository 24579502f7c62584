//! What files say, for as long as they say it.

use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use crate::FileError;

/// How old what is known of a file may be.
pub(crate) const EVERY: Duration = Duration::from_secs(1);

type Parse<T> = dyn Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync;

/// Some files, read again when they change. A file that is changed in place, replaced, or reached
/// over a link that is turned (as Kubernetes does) has changed. While one cannot be read or makes no
/// sense, what was read before counts on, and the log says so once. Clones are the same.
///
/// Nothing runs in the background: who asks after `every` has passed looks, and others get what is
/// known meanwhile.
pub(crate) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    paths: Vec<PathBuf>,
    every: Duration,
    parse: Box<Parse<T>>,
    opened: Instant,
    /// When someone looked last, in milliseconds since `opened`.
    looked: AtomicU64,
    seen: Mutex<Vec<Option<Stamp>>>,
    current: RwLock<Arc<T>>,
}

/// What differs between a file and the one that takes its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
    #[cfg(unix)]
    inode: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            length: metadata.len(),
            modified: metadata.modified().ok(),
            #[cfg(unix)]
            inode: (
                metadata.dev(),
                metadata.ino(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ),
        }
    }

    fn at(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().as_ref().map(Self::of)
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads the files for the first time. Blocks.
    ///
    /// # Errors
    ///
    /// One of them cannot be read, or what they say makes no sense.
    pub(crate) fn open(
        paths: Vec<PathBuf>,
        every: Duration,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let seen = paths.iter().map(|path| Stamp::at(path)).collect();
        let current = parse(&read(&paths)?)?;
        Ok(Self(Arc::new(Inner {
            paths,
            every,
            parse: Box::new(parse),
            opened: Instant::now(),
            looked: AtomicU64::new(0),
            seen: Mutex::new(seen),
            current: RwLock::new(Arc::new(current)),
        })))
    }

    /// What no file says, and so never changes.
    pub(crate) fn fixed(value: T) -> Self {
        Self(Arc::new(Inner {
            paths: Vec::new(),
            every: EVERY,
            parse: Box::new(|_| {
                Err(FileError::Content {
                    path: String::new(),
                    message: "there is no file".to_owned(),
                })
            }),
            opened: Instant::now(),
            looked: AtomicU64::new(0),
            seen: Mutex::new(Vec::new()),
            current: RwLock::new(Arc::new(value)),
        }))
    }

    /// What is known of the files, without a look at them.
    pub(crate) fn known(&self) -> Arc<T> {
        self.0.known()
    }

    /// What the files say; at most `every` old.
    pub(crate) async fn get(&self) -> Arc<T> {
        let inner = &self.0;
        if !inner.paths.is_empty() && inner.is_my_turn() {
            let inner = Arc::clone(inner);
            // A panic in there leaves what was known.
            let _ = tokio::task::spawn_blocking(move || inner.look()).await;
        }
        self.0.known()
    }
}

impl<T> Inner<T> {
    /// Whether the caller is the one to look now.
    fn is_my_turn(&self) -> bool {
        let now = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        let every = u64::try_from(self.every.as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        let is_time = now.saturating_sub(looked) >= every;
        let claimed = || {
            let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            let swapped = self.looked.compare_exchange(looked, now, success, failure);
            swapped.is_ok()
        };
        is_time && claimed()
    }

    fn known(&self) -> Arc<T> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Looks at the files, and reads them if they are others than before.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps: Vec<_> = self.paths.iter().map(|path| Stamp::at(path)).collect();
        if *seen == stamps {
            return;
        }
        *seen = stamps;
        match read(&self.paths).and_then(|contents| (self.parse)(&contents)) {
            Ok(value) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Arc::new(value);
                for path in &self.paths {
                    tracing::info!(file = %path.display(), "read again, as it has changed");
                }
            }
            Err(error) => {
                tracing::error!("{error}: what was read before counts on");
            }
        }
    }
}

fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, FileError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|cause| FileError::Read {
            path: path.display().to_string(),
            cause,
        })
    };
    paths.iter().map(read).collect()
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watched").field(&self.0.paths).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(contents: &[Vec<u8>]) -> Result<u32, FileError> {
        let text = String::from_utf8_lossy(&contents[0]);
        text.trim().parse().map_err(|_| FileError::Content {
            path: String::new(),
            message: "no number".to_owned(),
        })
    }

    #[tokio::test]
    async fn a_file_that_changes_is_read_again_and_a_broken_one_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n");
        std::fs::write(&path, "1").unwrap();
        let watched = Watched::open(vec![path.clone()], Duration::ZERO, number).unwrap();
        assert_eq!(*watched.get().await, 1);
        std::fs::write(&path, "22").unwrap();
        assert_eq!(*watched.get().await, 22);
        std::fs::write(&path, "broken").unwrap();
        assert_eq!(*watched.get().await, 22);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(*watched.get().await, 22);
        std::fs::write(&path, "3").unwrap();
        assert_eq!(*watched.get().await, 3);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_link_that_is_turned_is_followed() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (version, number) in [("v1", "1"), ("v2", "2")] {
            std::fs::create_dir(at(version)).unwrap();
            std::fs::write(at(version).join("n"), number).unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/n", at("n")).unwrap();
        let watched = Watched::open(vec![at("n")], Duration::ZERO, number).unwrap();
        assert_eq!(*watched.get().await, 1);
        symlink("v2", at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_eq!(*watched.get().await, 2);
    }

    #[test]
    fn what_makes_no_sense_at_first_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n");
        let open = || Watched::open(vec![path.clone()], EVERY, number);
        assert!(matches!(open(), Err(FileError::Read { .. })));
        std::fs::write(&path, "x").unwrap();
        assert!(matches!(open(), Err(FileError::Content { .. })));
    }
}
