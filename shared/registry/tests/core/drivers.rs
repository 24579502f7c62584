//! Drivers that make trouble.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_storage::{
    Apart, ByteRange, ContentStat, Driver, Entry, Error, Key, ListOptions, MemoryDriver,
    NotedUploads, Object, Share, Stat, Turn, Upload, UploadNotes, UrlSigner, Write,
};
use tokio::sync::{Notify, RwLock};

/// What happens around an operation of the store.
#[async_trait]
trait Trouble: std::fmt::Debug + Send + Sync + 'static {
    async fn before(&self) -> When;

    /// Between two writes of one operation.
    async fn between(&self) {}

    /// Before content is read, beside what comes before each operation.
    async fn reading(&self) {}
}

/// Whether, and at which point of it, an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Never,
    /// Nothing took effect.
    Before,
    /// Of several writes the first half took effect.
    Midway,
    /// It took effect, but nobody learns of that.
    After,
}

/// A store with trouble.
#[derive(Clone, Debug)]
pub(crate) struct Troubled {
    store: MemoryDriver,
    trouble: Arc<dyn Trouble>,
    /// What all processes have that are to wait for each other.
    turns: Option<Turns>,
}

/// Locks between processes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns(Arc<Mutex<HashMap<String, Arc<RwLock<()>>>>>);

impl Turns {
    async fn take(&self, name: &str, share: Share) -> Turn {
        let turn = Arc::clone(self.0.lock().unwrap().entry(name.to_owned()).or_default());
        match share {
            Share::Shared => Box::new(turn.read_owned().await),
            Share::Alone => Box::new(turn.write_owned().await),
        }
    }
}

/// None at all.
#[derive(Debug)]
struct Calm;

#[async_trait]
impl Trouble for Calm {
    async fn before(&self) -> When {
        When::Never
    }
}

/// Fails one operation.
#[derive(Debug)]
struct FailOnce {
    countdown: AtomicUsize,
    when: When,
}

#[async_trait]
impl Trouble for FailOnce {
    async fn before(&self) -> When {
        match self.countdown.fetch_sub(1, Ordering::Relaxed) {
            1 => self.when,
            _ => When::Never,
        }
    }
}

/// Lets others go first, now and then and for a while.
#[derive(Debug)]
struct Dawdle {
    random: AtomicU64,
}

#[async_trait]
impl Trouble for Dawdle {
    async fn before(&self) -> When {
        let step = |x: u64| {
            Some(
                x.wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407),
            )
        };
        let random = self
            .random
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, step);
        for _ in 0..(random.unwrap_or_default() >> 33) % 4 {
            tokio::task::yield_now().await;
        }
        When::Never
    }
}

/// Holds one operation up.
#[derive(Debug)]
pub(crate) struct Hold {
    countdown: AtomicUsize,
    arrived: Notify,
    released: Notify,
}

impl Hold {
    fn at(at: usize) -> Self {
        Self {
            countdown: AtomicUsize::new(at),
            arrived: Notify::new(),
            released: Notify::new(),
        }
    }

    /// Waits for the operation.
    pub(crate) async fn arrival(&self) {
        self.arrived.notified().await;
    }

    /// Lets the operation go on.
    pub(crate) fn release(&self) {
        self.released.notify_one();
    }
}

#[async_trait]
impl Trouble for Hold {
    async fn before(&self) -> When {
        if self.countdown.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.arrived.notify_one();
            self.released.notified().await;
        }
        When::Never
    }

    async fn between(&self) {
        self.before().await;
    }
}

/// Takes its time.
#[derive(Debug)]
struct Slow {
    /// For each operation.
    each: Duration,
    /// To read content, beside that.
    reading: Duration,
}

#[async_trait]
impl Trouble for Slow {
    async fn before(&self) -> When {
        tokio::time::sleep(self.each).await;
        When::Never
    }

    async fn reading(&self) {
        tokio::time::sleep(self.reading).await;
    }
}

/// Holds two operations up, one after the other.
#[derive(Debug)]
struct Both(Arc<Hold>, Arc<Hold>);

#[async_trait]
impl Trouble for Both {
    async fn before(&self) -> When {
        self.0.before().await;
        self.1.before().await
    }

    async fn between(&self) {
        self.before().await;
    }
}

impl Troubled {
    /// Every operation takes so long, and one that reads content so much longer.
    pub(crate) fn slow(store: &MemoryDriver, each: Duration, reading: Duration) -> Self {
        Self::new(store, Arc::new(Slow { each, reading }))
    }

    /// Holds two operations, as [`Troubled::holding`] does one.
    pub(crate) fn holding_both(store: &MemoryDriver, at: [usize; 2]) -> (Self, [Arc<Hold>; 2]) {
        let [first, second] = at.map(|at| Arc::new(Hold::at(at)));
        let both = Both(Arc::clone(&first), Arc::clone(&second));
        (Self::new(store, Arc::new(both)), [first, second])
    }

    /// Holds the operation number `at`, counted from 1, before it takes effect; each write is one.
    pub(crate) fn holding(store: &MemoryDriver, at: usize) -> (Self, Arc<Hold>) {
        let hold = Arc::new(Hold::at(at));
        (
            Self::new(store, Arc::clone(&hold) as Arc<dyn Trouble>),
            hold,
        )
    }

    /// Fails the operation number `at`, counted from 1.
    pub(crate) fn failing(store: &MemoryDriver, at: usize, when: When) -> Self {
        let countdown = AtomicUsize::new(at);
        Self::new(store, Arc::new(FailOnce { countdown, when }))
    }

    /// Every operation lasts as long as chance will have it, the same each time for one `seed`.
    pub(crate) fn dawdling(store: &MemoryDriver, seed: u64) -> Self {
        let random = AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self::new(store, Arc::new(Dawdle { random }))
    }

    /// Does what it is told.
    pub(crate) fn calm(store: &MemoryDriver) -> Self {
        Self::new(store, Arc::new(Calm))
    }

    /// A process that waits for others with the same `turns`.
    pub(crate) fn with_turns(self, turns: Option<&Turns>) -> Self {
        let turns = turns.cloned();
        Self { turns, ..self }
    }

    fn new(store: &MemoryDriver, trouble: Arc<dyn Trouble>) -> Self {
        Self {
            store: store.clone(),
            trouble,
            turns: None,
        }
    }
}

fn outage() -> Error {
    Error::Unavailable("the store is on fire".into())
}

/// Runs an operation with trouble around it.
async fn troubled<T>(
    trouble: &dyn Trouble,
    operation: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    match trouble.before().await {
        When::Never => operation.await,
        When::Before | When::Midway => Err(outage()),
        When::After => operation.await.and(Err(outage())),
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl Driver for Troubled {
    fn name(&self) -> &'static str {
        "troubled"
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        troubled(&*self.trouble, self.store.stat(key)).await
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        self.trouble.reading().await;
        troubled(&*self.trouble, self.store.read(key, range)).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        for (at, write) in writes.iter().enumerate() {
            let when = if at == 0 {
                self.trouble.before().await
            } else {
                self.trouble.between().await;
                When::Never
            };
            let whole = std::slice::from_ref(write);
            match when {
                When::Never => self.store.write(whole).await?,
                When::Before => return Err(outage()),
                When::Midway => {
                    self.store.write(&writes[..writes.len() / 2]).await?;
                    return Err(outage());
                }
                When::After => {
                    self.store.write(writes).await?;
                    return Err(outage());
                }
            }
        }
        Ok(())
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let upload = troubled(&*self.trouble, self.store.upload(key)).await?;
        let trouble = Arc::clone(&self.trouble);
        Ok(Box::new(TroubledUpload { upload, trouble }))
    }

    async fn upload_apart(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let upload = troubled(&*self.trouble, self.store.upload_apart(key)).await?;
        let trouble = Arc::clone(&self.trouble);
        Ok(Box::new(TroubledUpload { upload, trouble }))
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        troubled(&*self.trouble, self.store.rename(from, to)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        troubled(&*self.trouble, self.store.delete(key)).await
    }

    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        troubled(&*self.trouble, self.store.delete_if(key, seen)).await
    }

    async fn turn(&self, name: &str, share: Share) -> Result<Option<Turn>, Error> {
        match &self.turns {
            Some(turns) => Ok(Some(turns.take(name, share).await)),
            None => self.store.turn(name, share).await,
        }
    }

    async fn abandon(&self, prefix: &Key, since: SystemTime) -> Result<usize, Error> {
        troubled(&*self.trouble, self.store.abandon(prefix, since)).await
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        troubled(&*self.trouble, self.store.list(prefix, options)).await
    }

    fn has_directories(&self) -> bool {
        self.store.has_directories()
    }

    fn noted_uploads(&self) -> Option<&dyn NotedUploads> {
        let keeps_notes = self.store.noted_uploads().is_some();
        keeps_notes.then_some(self)
    }

    fn signer(&self) -> Option<&dyn UrlSigner> {
        self.store.signer()
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl NotedUploads for Troubled {
    async fn begin(&self, key: &Key, note: &str) -> Result<(), Error> {
        troubled(&*self.trouble, self.store.begin(key, note)).await
    }

    async fn recall(&self, key: &Key, memo: &str) -> Option<Box<dyn Upload>> {
        let upload = self.store.recall(key, memo).await?;
        let trouble = Arc::clone(&self.trouble);
        Some(Box::new(TroubledUpload { upload, trouble }))
    }

    async fn notes(&self, key: &Key) -> Result<Option<UploadNotes>, Error> {
        troubled(&*self.trouble, self.store.notes(key)).await
    }
}

#[derive(Debug)]
struct TroubledUpload {
    upload: Box<dyn Upload>,
    trouble: Arc<dyn Trouble>,
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl Upload for TroubledUpload {
    fn size(&self) -> u64 {
        self.upload.size()
    }

    async fn append(&mut self, chunks: &[Bytes]) -> Result<(), Error> {
        troubled(&*self.trouble, self.upload.append(chunks)).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        troubled(&*self.trouble, self.upload.sync()).await
    }

    async fn commit(&mut self) -> Result<(), Error> {
        troubled(&*self.trouble, self.upload.commit()).await
    }

    async fn commit_apart(&mut self) -> Result<Apart, Error> {
        troubled(&*self.trouble, self.upload.commit_apart()).await
    }

    fn identity(&self) -> Option<String> {
        self.upload.identity()
    }

    async fn commit_as(&mut self, to: &Key) -> Result<(), Error> {
        troubled(&*self.trouble, self.upload.commit_as(to)).await
    }

    async fn cancel(&mut self) -> Result<(), Error> {
        troubled(&*self.trouble, self.upload.cancel()).await
    }

    fn notes(&self) -> Option<&UploadNotes> {
        self.upload.notes()
    }

    fn note_bytes(&mut self, note: String) {
        self.upload.note_bytes(note);
    }

    async fn memo(&self) -> Option<String> {
        self.upload.memo().await
    }
}
