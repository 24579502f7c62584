//! Uploads: parts as bytes come, and one object that tells another process how to go on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use roadstead_storage::{Apart, Error, Key, Upload, UploadNotes};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::bucket::{Bucket, Condition, Head, Metadata, Part};
use crate::claims::{Claim, Claims, Committed};
use crate::config::{LARGEST_PART, MIB, MOST_PARTS, SMALLEST_PART};
use crate::delete::abort_uploads_of;
use crate::error::{Failure, Kind};
use crate::rename::{copy, copy_parts, ranges_to_go_on_from};
use crate::session::{IDENTITY, Multipart, Notes, Parts, is_unfinished, users_notes};

/// How many parts of an upload are on the way to the store while the next one fills.
const PARALLEL: usize = 2;

/// How often joining the parts is begun again when another request came between.
const RACES: usize = 10;

/// An upload in the hands of this process.
///
/// Memory: one part that fills and up to [`PARALLEL`] on the way, 30 MiB with Distribution's
/// `chunksize` of 10 MiB. Beyond a thousand parts' worth of bytes, 10 GiB with it, a part is a
/// thousandth of what has come: S3 takes 10,000 parts, and those last for any object it takes. Up
/// to there all parts but the last have the same size, unless syncs come between; a sync sends
/// what is half a part or more, and keeps less than that in an object of its own. Once there are
/// parts it sends that as well, as the last one should nothing come after it: who commits next
/// finds every part there.
///
/// What was appended after the last sync is lost when it is dropped. After a failure, or when
/// the future of an operation was dropped, every further operation fails; another `Upload` of the
/// key goes on from the last sync.
///
/// Of an upload that ends apart ([`Ending::Apart`]) the content lies at a key of its own. Its
/// multipart upload is one of an object beside, whose name is made up when it begins: S3 makes
/// that object once, when the parts are joined, whoever does it. Without a multipart upload the
/// whole content is one object with a name that is made up then. Nobody writes to either name
/// again, whatever conditions the store honours.
///
/// S3 has no locks: only within this process is a key ever [`Error::Busy`] when it is opened. Of
/// two processes that go on with an upload at the same time, the first to sync or commit wins and
/// the other is told `Busy` then, as each of them writes its object only over the one it began
/// with. In a store that ignores such conditions the last one wins.
pub(crate) struct S3Upload {
    bucket: Arc<Bucket>,
    claim: Claim,
    key: Key,
    object: String,
    ending: Ending,
    /// What lies at the key, as it was seen or written last.
    stored: Stored,
    /// What the object there can be told by, of an upload that ends apart.
    identity: String,
    /// The multipart upload, and those of its parts that have arrived.
    multipart: Option<Multipart>,
    parts: BTreeMap<usize, Part>,
    next_part: usize,
    on_the_way: JoinSet<Result<(usize, Part), Failure>>,
    /// How many bytes are in parts, those on the way as well, or in a large object.
    sent: u64,
    /// The bytes after those.
    buffer: Vec<u8>,
    /// All bytes of `buffer` as the part after the others, if it was sent as that.
    last: Option<Part>,
    /// What was noted with what lies at the key.
    notes: Option<UploadNotes>,
    /// What is to be noted on the bytes.
    note: Option<String>,
    /// Whether there cannot be a multipart upload besides.
    settled: bool,
    /// Whether a process has announced a multipart upload, and not lived to note its id.
    has_stray: bool,
    /// Whether an operation has not come to its end.
    doubtful: bool,
}

/// Where the content will lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// At the upload's key, or wherever the upload is committed to.
    AtItsKey,
    /// At a key beside it that is written once.
    Apart,
}

/// What lies at the key of an upload.
#[derive(Clone, Debug)]
enum Stored {
    /// Nothing.
    Nothing,
    /// The whole content that the upload had at this size.
    Content(Committed),
    /// The same, and too much of it to be fetched: it was committed before, and not moved.
    Large(Committed),
    /// Notes, and the bytes that no part has; the size is that of the whole upload.
    Notes(Committed),
}

impl S3Upload {
    pub(crate) async fn open(
        bucket: &Arc<Bucket>,
        claims: &Claims,
        key: &Key,
        ending: Ending,
    ) -> Result<Self, Error> {
        if *key == Key::root() {
            return Err(Error::InvalidKey(key.to_string()));
        }
        let mut upload = Self {
            bucket: Arc::clone(bucket),
            claim: claims.claim(key)?,
            key: key.clone(),
            object: bucket.object(key),
            ending,
            stored: Stored::Nothing,
            identity: String::new(),
            multipart: None,
            parts: BTreeMap::new(),
            next_part: 1,
            on_the_way: JoinSet::new(),
            sent: 0,
            buffer: Vec::new(),
            last: None,
            notes: None,
            note: None,
            settled: true,
            has_stray: false,
            doubtful: false,
        };
        upload.resume().await.map_err(Failure::outage)?;
        Ok(upload)
    }

    /// Finds out from the store what there is.
    async fn resume(&mut self) -> Result<(), Failure> {
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

    /// What is noted on the upload, with this on its bytes; `None` for one without notes.
    fn notes_with(&self, bytes: Option<String>) -> Option<UploadNotes> {
        self.notes.as_ref().map(|notes| UploadNotes {
            upload: notes.upload.clone(),
            bytes,
        })
    }

    /// The key beside the upload's with this name.
    fn beside(&self, name: &str) -> Result<Key, Failure> {
        let parent = self.key.parent().unwrap_or_else(Key::root);
        let key = parent.join(name);
        key.map_err(|error| Failure::found("naming an object", error))
    }

    /// The object that a multipart upload becomes.
    fn becoming(&self, multipart: &Multipart) -> Result<String, Failure> {
        match self.ending {
            Ending::AtItsKey => Ok(self.object.clone()),
            Ending::Apart => Ok(self.bucket.object(&self.beside(&multipart.session)?)),
        }
    }

    /// Begins an operation. One that has not come to its end leaves nothing to rely on.
    fn begin(&mut self) -> Result<(), Error> {
        if self.doubtful {
            let why = "an operation on this upload failed or was abandoned";
            return Err(Failure::found("going on", why).outage());
        }
        self.doubtful = true;
        Ok(())
    }

    async fn end(&mut self, outcome: Result<(), Failure>) -> Result<(), Error> {
        self.doubtful = outcome.is_err();
        let Err(failure) = outcome else {
            return Ok(());
        };
        if failure.kind == Kind::NoUpload {
            if self.is_joined().await {
                return Err(Error::Busy(self.key.to_string()));
            }
            self.begin_anew().await;
        }
        Err(match failure.kind {
            Kind::Condition | Kind::Race => Error::Busy(self.key.to_string()),
            _ => failure.outage(),
        })
    }

    /// Whether another process has joined the parts of an upload that ends apart.
    async fn is_joined(&self) -> bool {
        let (Ending::Apart, Some(multipart)) = (self.ending, &self.multipart) else {
            return false;
        };
        match self.becoming(multipart) {
            Ok(object) => self.bucket.head(&object).await.is_ok(),
            Err(_) => false,
        }
    }

    /// Forgets all bytes, since those in parts are gone: a rule of the bucket may have aborted the
    /// multipart upload. Whoever opens the upload next finds none.
    async fn begin_anew(&mut self) {
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

    async fn take_in(&mut self, chunks: &[Bytes]) -> Result<(), Failure> {
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            self.last = None;
            self.note = None;
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let part = self.part_size();
                if self.buffer.len() >= part {
                    self.send_part().await?;
                    continue;
                }
                let (now, later) = rest.split_at(rest.len().min(part - self.buffer.len()));
                extend(&mut self.buffer, now, part);
                rest = later;
            }
        }
        Ok(())
    }

    /// How large the next part shall be, in bytes.
    fn part_size(&self) -> usize {
        part_size(self.bucket.config.chunk_size, self.sent)
    }

    /// Sends what has come as a part, without waiting for it to arrive.
    async fn send_part(&mut self) -> Result<(), Failure> {
        let multipart = self.begun_multipart().await?;
        while self.on_the_way.len() >= PARALLEL {
            self.one_arrived().await?;
        }
        let content = Bytes::from(std::mem::take(&mut self.buffer));
        let number = self.next_part;
        self.next_part += 1;
        self.sent += content.len() as u64;
        let (bucket, object) = (Arc::clone(&self.bucket), self.becoming(&multipart)?);
        self.on_the_way.spawn(async move {
            let part = bucket.put_part(&object, &multipart.id, number, content);
            Ok((number, part.await?))
        });
        Ok(())
    }

    async fn one_arrived(&mut self) -> Result<(), Failure> {
        if let Some(arrived) = self.on_the_way.join_next().await {
            let arrived = arrived.map_err(|panic| Failure::found("UploadPart", panic))?;
            let (number, part) = arrived?;
            self.parts.insert(number, part);
        }
        Ok(())
    }

    /// All parts, once they have arrived.
    async fn arrived_parts(&mut self) -> Result<Vec<Part>, Failure> {
        while !self.on_the_way.is_empty() {
            self.one_arrived().await?;
        }
        Ok(self.parts.values().cloned().collect())
    }

    /// Sends what has come beyond the parts as the last one, in case nothing comes after it; more
    /// bytes then go under its number.
    async fn send_last(&mut self) -> Result<(), Failure> {
        let Some(multipart) = &self.multipart else {
            return Ok(());
        };
        if self.buffer.is_empty() || self.last.is_some() {
            return Ok(());
        }
        let content = Bytes::copy_from_slice(&self.buffer);
        let (bucket, number) = (&self.bucket, self.next_part);
        let object = self.becoming(multipart)?;
        let part = bucket.put_part(&object, &multipart.id, number, content);
        self.last = Some(part.await?);
        Ok(())
    }

    /// The multipart upload, which is begun if need be.
    async fn begun_multipart(&mut self) -> Result<Multipart, Failure> {
        if let Some(multipart) = &self.multipart {
            return Ok(multipart.clone());
        }
        let session = Uuid::new_v4().to_string();
        self.announce_multipart(&session).await?;
        let lasting = self.notes_with(None);
        let metadata = Multipart::metadata(&session).with_notes(lasting.as_ref());
        let mut multipart = Multipart {
            id: String::new(),
            session,
        };
        let object = self.becoming(&multipart)?;
        multipart.id = self.bucket.create_multipart(&object, &metadata).await?;
        self.multipart = Some(multipart.clone());
        if let Stored::Large(stored) = &self.stored {
            let to = (object.as_str(), multipart.id.as_str());
            let part = self.bucket.config.copy_chunk_size;
            let part = part_size(part, stored.size) as u64;
            let ranges = ranges_to_go_on_from(stored.size, part);
            let from = (self.object.as_str(), stored.etag.as_str());
            let parts = copy_parts(&self.bucket, from, ranges, to).await?;
            self.next_part = parts.len() + 1;
            self.parts = (1..).zip(parts).collect();
        }
        Ok(multipart)
    }

    /// Notes that there will be a multipart upload. Should the process end before its id is
    /// noted, then whoever deletes the upload looks for it.
    ///
    /// An upload that ends apart is not looked for but found by its age.
    async fn announce_multipart(&mut self, session: &str) -> Result<(), Failure> {
        self.settled = false;
        if self.ending == Ending::Apart {
            return Ok(());
        }
        let size = match &self.stored {
            Stored::Nothing => 0,
            Stored::Content(content) => content.size,
            // It is announced, or looked for in any case.
            Stored::Large(_) | Stored::Notes(_) => return Ok(()),
        };
        let synced = &self.buffer[..usize::try_from(size).unwrap_or(usize::MAX)];
        let (synced, notes) = (Bytes::copy_from_slice(synced), Notes::before(session));
        let metadata = notes.metadata().with_notes(self.notes.as_ref());
        let etag = self.put(synced, metadata).await?;
        self.stored = Stored::Notes(Committed { etag, size });
        Ok(())
    }

    /// Replaces what lies at the key, if nobody else has done so.
    async fn put(&mut self, content: Bytes, mut metadata: Metadata) -> Result<String, Failure> {
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
    fn untouched(&self) -> Condition {
        match &self.stored {
            Stored::Nothing => Condition::Absent,
            Stored::Content(stored) | Stored::Large(stored) | Stored::Notes(stored) => {
                Condition::Is(stored.etag.clone())
            }
        }
    }

    async fn store(&mut self) -> Result<(), Failure> {
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

    async fn finish(&mut self) -> Result<(), Failure> {
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
    async fn finish_as(&mut self, to: &Key) -> Result<(), Failure> {
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

    async fn finish_apart(&mut self) -> Result<Apart, Failure> {
        if self.ending != Ending::Apart {
            let why = "the upload was opened to end at its own key";
            return Err(Failure::found("committing apart", why));
        }
        let size = self.size();
        let apart = match self.multipart.clone() {
            Some(multipart) => {
                let joined = self.complete(&multipart).await?;
                Apart {
                    key: self.beside(&multipart.session)?,
                    is_certain: joined.is_certain,
                }
            }
            None => {
                let key = self.beside(&Uuid::new_v4().to_string())?;
                let content = Bytes::from(std::mem::take(&mut self.buffer));
                let (object, metadata) = (self.bucket.object(&key), Metadata::default());
                let put = self
                    .bucket
                    .put(&object, content, &Condition::Any, &metadata);
                put.await?;
                Apart {
                    key,
                    is_certain: true,
                }
            }
        };
        self.forget_all();
        self.sent = size;
        Ok(apart)
    }

    /// Joins all parts.
    async fn complete(&mut self, multipart: &Multipart) -> Result<Joined, Failure> {
        if !self.buffer.is_empty() && self.last.is_none() {
            self.send_part().await?;
        }
        let mut parts = self.arrived_parts().await?;
        parts.extend(self.last.clone());
        let object = self.becoming(multipart)?;
        let mut condition = match self.ending {
            Ending::AtItsKey => self.bucket.within_means(self.untouched()).await?,
            Ending::Apart => Condition::Any,
        };
        let mut races = RACES;
        loop {
            let complete = self
                .bucket
                .complete(&object, &multipart.id, &parts, &condition);
            let failure = match complete.await {
                Ok(etag) => {
                    let is_certain = true;
                    return Ok(Joined { etag, is_certain });
                }
                Err(failure) => failure,
            };
            match failure.kind {
                Kind::Race if races > 0 => races -= 1,
                Kind::Unknown if condition != Condition::Any => condition = Condition::Any,
                // Another process has sent others after these, and did not come to note them.
                Kind::NoPart if self.last.take().is_some() => {
                    self.send_part().await?;
                    parts = self.arrived_parts().await?;
                }
                // The answer to the same request, sent before, may have been lost.
                Kind::NoUpload | Kind::Condition | Kind::NoObject => {
                    let head = self.bucket.head(&object).await;
                    return match head {
                        Ok(head) if multipart.became(&head) => Ok(Joined {
                            etag: head.etag,
                            is_certain: false,
                        }),
                        _ => Err(failure),
                    };
                }
                _ => return Err(failure),
            }
        }
    }

    async fn discard(&mut self) -> Result<(), Failure> {
        self.on_the_way.shutdown().await;
        if let Some(multipart) = &self.multipart {
            let object = self.becoming(multipart)?;
            self.bucket.abort(&object, &multipart.id).await?;
        }
        if self.has_stray {
            abort_uploads_of(&self.bucket, &self.object).await?;
        }
        if self.doubtful || !matches!(self.stored, Stored::Nothing) {
            self.bucket.delete(&self.object).await?;
        }
        self.forget_all();
        self.stored = Stored::Nothing;
        Ok(())
    }

    fn forget_all(&mut self) {
        self.multipart = None;
        self.parts.clear();
        self.next_part = 1;
        self.sent = 0;
        self.buffer = Vec::new();
        self.last = None;
    }
}

#[async_trait]
impl Upload for S3Upload {
    fn size(&self) -> u64 {
        self.sent + self.buffer.len() as u64
    }

    /// Holds up to a part in memory, and [`PARALLEL`] on their way.
    async fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        self.begin()?;
        let outcome = self.take_in(chunks).await;
        self.end(outcome).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.begin()?;
        let outcome = self.store().await;
        self.end(outcome).await
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.begin()?;
        let outcome = self.finish().await;
        self.end(outcome).await
    }

    async fn commit_as(&mut self, to: &Key) -> Result<(), Error> {
        if *to == self.key {
            return self.commit().await;
        }
        self.begin()?;
        let outcome = self.finish_as(to).await;
        self.end(outcome).await
    }

    async fn commit_apart(&mut self) -> Result<Apart, Error> {
        self.begin()?;
        let (apart, outcome) = match self.finish_apart().await {
            Ok(apart) => (Some(apart), Ok(())),
            Err(failure) => (None, Err(failure)),
        };
        self.end(outcome).await?;
        apart.ok_or_else(|| Error::Busy(self.key.to_string()))
    }

    fn identity(&self) -> Option<String> {
        Some(self.identity.clone())
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        let outcome = self.discard().await;
        self.end(outcome).await
    }

    fn notes(&self) -> Option<&UploadNotes> {
        self.notes.as_ref()
    }

    fn note_bytes(&mut self, note: String) {
        self.note = Some(note);
    }
}

/// What parts have become.
struct Joined {
    etag: String,
    /// Whether it was from these parts for sure.
    is_certain: bool,
}

impl fmt::Debug for S3Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Upload")
            .field("key", &self.key)
            .field("sent", &self.sent)
            .field("buffered", &self.buffer.len())
            .finish_non_exhaustive()
    }
}

/// All of a body of `size` bytes.
async fn fetch(mut body: ByteStream, size: u64) -> Result<Vec<u8>, Failure> {
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

/// Appends without ever taking much more memory than `most` bytes.
fn extend(buffer: &mut Vec<u8>, chunk: &[u8], most: usize) {
    let needed = buffer.len() + chunk.len();
    if needed > buffer.capacity() {
        let roomy = (buffer.capacity() * 2).min(most).max(needed);
        buffer.reserve_exact(roomy - buffer.len());
    }
    buffer.extend_from_slice(chunk);
}

/// How large the part after `sent` bytes is: the chunk size, and from a thousand of these on a
/// thousandth of what was sent, in whole MiB.
fn part_size(chunk_size: u64, sent: u64) -> usize {
    let grown = (sent / 1000).next_multiple_of(MIB);
    let size = chunk_size.max(grown).min(LARGEST_PART);
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// How many bytes are sent as a part at a sync, though more may come: half a part of `part_size`
/// bytes, and a whole one once half of the parts that S3 takes are used up.
fn least_part(part_size: usize, number: usize) -> usize {
    match number as u64 <= MOST_PARTS / 2 {
        true => (part_size / 2).max(SMALLEST_PART as usize),
        false => part_size,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIB: u64 = 1024 * 1024 * MIB;

    /// How many parts an upload of the largest object has, when syncs come whenever `buffered`
    /// says so: it is told the least and the most that the next part may have.
    fn parts_of(chunk_size: u64, mut buffered: impl FnMut(usize, usize) -> usize) -> usize {
        let (mut sent, mut number) = (0, 1);
        while sent < 5 * TIB {
            let most = part_size(chunk_size, sent);
            let size = buffered(least_part(most, number), most) as u64;
            assert!((SMALLEST_PART..=LARGEST_PART).contains(&size), "{size}");
            sent += size;
            number += 1;
        }
        number - 1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn ten_thousand_parts_are_enough_however_an_upload_comes(
            chunk_size in SMALLEST_PART..=256 * MIB,
            mut state in any::<u64>(),
        ) {
            let mut anything = |least: usize, most: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                least + (state >> 33) as usize % (most - least + 1)
            };
            let parts = parts_of(chunk_size, &mut anything);
            assert!(parts as u64 <= MOST_PARTS, "{parts} parts");
            let parts = parts_of(chunk_size, |least, _| least);
            assert!(parts as u64 <= MOST_PARTS, "{parts} parts at the least");
        }
    }

    #[test]
    fn parts_are_of_the_same_size_until_they_grow() {
        assert_eq!(part_size(10 * MIB, 0) as u64, 10 * MIB);
        assert_eq!(part_size(10 * MIB, 9999 * MIB) as u64, 10 * MIB);
        assert_eq!(part_size(10 * MIB, 100 * 1024 * MIB) as u64, 103 * MIB);
    }

    #[test]
    fn a_buffer_takes_no_more_than_a_part() {
        let mut buffer = Vec::new();
        for _ in 0..1000 {
            extend(&mut buffer, &[0; 1000], 1_000_000);
        }
        assert_eq!(buffer.len(), 1_000_000);
        assert_eq!(buffer.capacity(), 1_000_000);
    }
}
