//! Finding out what there is of an upload, and what to do when it is gone.

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use roadstead_storage::Upload;

use super::{S3Upload, Stored};
use crate::bucket::{Condition, Head, Metadata};
use crate::claims::Committed;
use crate::error::{Failure, Kind};
use crate::session::{IDENTITY, Notes, is_unfinished, users_notes};

impl S3Upload {
    /// Finds out from the store what there is.
    pub(super) async fn resume(&mut self) -> Result<(), Failure> {
        let (head, body) = match self.bucket.get(&self.object, None, None).await {
            Err(failure) if failure.kind == Kind::NoObject => return Ok(()),
            answer => answer?,
        };
        let (etag, size) = (head.etag.clone(), head.stat.size);
        self.identity = head.metadata.get(IDENTITY).cloned().unwrap_or_default();
        self.notes = users_notes(&head);
        self.note = self.notes.as_ref().and_then(|notes| notes.bytes.clone());
        if !is_unfinished(&head) {
            let committed = Committed { etag, size };
            if size > self.bucket.config.chunk_size {
                self.settled = false;
                self.sent = size;
                self.stored = Stored::Large(committed);
                return Ok(());
            }
            self.buffer = fetch(body, size).await?;
            self.stored = Stored::Content(committed);
            return Ok(());
        }
        self.settled = false;
        let unreadable = || Failure::found("resuming", "unreadable notes");
        let notes = Notes::of(&head.metadata).ok_or_else(unreadable)?;
        let mut content = fetch(body, size).await?;
        let parts = notes.split(&mut content).ok_or_else(unreadable)?;
        self.buffer = content;
        self.has_stray = notes.are_before();
        if !notes.are_before() {
            self.sent = notes.parts_size;
            self.next_part = parts.before.len() + 1;
            self.parts = (1..).zip(parts.before).collect();
            self.last = parts.last;
            self.multipart = Some(notes.multipart);
        }
        let size = self.size();
        self.stored = Stored::Notes(Committed { etag, size });
        Ok(())
    }

    /// Forgets all bytes, since those in parts are gone: a rule of the bucket may have aborted the
    /// multipart upload. Whoever opens the upload next finds none.
    pub(super) async fn begin_anew(&mut self) {
        let is_same = |head: Head| self.untouched() == Condition::Is(head.etag);
        if !self.bucket.head(&self.object).await.is_ok_and(is_same) {
            return;
        }
        tracing::warn!(upload = %self.key, "its multipart upload is gone: it begins anew");
        let notes = self.notes_with(None);
        let metadata = Metadata::default().with_notes(notes.as_ref());
        if let Err(error) = self.put(Bytes::new(), metadata).await {
            tracing::warn!(upload = %self.key, %error, "it cannot begin anew yet");
        }
    }
}

/// All of a body of `size` bytes.
pub(crate) async fn fetch(mut body: ByteStream, size: u64) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| Failure::found("GetObject", error))?;
        all.extend_from_slice(&chunk);
    }
    match all.len() as u64 == size {
        true => Ok(all),
        false => Err(Failure::found("GetObject", "the body ended early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_of_another_size_is_not_gone_on_with() {
        let body = || ByteStream::from_static(b"content");
        assert_eq!(fetch(body(), 7).await.unwrap(), b"content");
        fetch(body(), 8).await.unwrap_err();
        fetch(body(), 6).await.unwrap_err();
    }
}
