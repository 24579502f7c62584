//! The back end itself, and what its nouns share.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use bytes::Bytes;
use roadstead_metadata::{Error, ManifestRecord};
use roadstead_oci::{Digest, MAX_MANIFEST_SIZE, RepositoryName};
use roadstead_storage::{ByteRange, Driver, DriverExt, Key, Share, Turn, Write, WriteMode};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::cache::{ManifestCache, SeenRevisions};

/// How the layout works on its driver.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many tags are read at once to find those that point to a manifest: Distribution's
    /// `storage.tag.concurrencylimit`, at least 1.
    pub tag_concurrency: usize,
    /// How many manifests are remembered by digest, and how many revisions as just seen in their
    /// repositories; with 0 the driver is always asked.
    ///
    /// What a digest says cannot change. What a tag points to, and whether a repository has a
    /// digest that a client names, is always asked of the driver; whether it has what its tag
    /// points to, once a minute.
    pub cached_manifests: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            tag_concurrency: 4,
            cached_manifests: 10_000,
        }
    }
}

/// CNCF Distribution's files as [`Metadata`](roadstead_metadata::Metadata).
///
/// Writes are ordered so that a crash leaves nothing that points to what is not there. Removals
/// of manifests and tags of a repository take turns with pushes to it: in one process, and where
/// the driver has locks ([`Driver::turn`]) in all of ours on one store. Between processes without
/// them, and with Distribution's, the last write wins.
pub struct Layout {
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) cache: ManifestCache,
    pub(crate) seen: SeenRevisions,
    pub(crate) tag_concurrency: usize,
    turns: Turns,
    blob_turns: Turns,
}

impl Layout {
    /// The layout in `driver`.
    pub fn new(driver: Arc<dyn Driver>, options: Options) -> Self {
        Self {
            driver,
            cache: ManifestCache::new(options.cached_manifests),
            seen: SeenRevisions::new(options.cached_manifests),
            tag_concurrency: options.tag_concurrency.max(1),
            turns: Turns::new(),
            blob_turns: Turns::new(),
        }
    }

    /// The turn of a push to a repository, which others share.
    pub(crate) async fn push_turn(
        &self,
        repository: &RepositoryName,
    ) -> Result<PushTurn<'_>, Error> {
        let turn = turn_of(repository);
        let here = self.turns.locks[turn].read().await;
        let everywhere = self.driver.turn(&turn_name(turn), Share::Shared).await;
        let everywhere = everywhere.map_err(unavailable)?;
        Ok((everywhere, here))
    }

    /// The turn of a removal from a repository, which it has alone.
    pub(crate) async fn removal_turn(
        &self,
        repository: &RepositoryName,
    ) -> Result<RemovalTurn<'_>, Error> {
        let turn = turn_of(repository);
        let here = self.turns.locks[turn].write().await;
        let everywhere = self.driver.turn(&turn_name(turn), Share::Alone).await;
        let everywhere = everywhere.map_err(unavailable)?;
        Ok((everywhere, here))
    }

    /// Who stores a blob shares this lock, who sweeps it takes it alone.
    pub(crate) fn blob_turn(&self, digest: &Digest) -> &RwLock<()> {
        self.blob_turns.of(digest.as_str())
    }

    /// The digest in a link. An empty or broken link, such as a crash of another registry can
    /// leave, counts as none, so that the next push repairs it.
    pub(crate) async fn read_link(&self, key: &Key) -> Result<Option<Digest>, Error> {
        let link = self.open_link(key).await?;
        Ok(link.map(|link| link.digest))
    }

    /// The same with what else is known of the link.
    pub(crate) async fn open_link(&self, key: &Key) -> Result<Option<Link>, Error> {
        const LONGEST: u64 = 256;
        let opened = async {
            let object = self.driver.read(key, ByteRange::ALL).await?;
            let is_own = object.is_own;
            Ok((object.collect(key, LONGEST).await?, is_own))
        };
        let (link, is_own) = match opened.await {
            Err(
                roadstead_storage::Error::TooLarge { .. } | roadstead_storage::Error::NotFound(_),
            ) => return Ok(None),
            link => link.map_err(unavailable)?,
        };
        let digest = std::str::from_utf8(&link)
            .ok()
            .and_then(|text| text.parse().ok());
        if digest.is_none() {
            tracing::warn!(link = %key, "passing over a link that holds no digest");
        }
        Ok(digest.map(|digest| Link { digest, is_own }))
    }

    /// The names below `prefix`, none when there is no such prefix.
    pub(crate) async fn names(
        &self,
        prefix: &Key,
        options: roadstead_storage::ListOptions<'_>,
    ) -> Result<Vec<String>, Error> {
        match self.driver.list(prefix, options).await {
            Ok(entries) => Ok(entries.into_iter().map(|entry| entry.name).collect()),
            Err(roadstead_storage::Error::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(unavailable(error)),
        }
    }

    pub(crate) async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        self.driver.write(writes).await.map_err(unavailable)
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<bool, Error> {
        self.driver.try_delete(key).await.map_err(unavailable)
    }

    pub(crate) async fn exists(&self, key: &Key) -> Result<bool, Error> {
        let stat = self.driver.try_stat(key).await.map_err(unavailable)?;
        Ok(stat.is_some())
    }

    /// The bytes of the manifest with the canonical digest `digest`, if they are stored and are
    /// what the digest says.
    pub(crate) async fn content(&self, digest: &Digest) -> Result<Option<ManifestRecord>, Error> {
        if let Some(record) = self.cache.get(digest) {
            return Ok(Some(record));
        }
        let key = crate::paths::blob_data(digest).map_err(unavailable)?;
        let bytes = match self.driver.try_get(&key, MAX_MANIFEST_SIZE).await {
            Err(roadstead_storage::Error::TooLarge { .. }) => None,
            bytes => bytes.map_err(unavailable)?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let record = crate::manifests::recognize(digest, bytes);
        if let Some(record) = &record {
            self.cache.insert(record.clone());
        }
        Ok(record)
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layout")
            .field("driver", &self.driver)
            .finish()
    }
}

/// What a link says.
pub(crate) struct Link {
    pub(crate) digest: Digest,
    /// Whether Roadstead wrote it.
    pub(crate) is_own: bool,
}

/// A failed key or driver as this back end's failure; "busy" stays what it is.
pub(crate) fn unavailable(error: roadstead_storage::Error) -> Error {
    match error {
        roadstead_storage::Error::Busy(_) => Error::Busy,
        error => Error::Unavailable(Box::new(error)),
    }
}

pub(crate) fn link(key: Key, digest: &Digest) -> Write {
    file(key, Bytes::copy_from_slice(digest.as_str().as_bytes()))
}

pub(crate) fn file(key: Key, content: Bytes) -> Write {
    Write {
        key,
        content,
        mode: WriteMode::Overwrite,
    }
}

/// Held against other processes, where that can be, and in this one.
pub(crate) type PushTurn<'a> = (Option<Turn>, RwLockReadGuard<'a, ()>);
pub(crate) type RemovalTurn<'a> = (Option<Turn>, RwLockWriteGuard<'a, ()>);

/// Which turn is a repository's, and that of some others: the same one in all processes, and for
/// the lock within one, so that nobody waits for another process who could wait here. FNV-1a, as it
/// must not change.
fn turn_of(repository: &RepositoryName) -> usize {
    let bytes = repository.as_str().bytes();
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % Turns::LOCKS as u64) as usize
}

fn turn_name(turn: usize) -> String {
    format!("{turn:02}")
}

/// A fixed number of locks, by the hash of a name.
struct Turns {
    /// As many as [`Turns::LOCKS`].
    locks: Vec<RwLock<()>>,
    hasher: RandomState,
}

impl Turns {
    /// All processes have the same number.
    const LOCKS: usize = 64;

    fn new() -> Self {
        Self {
            locks: (0..Self::LOCKS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    fn of(&self, name: &str) -> &RwLock<()> {
        let hash = self.hasher.hash_one(name);
        &self.locks[(hash % Self::LOCKS as u64) as usize]
    }
}
