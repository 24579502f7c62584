//! Uploads with notes: like an object store's, an upload lies at its key from its beginning on.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::{MemoryDriver, Store, Stored, lock, not_found};
use crate::{Apart, Error, Key, NotedUploads, Upload, UploadNotes};

/// An upload of which what was synced lies in the store as content; the rest is lost with it.
pub(super) struct NotedUpload {
    store: Arc<Mutex<Store>>,
    key: Key,
    bytes: BytesMut,
    notes: Option<UploadNotes>,
    note: Option<String>,
}

impl NotedUpload {
    /// Of a key that is busy for it.
    pub(super) fn new(driver: &MemoryDriver, store: &Store, key: &Key) -> Self {
        let stored = store.contents.get(key.as_str());
        let notes = stored.and_then(|stored| stored.notes.clone());
        Self {
            store: Arc::clone(&driver.store),
            key: key.clone(),
            bytes: stored.map_or_else(BytesMut::new, |stored| stored.bytes[..].into()),
            note: notes.as_ref().and_then(|notes| notes.bytes.clone()),
            notes,
        }
    }

    fn content(&self) -> Bytes {
        self.bytes.clone().freeze()
    }
}

#[async_trait]
impl NotedUploads for MemoryDriver {
    async fn begin(&self, key: &Key, note: &str) -> Result<(), Error> {
        let notes = UploadNotes {
            upload: note.to_owned(),
            bytes: None,
        };
        let stored = Stored::new(Bytes::new(), Some(notes));
        self.store().contents.insert(key.to_string(), stored);
        Ok(())
    }

    async fn notes(&self, key: &Key) -> Result<Option<UploadNotes>, Error> {
        let store = self.store();
        let stored = store.contents.get(key.as_str());
        Ok(stored.and_then(|stored| stored.notes.clone()))
    }
}

#[async_trait]
impl Upload for NotedUpload {
    fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Holds every byte until the upload ends.
    async fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            self.bytes.extend_from_slice(chunk);
            self.note = None;
        }
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Error> {
        if let Some(notes) = &mut self.notes {
            notes.bytes.clone_from(&self.note);
        }
        let stored = Stored::new(self.content(), self.notes.clone());
        let mut store = lock(&self.store);
        store.contents.insert(self.key.to_string(), stored);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.sync().await
    }

    async fn commit_as(&mut self, to: &Key) -> Result<(), Error> {
        let mut store = lock(&self.store);
        if self.notes.is_some() && !store.contents.contains_key(self.key.as_str()) {
            return Err(not_found(&self.key));
        }
        store.put(to, self.content());
        Ok(())
    }

    async fn commit_apart(&mut self) -> Result<Apart, Error> {
        let mut store = lock(&self.store);
        let key = store.fresh_key_beside(&self.key)?;
        store.put(&key, self.content());
        Ok(Apart {
            key,
            is_certain: true,
        })
    }

    fn identity(&self) -> Option<String> {
        None
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        lock(&self.store).contents.remove(self.key.as_str());
        Ok(())
    }

    fn notes(&self) -> Option<&UploadNotes> {
        self.notes.as_ref()
    }

    fn note_bytes(&mut self, note: String) {
        self.note = Some(note);
    }
}

impl Drop for NotedUpload {
    fn drop(&mut self) {
        lock(&self.store).busy.remove(&self.key);
    }
}

impl fmt::Debug for NotedUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotedUpload")
            .field("key", &self.key)
            .field("size", &self.bytes.len())
            .field("notes", &self.notes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Driver, testkit};

    struct Noting(MemoryDriver);

    #[async_trait]
    impl testkit::Store for Noting {
        fn driver(&self) -> Arc<dyn Driver> {
            Arc::new(self.0.clone())
        }
    }

    testkit::suite!(Noting(MemoryDriver::with_notes()));
}
