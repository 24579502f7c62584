//! The contract of a back end for bytes.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{Content, DriverExt, Error, Key, UrlSigner};

/// A back end that keeps bytes under keys. Directories (prefixes) come into being with the first
/// key below them.
///
/// Every operation may fail with [`Error::Unavailable`]; a back end that cannot be reached never
/// answers [`Error::NotFound`].
///
/// Whatever stands in front of a driver or an upload hands on every method, also those that have
/// a default here; `#[warn(clippy::missing_trait_methods)]` on its `impl` sees to that.
#[async_trait]
pub trait Driver: fmt::Debug + Send + Sync + 'static {
    /// The name of the driver as the configuration spells it, for example `filesystem`.
    fn name(&self) -> &'static str;

    /// What lies at `key`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is neither content nor anything below the key. The root is
    /// always there, and so is an empty directory of a back end that has directories.
    async fn stat(&self, key: &Key) -> Result<Stat, Error>;

    /// Opens the content at `key` for reading `range`.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] for no content (a mere prefix is no content);
    /// [`Error::OutOfRange`] when the range begins at or beyond the end and is not empty content
    /// read whole.
    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error>;

    /// Performs `writes` in their order. On return all of them are durable: a crash afterwards
    /// loses none. Each appears at once and whole, never half written. When the call fails or
    /// the machine stops in between, the first few may have taken effect and the others not.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] when a [`WriteMode::CreateNew`] write finds content; it and those after
    /// it do not take effect.
    async fn write(&self, writes: &[Write]) -> Result<(), Error>;

    /// Opens the upload that lies at `key`, or begins one there: from the key alone, in any
    /// process. Its content so far is readable at `key` or not, as the driver likes.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] while another `Upload` of the same key is alive.
    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error>;

    /// Like [`Driver::upload`], for an upload that will end by [`Upload::commit_apart`]. All who
    /// open an upload open it the same way.
    async fn upload_apart(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        self.upload(key).await
    }

    /// Moves content, durably and at once; content at `to` is replaced. `from` is content that
    /// was written, or an upload that was committed.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is no content at `from`.
    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error>;

    /// Deletes the content at `key` and all below it; a sibling whose name merely begins alike
    /// stays. Whole again after a failure by calling again.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is nothing to delete.
    async fn delete(&self, key: &Key) -> Result<(), Error>;

    /// The names directly below `prefix`, in the order of their bytes, those after
    /// `options.after` only and at most `options.limit` of them. Names that are not keys, and
    /// the driver's own temporary files, are left out.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] when there is nothing below `prefix`. The root is always there, and a
    /// back end that has directories answers for an empty one with no names.
    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error>;

    /// Deletes the content at `key`, and nothing below it, if it still is what `seen` says;
    /// `false` when it is gone or was written again. As exact as the back end can make it: one
    /// that has no such operation looks and deletes, and what is written between goes as well.
    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        match self.try_stat(key).await? {
            Some(stat) if stat == *seen => self.try_delete(key).await,
            _ => Ok(false),
        }
    }

    /// Waits for the turn called `name`, one component of a key, as [`Share`] says, and takes it
    /// until what is returned is dropped: against all other processes on the same store, and
    /// against this one. `None` in a back end without locks.
    async fn turn(&self, name: &str, share: Share) -> Result<Option<Turn>, Error> {
        let _nobody_waits = (name, share);
        Ok(None)
    }

    /// Gives up what was begun below `prefix` before `since`, is no content yet and has no key of
    /// its own: parts of multipart uploads in an object store. How many there were; none in a
    /// back end that keeps everything under keys.
    ///
    /// Whoever still goes on with one of them loses it, so `since` has to be before anything that
    /// may be under way.
    async fn abandon(&self, prefix: &Key, since: SystemTime) -> Result<usize, Error> {
        let _nothing = (prefix, since);
        Ok(0)
    }

    /// Whether directories are something of their own, which may be there without content, or be missing.
    fn has_directories(&self) -> bool {
        false
    }

    /// The driver's ability to keep notes with an upload, if it has it.
    fn noted_uploads(&self) -> Option<&dyn NotedUploads> {
        None
    }

    /// The driver's ability to let a client fetch content by itself, if it has it.
    fn signer(&self) -> Option<&dyn UrlSigner> {
        None
    }
}

/// How a turn is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// With others who take it so.
    Shared,
    /// Alone.
    Alone,
}

/// A turn, until it is dropped.
pub type Turn = Box<dyn Any + Send + Sync>;

/// What lies at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stat {
    /// Content.
    Content(ContentStat),
    /// Only keys below it.
    Prefix,
}

/// The size and age of content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentStat {
    /// Bytes.
    pub size: u64,
    /// When it was written last, by the back end's clock.
    pub modified: SystemTime,
}

/// Which bytes of the content to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    /// The first byte.
    pub offset: u64,
    /// At most how many bytes; `None` up to the end. A range that reaches beyond the end stops
    /// there.
    pub length: Option<u64>,
}

impl ByteRange {
    /// The whole content.
    pub const ALL: Self = Self {
        offset: 0,
        length: None,
    };

    /// The bytes of content of `size` bytes at `key` that this range stands for.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] as [`Driver::read`] has it.
    pub fn resolve(self, key: &Key, size: u64) -> Result<Range<u64>, Error> {
        if self.offset >= size && (self.offset, size) != (0, 0) {
            let key = key.to_string();
            return Err(Error::OutOfRange { key, size });
        }
        let length = self.length.unwrap_or(u64::MAX);
        Ok(self.offset..self.offset.saturating_add(length).min(size))
    }
}

/// Content opened for reading.
#[derive(Debug)]
pub struct Object {
    /// The whole content's size and age, whatever the range.
    pub stat: ContentStat,
    /// The bytes of the range.
    pub content: Content,
    /// Whether a driver of this kind has written the content with [`Driver::write`]; `false` where
    /// that cannot be told.
    pub is_own: bool,
}

/// One write of whole, small content.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// What.
    pub content: Bytes,
    /// Over what.
    pub mode: WriteMode,
}

/// What a write does with content that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// Replace it.
    Overwrite,
    /// Leave it, and fail with [`Error::Exists`].
    CreateNew,
}

/// Which names to list.
#[derive(Clone, Copy, Debug)]
pub struct ListOptions<'a> {
    /// Only names after this one, in the order of their bytes; it need not exist.
    pub after: Option<&'a str>,
    /// At most this many.
    pub limit: usize,
}

impl ListOptions<'_> {
    /// Every name.
    pub const ALL: Self = ListOptions {
        after: None,
        limit: usize::MAX,
    };
}

/// A name directly below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One component of a key.
    pub name: String,
    /// Whether content lies there, or only keys below it.
    pub kind: EntryKind,
}

/// What an [`Entry`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Content.
    Content,
    /// Keys below the name.
    Prefix,
}

/// Content that grows until it is committed. Dropping it keeps what was synced, and what was
/// appended after that as far as the driver has it.
#[async_trait]
pub trait Upload: fmt::Debug + Send + Sync {
    /// How many bytes the upload has, in bytes.
    fn size(&self) -> u64;

    /// Appends `chunks` in order at exactly [`Upload::size`]. The memory that a driver holds
    /// beyond this call is bounded and documented by it.
    async fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error>;

    /// Makes the bytes so far survive a crash and be found again by [`Driver::upload`].
    async fn sync(&mut self) -> Result<(), Error>;

    /// Ends the upload: its bytes become content at its key, durable on return. The key stays
    /// busy until this `Upload` is dropped: nobody else can append to what is renamed next.
    async fn commit(&mut self) -> Result<(), Error>;

    /// Ends the upload that was opened by [`Driver::upload_apart`]: its bytes become content,
    /// durable on return, at a key beside the upload's own, under the same prefix, to which
    /// nothing else is ever written: neither by another process that has hold of this upload, nor
    /// by one whose request is late. What lies at the upload's own key stays, so that another
    /// `Upload` can end it again should nobody learn of this one.
    ///
    /// The key may be the upload's own where a driver keeps other processes from it.
    async fn commit_apart(&mut self) -> Result<Apart, Error>;

    /// What the bytes that this upload began with, or has synced last, can be told from others
    /// by, of whatever process; `None` where no other process can have changed them meanwhile.
    fn identity(&self) -> Option<String>;

    /// Ends the upload: its bytes become content at `to`, in place of what is there, durable on
    /// return; also when it was committed before. What may be left at its own key then
    /// [`Upload::cancel`] deletes, and until that is done another `Upload` of the key may go on
    /// with it. The key stays busy until this `Upload` is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] or [`Error::Busy`] when another process has ended the upload or gone
    /// on with it.
    async fn commit_as(&mut self, to: &Key) -> Result<(), Error>;

    /// Ends the upload and deletes what lies at its own key, never what it was committed as or
    /// apart. The key stays busy until this `Upload` is dropped.
    async fn cancel(&mut self) -> Result<(), Error>;

    /// What was noted with the bytes that it had when it was opened or synced last; `None` for an
    /// upload that was not begun with [`NotedUploads::begin`].
    fn notes(&self) -> Option<&UploadNotes> {
        None
    }

    /// Notes something on the bytes so far: the next [`Upload::sync`] makes both durable or
    /// neither. Bytes that are appended drop it. Without effect where [`Upload::notes`] is `None`.
    fn note_bytes(&mut self, note: String) {
        let _nowhere = note;
    }

    /// All that whoever ends the upload would otherwise ask the store for: printable ASCII and
    /// line feeds, at most [`MEMO_LENGTH`] bytes, for [`NotedUploads::recall`] in any process. Of
    /// the bytes that were there when it was opened or synced last; `None` when others came since,
    /// when there is too much to say, and from a driver that says nothing.
    async fn memo(&self) -> Option<String> {
        None
    }
}

/// The most bytes of an [`Upload::memo`]. It has to fit into a URL, where it is half as long again,
/// and that into a header: nginx takes all headers of an answer together in 4 KiB
/// (`proxy_buffer_size`).
pub const MEMO_LENGTH: usize = 1024;

/// Uploads that carry notes: a little text that is stored by the same call as their bytes, so
/// that it costs no call and never disagrees with them.
#[async_trait]
pub trait NotedUploads: Send + Sync {
    /// Begins an upload at `key`, where nothing is yet, with a note on it: printable ASCII, at
    /// most 512 bytes. Durable on return.
    async fn begin(&self, key: &Key, note: &str) -> Result<(), Error>;

    /// The upload at `key` as an [`Upload::memo`] has it, without asking the store: for
    /// [`Upload::commit_as`] or [`Upload::commit`], and then [`Upload::cancel`]; it takes no bytes.
    /// `None` for what is no memo of this upload that this storage gave, and from a driver that
    /// makes none.
    ///
    /// The upload may have gone on or ended since. Committing then fails with [`Error::Busy`] and
    /// leaves the upload as it is; [`Driver::upload`] says how that is. It never makes content of
    /// other bytes than those that the memo is of.
    async fn recall(&self, key: &Key, memo: &str) -> Option<Box<dyn Upload>> {
        let _unknown = (key, memo);
        None
    }

    /// The notes of the upload at `key`; `None` when there is none, or one without notes.
    async fn notes(&self, key: &Key) -> Result<Option<UploadNotes>, Error>;
}

/// What is noted with an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadNotes {
    /// On the upload, since it was begun.
    pub upload: String,
    /// On exactly the bytes that it has: printable ASCII, at most 512 bytes.
    pub bytes: Option<String>,
}

/// Content that an upload has become apart from its own key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Where it lies.
    pub key: Key,
    /// Whether it has the bytes that this `Upload` took in for sure; otherwise another process
    /// may have ended the same upload with its own, and only reading them tells.
    pub is_certain: bool,
}
