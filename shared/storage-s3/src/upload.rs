//! Uploads: parts as bytes come, and one object that tells another process how to go on.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use roadstead_storage::{Apart, Error, Key, Upload};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::bucket::{Bucket, Condition, Metadata, Part};
use crate::claims::{Claim, Claims, Committed};
use crate::config::{LARGEST_PART, MIB, MOST_PARTS, SMALLEST_PART};
use crate::error::{Failure, Kind};
use crate::rename::{copy_parts, ranges_to_go_on_from};
use crate::session::{IDENTITY, Multipart, Notes, is_unfinished};

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
/// what is half a part or more, and keeps less than that in an object of its own.
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
    /// What the object there can be told by; empty when its bytes are not known here.
    identity: String,
    /// The object apart that another `Upload` joined from the parts, of which nobody learnt.
    joined: Option<Joined>,
    /// The multipart upload, and those of its parts that have arrived.
    multipart: Option<Multipart>,
    parts: BTreeMap<usize, Part>,
    next_part: usize,
    on_the_way: JoinSet<Result<(usize, Part), Failure>>,
    /// How many bytes are in parts, those on the way as well, or in a large object.
    sent: u64,
    /// The bytes after those.
    buffer: Vec<u8>,
    /// Whether there cannot be a multipart upload besides.
    settled: bool,
    /// Whether an operation has not come to its end.
    doubtful: bool,
}

/// Where the content will lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// At the upload's key.
    AtItsKey,
    /// At a key beside it that is written once.
    Apart,
}

/// Content apart.
#[derive(Clone, Debug)]
struct Joined {
    key: Key,
    content: Committed,
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
    /// Something that is of no more use.
    Remains(String),
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
            joined: None,
            multipart: None,
            parts: BTreeMap::new(),
            next_part: 1,
            on_the_way: JoinSet::new(),
            sent: 0,
            buffer: Vec::new(),
            settled: true,
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
        self.buffer = fetch(body, size).await?;
        let unreadable = || Failure::found("resuming", "unreadable notes");
        let notes = Notes::of(&head.metadata).ok_or_else(unreadable)?;
        if !notes.are_before() && !self.resume_multipart(&notes).await? {
            if self.resume_joined(&notes, &etag).await? {
                return Ok(());
            }
            tracing::warn!(upload = %self.key, "its multipart upload is gone: it begins anew");
            self.buffer.clear();
            self.stored = Stored::Remains(etag);
            return Ok(());
        }
        let size = self.size();
        self.stored = Stored::Notes(Committed { etag, size });
        Ok(())
    }

    /// Goes on with the multipart upload of `notes`; `false` when it is gone.
    async fn resume_multipart(&mut self, notes: &Notes) -> Result<bool, Failure> {
        let (object, id) = (self.content_object(&notes.multipart)?, &notes.multipart.id);
        let parts = match self.bucket.parts(&object, id, notes.parts).await {
            Err(failure) if failure.kind == Kind::NoUpload => return Ok(false),
            parts => parts?,
        };
        if !notes.are_about(&parts) {
            let why = "other parts than were noted: two registries have changed this upload";
            return Err(Failure::found("resuming", why));
        }
        self.sent = notes.parts_size;
        self.next_part = parts.len() + 1;
        self.parts = (1..).zip(parts).collect();
        self.multipart = Some(notes.multipart.clone());
        Ok(true)
    }

    /// Goes on from the object apart that the parts of `notes` were joined to; `false` when there
    /// is none. With which bytes is not known here.
    async fn resume_joined(&mut self, notes: &Notes, etag: &str) -> Result<bool, Failure> {
        if self.ending != Ending::Apart {
            return Ok(false);
        }
        let key = self.beside(&notes.multipart.session)?;
        let head = match self.bucket.head(&self.bucket.object(&key)).await {
            Err(failure) if failure.kind == Kind::Bare404 => return Ok(false),
            head => head?,
        };
        let (size, etag) = (head.stat.size, etag.to_owned());
        self.buffer.clear();
        self.sent = size;
        self.identity = String::new();
        self.stored = Stored::Notes(Committed { etag, size });
        let content = Committed {
            etag: head.etag,
            size,
        };
        self.joined = Some(Joined { key, content });
        Ok(true)
    }

    /// The key beside the upload's with this name.
    fn beside(&self, name: &str) -> Result<Key, Failure> {
        let parent = self.key.parent().unwrap_or_else(Key::root);
        parent
            .join(name)
            .map_err(|error| Failure::found("naming an object", error))
    }

    /// The object that a multipart upload becomes.
    fn content_object(&self, multipart: &Multipart) -> Result<String, Failure> {
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

    fn end(&mut self, outcome: Result<(), Failure>) -> Result<(), Error> {
        self.doubtful = outcome.is_err();
        outcome.map_err(|failure| match failure.kind {
            Kind::Condition | Kind::Race => Error::Busy(self.key.to_string()),
            // Another process has joined the parts.
            Kind::NoUpload if self.ending == Ending::Apart => Error::Busy(self.key.to_string()),
            _ => failure.outage(),
        })
    }

    async fn take_in(&mut self, chunks: &[Bytes]) -> Result<(), Failure> {
        for chunk in chunks {
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
        let (bucket, object) = (Arc::clone(&self.bucket), self.content_object(&multipart)?);
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

    /// The multipart upload, which is begun if need be.
    async fn begun_multipart(&mut self) -> Result<Multipart, Failure> {
        if let Some(multipart) = &self.multipart {
            return Ok(multipart.clone());
        }
        let session = Uuid::new_v4().to_string();
        self.announce_multipart(&session).await?;
        let metadata = Multipart::metadata(&session);
        let mut multipart = Multipart {
            id: String::new(),
            session,
        };
        let object = self.content_object(&multipart)?;
        multipart.id = self.bucket.create_multipart(&object, &metadata).await?;
        self.multipart = Some(multipart.clone());
        if let Some((from, stored)) = self.large() {
            let to = (object.as_str(), multipart.id.as_str());
            let part = self.bucket.config.copy_chunk_size;
            let part = part_size(part, stored.size) as u64;
            let ranges = ranges_to_go_on_from(stored.size, part);
            let from = (from.as_str(), stored.etag.as_str());
            let parts = copy_parts(&self.bucket, from, ranges, to).await?;
            self.joined = None;
            self.next_part = parts.len() + 1;
            self.parts = (1..).zip(parts).collect();
        }
        Ok(multipart)
    }

    /// The object that has the first bytes, all that were there when the upload was resumed.
    fn large(&self) -> Option<(String, Committed)> {
        match (&self.joined, &self.stored) {
            (Some(joined), _) => Some((self.bucket.object(&joined.key), joined.content.clone())),
            (None, Stored::Large(stored)) => Some((self.object.clone(), stored.clone())),
            (None, _) => None,
        }
    }

    /// Notes that there will be a multipart upload. Should the process end before its id is
    /// noted, then whoever deletes the upload looks for it.
    async fn announce_multipart(&mut self, session: &str) -> Result<(), Failure> {
        self.settled = false;
        if self.ending == Ending::Apart {
            // It is found by its age.
            return Ok(());
        }
        let size = match &self.stored {
            Stored::Nothing => 0,
            Stored::Content(content) => content.size,
            // It is announced, or looked for in any case.
            Stored::Large(_) | Stored::Notes(_) | Stored::Remains(_) => return Ok(()),
        };
        let synced = &self.buffer[..usize::try_from(size).unwrap_or(usize::MAX)];
        let (synced, notes) = (Bytes::copy_from_slice(synced), Notes::before(session));
        let etag = self.put(synced, notes.metadata()).await?;
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
            Stored::Remains(etag) => Condition::Is(etag.clone()),
            Stored::Content(stored) | Stored::Large(stored) | Stored::Notes(stored) => {
                Condition::Is(stored.etag.clone())
            }
        }
    }

    async fn store(&mut self) -> Result<(), Failure> {
        let size = self.size();
        match &self.joined {
            Some(joined) if joined.content.size == size => return Ok(()),
            Some(_) => drop(self.begun_multipart().await?),
            None => {}
        }
        match &self.stored {
            Stored::Content(stored) | Stored::Large(stored) | Stored::Notes(stored)
                if stored.size == size =>
            {
                return Ok(());
            }
            Stored::Large(_) => drop(self.begun_multipart().await?),
            _ => {}
        }
        let Some(multipart) = self.multipart.clone() else {
            let content = Bytes::copy_from_slice(&self.buffer);
            let etag = self.put(content, Metadata::default()).await?;
            self.stored = Stored::Content(Committed { etag, size });
            return Ok(());
        };
        if self.buffer.len() >= least_part(self.part_size(), self.next_part) {
            self.send_part().await?;
        }
        let notes = Notes::new(&multipart, &self.arrived_parts().await?);
        let rest = Bytes::copy_from_slice(&self.buffer);
        let etag = self.put(rest, notes.metadata()).await?;
        self.stored = Stored::Notes(Committed { etag, size });
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
            Some(multipart) => {
                let untouched = self.untouched();
                let condition = self.bucket.within_means(untouched).await?;
                self.complete(&multipart, condition).await?.0
            }
            None => {
                let content = Bytes::from(std::mem::take(&mut self.buffer));
                self.sent = size;
                self.put(content, Metadata::default()).await?
            }
        };
        let committed = Committed { etag, size };
        self.claim.commit(committed.clone(), self.settled);
        self.forget_all();
        self.sent = size;
        self.stored = Stored::Large(committed);
        Ok(())
    }

    async fn finish_apart(&mut self) -> Result<Apart, Failure> {
        if self.ending != Ending::Apart {
            let why = "the upload was opened to end at its own key";
            return Err(Failure::found("committing apart", why));
        }
        let size = self.size();
        match &self.joined {
            Some(joined) if joined.content.size == size => {
                return Ok(Apart {
                    key: joined.key.clone(),
                    is_certain: true,
                });
            }
            Some(_) => drop(self.begun_multipart().await?),
            None => {}
        }
        let apart = match self.multipart.clone() {
            Some(multipart) => {
                let (_, is_certain) = self.complete(&multipart, Condition::Any).await?;
                let key = self.beside(&multipart.session)?;
                Apart { key, is_certain }
            }
            None => {
                let key = self.beside(&Uuid::new_v4().to_string())?;
                let object = self.bucket.object(&key);
                let content = Bytes::from(std::mem::take(&mut self.buffer));
                let metadata = Metadata::default();
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

    /// Joins all parts; the `ETag` of the object, and whether it is sure that these are the parts
    /// it was joined from.
    async fn complete(
        &mut self,
        multipart: &Multipart,
        mut condition: Condition,
    ) -> Result<(String, bool), Failure> {
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        let parts = self.arrived_parts().await?;
        let object = self.content_object(multipart)?;
        let mut races = RACES;
        loop {
            let complete = self
                .bucket
                .complete(&object, &multipart.id, &parts, &condition);
            let failure = match complete.await {
                Ok(etag) => return Ok((etag, true)),
                Err(failure) => failure,
            };
            match failure.kind {
                Kind::Race if races > 0 => races -= 1,
                Kind::Unknown if condition != Condition::Any => condition = Condition::Any,
                // The answer to the same request, sent before, may have been lost.
                Kind::NoUpload | Kind::Condition | Kind::NoObject => {
                    let head = self.bucket.head(&object).await;
                    return match head {
                        Ok(head) if multipart.became(&head) => Ok((head.etag, false)),
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
            let object = self.content_object(multipart)?;
            self.bucket.abort(&object, &multipart.id).await?;
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
        self.end(outcome)
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.begin()?;
        let outcome = self.store().await;
        self.end(outcome)
    }

    async fn commit(&mut self) -> Result<(), Error> {
        self.begin()?;
        let outcome = self.finish().await;
        self.end(outcome)
    }

    async fn commit_apart(&mut self) -> Result<Apart, Error> {
        self.begin()?;
        match self.finish_apart().await {
            Ok(apart) => self.end(Ok(())).map(|()| apart),
            Err(failure) => Err(match self.end(Err(failure)) {
                Err(error) => error,
                Ok(()) => Error::Busy(self.key.to_string()),
            }),
        }
    }

    fn identity(&self) -> Option<String> {
        Some(self.identity.clone())
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        let outcome = self.discard().await;
        self.end(outcome)
    }
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
