//! An upload as a memo has it, to be ended without a look at the store.

use std::sync::Arc;

use roadstead_storage::{Key, Upload};

use super::{Ending, S3Upload, Stored};
use crate::bucket::Bucket;
use crate::claims::Claims;
use crate::synced::Synced;

impl S3Upload {
    /// `None` for what is no memo, or when someone has hold of the upload, or nobody could tell from
    /// the store's answer whether it was still so.
    pub(crate) async fn recall(
        bucket: &Arc<Bucket>,
        claims: &Claims,
        key: &Key,
        memo: &str,
    ) -> Option<Self> {
        if bucket.has_opaque_etags() {
            return None;
        }
        let synced = Synced::read(bucket.unsealed(key, memo).await?)?;
        let claim = claims.claim(key).ok()?;
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

    /// What lies in the bucket of an upload that ends at its key, when all of its bytes are in
    /// parts.
    pub(super) fn synced(&self) -> Option<Synced> {
        let (Stored::Notes(stored), Some(multipart)) = (&self.stored, &self.multipart) else {
            return None;
        };
        let (Ending::AtItsKey, Some(notes)) = (self.ending, &self.notes) else {
            return None;
        };
        let parts: Vec<_> = self.parts.values().chain(&self.last).cloned().collect();
        let in_parts: u64 = parts.iter().map(|part| part.size).sum();
        (stored.size == self.size() && stored.size == in_parts).then(|| Synced {
            stored: stored.clone(),
            multipart: multipart.clone(),
            parts,
            notes: notes.clone(),
        })
    }
}
