//! An upload as this process has synced it last, to be ended without a look at the store.

use std::sync::Arc;

use roadstead_storage::Key;

use super::{Ending, S3Upload, Stored};
use crate::bucket::Bucket;
use crate::claims::Claims;
use crate::synced::Synced;

impl S3Upload {
    /// `None` when nothing is known of it, or someone has hold of it, or nobody could tell from the
    /// store's answer whether it was still so.
    pub(crate) fn recall(bucket: &Arc<Bucket>, claims: &Claims, key: &Key) -> Option<Self> {
        if bucket.has_opaque_etags() {
            return None;
        }
        let claim = claims.claim(key).ok()?;
        let synced = claims.synced.take(key)?;
        let mut upload = Self::new(bucket, claim, key, Ending::AtItsKey);
        upload.sent = synced.stored.size;
        upload.next_part = synced.parts.len() + 1;
        upload.parts = (1..).zip(synced.parts).collect();
        upload.multipart = Some(synced.multipart);
        upload.stored = Stored::Notes(synced.stored);
        upload.note.clone_from(&synced.notes.bytes);
        upload.notes = Some(synced.notes);
        upload.settled = false;
        upload.is_recalled = true;
        Some(upload)
    }

    /// Remembers what was just synced, of an upload that ends at its key.
    pub(super) fn remember(&self) {
        let (Stored::Notes(stored), Some(multipart)) = (&self.stored, &self.multipart) else {
            return;
        };
        let (Ending::AtItsKey, Some(notes)) = (self.ending, &self.notes) else {
            return;
        };
        self.claim.remember(Synced {
            stored: stored.clone(),
            multipart: multipart.clone(),
            parts: self.parts.values().chain(&self.last).cloned().collect(),
            notes: notes.clone(),
        });
    }
}
