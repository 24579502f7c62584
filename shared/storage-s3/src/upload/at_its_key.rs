//! The end of an upload at its key, or at the one where its content belongs.

use bytes::Bytes;
use roadstead_storage::{Key, Upload};

use super::{S3Upload, Stored};
use crate::bucket::{Condition, Metadata};
use crate::claims::Committed;
use crate::error::{Failure, Kind};
use crate::rename::copy;

impl S3Upload {
    pub(super) async fn finish(&mut self) -> Result<(), Failure> {
        let size = self.size();
        match &self.stored {
            Stored::Content(stored) | Stored::Large(stored) if stored.size == size => {
                self.claim.commit(stored.clone(), self.settled);
                return Ok(());
            }
            Stored::Large(_) => drop(self.begun_multipart().await?),
            _ => {}
        }
        let etag = match self.multipart.clone() {
            Some(multipart) => self.complete(&multipart).await?.etag,
            None => {
                let content = Bytes::from(std::mem::take(&mut self.buffer));
                self.sent = size;
                let lasting = self.notes_with(None);
                let metadata = Metadata::default().with_notes(lasting.as_ref());
                self.put(content, metadata).await?
            }
        };
        let committed = Committed { etag, size };
        self.claim.commit(committed.clone(), self.settled);
        self.forget_all();
        self.sent = size;
        self.stored = Stored::Large(committed);
        Ok(())
    }

    /// What is whole in memory goes where it belongs by one call. Its object at its own key is
    /// left alone, and none of the bytes of whoever goes on with it comes into this.
    pub(super) async fn finish_as(&mut self, to: &Key) -> Result<(), Failure> {
        let object = self.bucket.object(to);
        let size = self.size();
        if self.multipart.is_none() && self.sent == 0 {
            let content = Bytes::copy_from_slice(&self.buffer);
            let metadata = Metadata::default();
            let put = self
                .bucket
                .put(&object, content, &Condition::Any, &metadata);
            put.await?;
            return Ok(());
        }
        self.finish().await?;
        match &self.stored {
            Stored::Content(source) | Stored::Large(source) if source.size == size => {
                let copied = copy(&self.bucket, &self.object, source, &object).await;
                // Then another process has ended the upload.
                copied.map_err(|failure| match failure.kind {
                    Kind::NoObject => failure.into_condition(),
                    _ => failure,
                })
            }
            _ => Err(Failure::found("committing", "the upload is not whole")),
        }
    }
}
