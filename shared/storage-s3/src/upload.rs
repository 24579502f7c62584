//! Uploads: parts as bytes come, and one object that tells another process how to go on.

mod apart;
mod at_its_key;
mod join;
mod part;
mod recall;
mod resume;
mod sync;

pub(crate) use resume::fetch;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_storage::{Apart, Error, Key, MEMO_LENGTH, Upload, UploadNotes};
use tokio::task::JoinSet;

use crate::bucket::{Bucket, Part};
use crate::claims::{Claim, Claims, Committed};
use crate::delete::abort_uploads_of;
use crate::error::{Failure, Kind};
use crate::session::Multipart;

/// How many parts of an upload are on the way to the store while the next one fills.
const PARALLEL: usize = 2;

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
    /// Whether it is what a memo says, without its bytes.
    is_recalled: bool,
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
        let mut upload = Self::new(bucket, claims.claim(key)?, key, ending);
        upload.resume().await.map_err(Failure::outage)?;
        Ok(upload)
    }

    /// One of which there is nothing.
    fn new(bucket: &Arc<Bucket>, claim: Claim, key: &Key, ending: Ending) -> Self {
        Self {
            bucket: Arc::clone(bucket),
            claim,
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
            is_recalled: false,
        }
    }

    /// What is noted on the upload, with this on its bytes; `None` for one without notes.
    fn notes_with(&self, bytes: Option<String>) -> Option<UploadNotes> {
        self.notes.as_ref().map(|notes| UploadNotes {
            upload: notes.upload.clone(),
            bytes,
        })
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
        if self.is_recalled && failure.kind != Kind::Outage {
            return Err(Error::Busy(self.key.to_string()));
        }
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

    async fn memo(&self) -> Option<String> {
        let memo = self.synced()?.memo();
        let sealed = self.bucket.sealed(&self.key, &memo).await;
        sealed.filter(|memo| memo.len() <= MEMO_LENGTH)
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
