//! What came survives, for whichever process goes on with it.

use bytes::Bytes;
use roadstead_storage::Upload;
use uuid::Uuid;

use super::part::least_part;
use super::{Ending, S3Upload, Stored};
use crate::bucket::{Condition, Metadata};
use crate::claims::Committed;
use crate::error::Failure;
use crate::session::{IDENTITY, Notes, Parts};

impl S3Upload {
    pub(super) async fn store(&mut self) -> Result<(), Failure> {
        let size = self.size();
        let notes = self.notes_with(self.note.clone());
        match &self.stored {
            Stored::Content(stored) | Stored::Large(stored) | Stored::Notes(stored)
                if stored.size == size && self.notes == notes =>
            {
                return Ok(());
            }
            // Its bytes are read again anyway: a note is not worth the copy.
            Stored::Large(stored) if stored.size == size => return Ok(()),
            Stored::Large(_) => drop(self.begun_multipart().await?),
            _ => {}
        }
        let Some(multipart) = self.multipart.clone() else {
            let content = Bytes::copy_from_slice(&self.buffer);
            let metadata = Metadata::default().with_notes(notes.as_ref());
            let etag = self.put(content, metadata).await?;
            self.stored = Stored::Content(Committed { etag, size });
            self.notes = notes;
            return Ok(());
        };
        if self.buffer.len() >= least_part(self.part_size(), self.next_part) {
            self.send_part().await?;
        }
        let before = self.arrived_parts().await?;
        self.send_last().await?;
        let last = self.last.clone();
        let parts = Parts { before, last };
        let metadata = Notes::new(&multipart, &parts).metadata();
        let metadata = metadata.with_notes(notes.as_ref());
        let content = [&self.buffer[..], parts.list().as_bytes()].concat();
        let etag = self.put(content.into(), metadata).await?;
        self.stored = Stored::Notes(Committed { etag, size });
        self.notes = notes;
        Ok(())
    }

    /// Replaces what lies at the key, if nobody else has done so.
    pub(super) async fn put(
        &mut self,
        content: Bytes,
        mut metadata: Metadata,
    ) -> Result<String, Failure> {
        let condition = self.untouched();
        let identity = Uuid::new_v4().to_string();
        if self.ending == Ending::Apart {
            metadata.0.insert(IDENTITY.to_owned(), identity.clone());
        }
        let put = self
            .bucket
            .put_if(&self.object, content, &condition, metadata);
        let etag = put.await?;
        self.identity = identity;
        Ok(etag)
    }

    /// The condition that nobody else has gone on with the upload.
    pub(super) fn untouched(&self) -> Condition {
        match &self.stored {
            Stored::Nothing => Condition::Absent,
            Stored::Content(stored) | Stored::Large(stored) | Stored::Notes(stored) => {
                Condition::Is(stored.etag.clone())
            }
        }
    }
}
