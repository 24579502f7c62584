//! The `inmemory` driver: everything in one map, gone with the process.

mod noted;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::{
    Apart, ByteRange, Content, ContentStat, Driver, Entry, EntryKind, Error, Key, ListOptions,
    NotedUploads, Object, Stat, Upload, UploadNotes, Write, WriteMode,
};
use noted::NotedUpload;

/// Keeps content in memory. A clone is another driver on the same store.
///
/// Nothing survives the process, so "durable" means no more here than "done". An upload is
/// invisible at its key until it is committed, or carries notes and is there from its beginning
/// on ([`MemoryDriver::with_notes`]). Content may lie at a key that is also a prefix.
#[derive(Clone, Default)]
pub struct MemoryDriver {
    store: Arc<Mutex<Store>>,
    keeps_notes: bool,
}

#[derive(Default)]
struct Store {
    contents: BTreeMap<String, Stored>,
    uploads: BTreeMap<String, BytesMut>,
    busy: HashSet<Key>,
    /// How many keys were made up.
    made_up: u64,
}

struct Stored {
    bytes: Bytes,
    modified: SystemTime,
    /// Of content that is an upload under way.
    notes: Option<UploadNotes>,
}

impl MemoryDriver {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store whose uploads carry notes, as in an object store.
    pub fn with_notes() -> Self {
        Self {
            keeps_notes: true,
            ..Self::default()
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

#[async_trait]
impl Driver for MemoryDriver {
    fn name(&self) -> &'static str {
        "inmemory"
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        let store = self.store();
        if let Some(stored) = store.contents.get(key.as_str()) {
            return Ok(Stat::Content(stored.stat()));
        }
        let anything = *key == Key::root() || below(&store.contents, key).next().is_some();
        anything
            .then_some(Stat::Prefix)
            .ok_or_else(|| not_found(key))
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        let store = self.store();
        let stored = store
            .contents
            .get(key.as_str())
            .ok_or_else(|| not_found(key))?;
        let part = range.resolve(key, stored.bytes.len() as u64)?;
        let part = part.start as usize..part.end as usize;
        Ok(Object {
            stat: stored.stat(),
            content: Content::Bytes(stored.bytes.slice(part)),
            is_own: false,
        })
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let mut store = self.store();
        writes.iter().try_for_each(|write| store.write(write))
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let mut store = self.store();
        if !store.busy.insert(key.clone()) {
            return Err(Error::Busy(key.to_string()));
        }
        if self.keeps_notes {
            return Ok(Box::new(NotedUpload::new(self, &store, key)));
        }
        let bytes = store.uploads.entry(key.to_string()).or_default();
        Ok(Box::new(MemoryUpload {
            store: Arc::clone(&self.store),
            key: key.clone(),
            size: bytes.len() as u64,
        }))
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        let mut store = self.store();
        let stored = store
            .contents
            .remove(from.as_str())
            .ok_or_else(|| not_found(from))?;
        store.put(to, stored.bytes);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        let mut store = self.store();
        let contents = remove_all(&mut store.contents, key);
        let uploads = remove_all(&mut store.uploads, key);
        (contents || uploads)
            .then_some(())
            .ok_or_else(|| not_found(key))
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        let children = children(&self.store().contents, prefix);
        if children.is_empty() && *prefix != Key::root() {
            return Err(not_found(prefix));
        }
        let after = options.after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = children.range::<str, _>((after, Bound::Unbounded));
        let entry = |(name, kind): (&String, &EntryKind)| Entry {
            name: name.clone(),
            kind: *kind,
        };
        Ok(page.take(options.limit).map(entry).collect())
    }

    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        let mut store = self.store();
        let is_same = |stored: &Stored| stored.stat() == *seen;
        let found = store.contents.get(key.as_str()).is_some_and(is_same);
        if found {
            store.contents.remove(key.as_str());
        }
        Ok(found)
    }

    fn noted_uploads(&self) -> Option<&dyn NotedUploads> {
        self.keeps_notes.then_some(self)
    }
}

impl fmt::Debug for MemoryDriver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let contents = self.store().contents.len();
        f.debug_struct("MemoryDriver")
            .field("contents", &contents)
            .finish_non_exhaustive()
    }
}

impl Store {
    fn write(&mut self, write: &Write) -> Result<(), Error> {
        let create = write.mode == WriteMode::CreateNew;
        if create && self.contents.contains_key(write.key.as_str()) {
            return Err(Error::Exists(write.key.to_string()));
        }
        self.put(&write.key, write.content.clone());
        Ok(())
    }

    fn fresh_key_beside(&mut self, key: &Key) -> Result<Key, Error> {
        self.made_up += 1;
        let parent = key.parent().unwrap_or_else(Key::root);
        parent.join(&format!("apart-{}", self.made_up))
    }

    fn put(&mut self, key: &Key, bytes: Bytes) {
        let stored = Stored::new(bytes, None);
        self.contents.insert(key.to_string(), stored);
    }
}

impl Stored {
    fn new(bytes: Bytes, notes: Option<UploadNotes>) -> Self {
        Self {
            bytes,
            modified: SystemTime::now(),
            notes,
        }
    }

    fn stat(&self) -> ContentStat {
        ContentStat {
            size: self.bytes.len() as u64,
            modified: self.modified,
        }
    }
}

/// An upload whose bytes lie in the store, not here: another driver goes on where this one ended.
struct MemoryUpload {
    store: Arc<Mutex<Store>>,
    key: Key,
    size: u64,
}

#[async_trait]
impl Upload for MemoryUpload {
    fn size(&self) -> u64 {
        self.size
    }

    /// Holds every byte until the upload ends: the store is this memory.
    async fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        let mut store = lock(&self.store);
        let bytes = store
            .uploads
            .get_mut(self.key.as_str())
            .ok_or_else(|| not_found(&self.key))?;
        chunks
            .iter()
            .for_each(|chunk| bytes.extend_from_slice(chunk));
        self.size = bytes.len() as u64;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        let mut store = lock(&self.store);
        let bytes = store
            .uploads
            .remove(self.key.as_str())
            .ok_or_else(|| not_found(&self.key))?;
        store.put(&self.key, bytes.freeze());
        Ok(())
    }

    async fn commit_apart(&mut self) -> Result<Apart, Error> {
        let mut store = lock(&self.store);
        let bytes = store.uploads.get(self.key.as_str());
        let bytes = bytes.ok_or_else(|| not_found(&self.key))?;
        let bytes = Bytes::copy_from_slice(bytes);
        let key = store.fresh_key_beside(&self.key)?;
        store.put(&key, bytes);
        Ok(Apart {
            key,
            is_certain: true,
        })
    }

    fn identity(&self) -> Option<String> {
        None
    }

    async fn commit_as(&mut self, to: &Key) -> Result<(), Error> {
        let mut store = lock(&self.store);
        let own = self.key.as_str();
        let bytes = match store.uploads.remove(own) {
            Some(bytes) => bytes.freeze(),
            None => {
                let committed = store.contents.remove(own);
                committed.ok_or_else(|| not_found(&self.key))?.bytes
            }
        };
        store.put(to, bytes);
        Ok(())
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        lock(&self.store).uploads.remove(self.key.as_str());
        Ok(())
    }
}

impl Drop for MemoryUpload {
    fn drop(&mut self) {
        lock(&self.store).busy.remove(&self.key);
    }
}

impl fmt::Debug for MemoryUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryUpload")
            .field("key", &self.key)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

fn not_found(key: &Key) -> Error {
    Error::NotFound(key.to_string())
}

/// The lock; a panic elsewhere leaves no half-made change behind it, so poison is no concern.
fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the keys below `key` begin with.
fn prefix_of(key: &Key) -> String {
    if *key == Key::root() {
        return String::new();
    }
    format!("{key}/")
}

fn below<'a, T>(map: &'a BTreeMap<String, T>, key: &Key) -> impl Iterator<Item = &'a String> {
    let prefix = prefix_of(key);
    map.range(prefix.clone()..)
        .map(|(key, _)| key)
        .take_while(move |key| key.starts_with(&prefix))
}

fn remove_all<T>(map: &mut BTreeMap<String, T>, key: &Key) -> bool {
    let mut doomed: Vec<String> = below(map, key).cloned().collect();
    doomed.push(key.to_string());
    let removed = doomed.iter().filter(|key| map.remove(*key).is_some());
    removed.count() > 0
}

/// The names directly below `prefix`; a name that is both content and a prefix is content.
fn children(contents: &BTreeMap<String, Stored>, prefix: &Key) -> BTreeMap<String, EntryKind> {
    let skip = prefix_of(prefix).len();
    let mut children = BTreeMap::new();
    for key in below(contents, prefix) {
        let (name, kind) = match key[skip..].split_once('/') {
            Some((name, _)) => (name, EntryKind::Prefix),
            None => (&key[skip..], EntryKind::Content),
        };
        if kind == EntryKind::Content || !children.contains_key(name) {
            children.insert(name.to_owned(), kind);
        }
    }
    children
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit;

    struct Memory(MemoryDriver);

    #[async_trait]
    impl testkit::Store for Memory {
        fn driver(&self) -> Arc<dyn Driver> {
            Arc::new(self.0.clone())
        }
    }

    testkit::suite!(Memory(MemoryDriver::new()));
}
