//! Uploads in parts as this process has synced them last.
//!
//! Whoever ends one of them with what is known here need not ask for it first. Nothing is *only*
//! here: all of it lies at the upload's key as well. Nor is it believed: another process may have
//! gone on with the upload since. Exactly the parts known here are joined, and only while what
//! lies at the key has not changed, as far as the store can tell; otherwise that is read.

use std::fmt;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use roadstead_storage::{Key, UploadNotes};

use crate::bucket::Part;
use crate::claims::Committed;
use crate::session::Multipart;

/// How many parts are known at most, of all uploads together: some 8 MB.
const MOST: u64 = 1 << 16;

/// What else an upload weighs, in parts.
const OVERHEAD: u64 = 8;

/// About how many uploads there are.
const UPLOADS: usize = 256;

/// An upload whose bytes are all in parts.
#[derive(Clone, Debug)]
pub(crate) struct Synced {
    /// What lies at its key, and the size of the whole upload.
    pub(crate) stored: Committed,
    pub(crate) multipart: Multipart,
    pub(crate) parts: Vec<Part>,
    pub(crate) notes: UploadNotes,
}

/// Those of many uploads; the least used are forgotten.
pub(crate) struct Memory(Cache<Key, Synced, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Synced> for Weight {
    fn weight(&self, _: &Key, synced: &Synced) -> u64 {
        synced.parts.len() as u64 + OVERHEAD
    }
}

impl Memory {
    pub(crate) fn remember(&self, key: &Key, synced: Synced) {
        self.0.insert(key.clone(), synced);
    }

    /// What is known of an upload, once.
    pub(crate) fn take(&self, key: &Key) -> Option<Synced> {
        self.0.remove(key).map(|(_, synced)| synced)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self(Cache::with_weighter(UPLOADS, MOST, Weight))
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uploads = self.0.len();
        f.debug_struct("Memory").field("uploads", &uploads).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(parts: usize) -> Synced {
        let part = |number: usize| Part {
            etag: format!("\"{number:032}\""),
            size: 7,
        };
        Synced {
            stored: Committed {
                etag: String::new(),
                size: parts as u64 * 7,
            },
            multipart: Multipart {
                id: String::new(),
                session: String::new(),
            },
            parts: (0..parts).map(part).collect(),
            notes: UploadNotes {
                upload: String::new(),
                bytes: None,
            },
        }
    }

    #[test]
    fn of_many_uploads_those_before_the_last_ones_are_forgotten() {
        let memory = Memory::default();
        let key = |number: usize| Key::new(&format!("uploads/{number}")).unwrap();
        for number in 0..1000 {
            memory.remember(&key(number), synced(1000));
        }
        let known = |number: &usize| memory.take(&key(*number)).is_some();
        let known = (0..1000).filter(known).count() as u64;
        assert!((1..=MOST / 1000).contains(&known), "{known} uploads");
    }

    #[test]
    fn an_upload_is_known_once() {
        let memory = Memory::default();
        let key = Key::new("upload").unwrap();
        memory.remember(&key, synced(5000));
        assert_eq!(memory.take(&key).unwrap().parts.len(), 5000);
        assert!(memory.take(&key).is_none());
    }
}
