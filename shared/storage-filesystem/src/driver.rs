//! The contract's operations, each handed to the module that has it.

use async_trait::async_trait;
use roadstead_storage::{
    ByteRange, ContentStat, Driver, Entry, Error, Key, ListOptions, Object, Share, Stat, Turn,
    Upload, Write,
};

use crate::disk::{Disk, Threads};
use crate::upload::FilesystemUpload;
use crate::{Config, delete, error, listing, read, rename, turn, write};

/// The fewest threads that block on the disk, as with CNCF Distribution.
const FEWEST_THREADS: usize = 25;

/// Keeps content in files below a root directory.
#[derive(Debug)]
pub struct FilesystemDriver {
    threads: Threads,
}

impl FilesystemDriver {
    /// A driver on `config.root`, which need not exist yet. Blocks while it does what a journal says
    /// of which a crash of the machine may have taken the effect; otherwise nothing is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] when the root is relative and there is no working directory, and when
    /// what a journal says cannot be done.
    pub fn new(config: Config) -> Result<Self, Error> {
        let root = std::path::absolute(config.root);
        let root = root.map_err(|error| Error::Unavailable(error.into()))?;
        let at_most = config.max_threads.max(FEWEST_THREADS);
        Self::on(Disk::new(root, config.sync, at_most))
    }

    pub(crate) fn on(disk: Disk) -> Result<Self, Error> {
        let failed = |error| error::unavailable("recover the journal of", &Key::root(), error);
        disk.recover().map_err(failed)?;
        let threads = Threads::new(disk);
        Ok(Self { threads })
    }

    pub(crate) fn disk(&self) -> &Disk {
        self.threads.disk()
    }
}

#[async_trait]
impl Driver for FilesystemDriver {
    fn name(&self) -> &'static str {
        "filesystem"
    }

    fn has_directories(&self) -> bool {
        true
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        if let Some(known) = read::stat_cached(self.disk(), key) {
            return known;
        }
        let key = key.clone();
        self.threads.run(move |disk| read::stat(disk, &key)).await
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        if let Some(known) = read::read_cached(self.disk(), key, range) {
            return known;
        }
        let key = key.clone();
        let read = move |disk: &_| read::read(disk, &key, range);
        self.threads.run(move |disk| read(disk)).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        let writes = writes.to_vec();
        let write = move |disk: &_| write::write(disk, &writes);
        self.threads.run_here(move |disk| write(disk)).await
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let upload = FilesystemUpload::open(&self.threads, key).await?;
        Ok(Box::new(upload))
    }

    async fn turn(&self, name: &str, share: Share) -> Result<Option<Turn>, Error> {
        turn::take(&self.threads, name, share).await
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        let (from, to) = (from.clone(), to.clone());
        let rename = move |disk: &_| rename::rename(disk, &from, &to);
        self.threads.run(move |disk| rename(disk)).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        let key = key.clone();
        self.threads
            .run(move |disk| delete::delete(disk, &key))
            .await
    }

    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        let (key, seen) = (key.clone(), *seen);
        let delete = move |disk: &_| delete::delete_if(disk, &key, &seen);
        self.threads.run(move |disk| delete(disk)).await
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        if let Some(known) = listing::list_cached(self.disk(), prefix, options) {
            return known;
        }
        let (prefix, limit) = (prefix.clone(), options.limit);
        let after = options.after.map(str::to_owned);
        let list = move |disk: &_| {
            let after = after.as_deref();
            listing::list(disk, &prefix, ListOptions { after, limit })
        };
        self.threads.run(move |disk| list(disk)).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use roadstead_storage::testkit;
    use tempfile::TempDir;

    use super::*;
    use crate::Sync;
    use crate::cached::Cached;

    /// What other kernels and cold caches make of the driver: everything goes to the threads.
    struct Uncached(TempDir);

    #[async_trait]
    impl testkit::Store for Uncached {
        fn driver(&self) -> Arc<dyn Driver> {
            let mut disk = Disk::new(self.0.path().to_owned(), Sync::Never, 2);
            disk.cached = Cached::never();
            let threads = Threads::new(disk);
            Arc::new(FilesystemDriver { threads })
        }
    }

    testkit::suite!(Uncached(tempfile::tempdir()?));
}
