//! What can be said in terms of a [`Driver`]'s operations.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;

use crate::{
    ByteRange, Content, ContentStat, Driver, Error, FileRange, Key, Object, Stat, Write, WriteMode,
};

/// Sugar over [`Driver`].
#[async_trait]
pub trait DriverExt: Driver {
    /// The whole content at `key`.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] when it has more than `limit` bytes; else those of [`Driver::read`].
    async fn get(&self, key: &Key, limit: u64) -> Result<Bytes, Error> {
        let object = self.read(key, ByteRange::ALL).await?;
        object.collect(key, limit).await
    }

    /// Like [`DriverExt::get`], with `None` for content that is not there.
    async fn try_get(&self, key: &Key, limit: u64) -> Result<Option<Bytes>, Error> {
        found(self.get(key, limit).await)
    }

    /// Replaces the content at `key`.
    async fn put(&self, key: &Key, content: Bytes) -> Result<(), Error> {
        let write = Write {
            key: key.clone(),
            content,
            mode: WriteMode::Overwrite,
        };
        self.write(&[write]).await
    }

    /// The size and age of the content at `key`; `None` when there is no content.
    async fn try_stat(&self, key: &Key) -> Result<Option<ContentStat>, Error> {
        match found(self.stat(key).await)? {
            Some(Stat::Content(stat)) => Ok(Some(stat)),
            Some(Stat::Prefix) | None => Ok(None),
        }
    }

    /// Deletes what is at and below `key`; `false` when there was nothing.
    async fn try_delete(&self, key: &Key) -> Result<bool, Error> {
        Ok(found(self.delete(key).await)?.is_some())
    }
}

impl<D: Driver + ?Sized> DriverExt for D {}

impl Object {
    /// All of the range's bytes, of content at `key`.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] when the content has more than `limit` bytes.
    pub async fn collect(self, key: &Key, limit: u64) -> Result<Bytes, Error> {
        if self.stat.size > limit {
            let key = key.to_string();
            return Err(Error::TooLarge { key, limit });
        }
        collect(self.content).await
    }
}

fn found<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) async fn collect(content: Content) -> Result<Bytes, Error> {
    match content {
        Content::Bytes(bytes) => Ok(bytes),
        Content::File(range) => read_file(range).await,
        Content::Stream(stream) => {
            let all = stream.try_fold(BytesMut::new(), |mut all, chunk| async move {
                all.extend_from_slice(&chunk);
                Ok(all)
            });
            Ok(all.await?.freeze())
        }
    }
}

async fn read_file(range: FileRange) -> Result<Bytes, Error> {
    use std::os::unix::fs::FileExt;
    let read = move || {
        let length = usize::try_from(range.length).map_err(std::io::Error::other)?;
        let mut bytes = vec![0; length];
        range.file.read_exact_at(&mut bytes, range.offset)?;
        Ok::<_, std::io::Error>(Bytes::from(bytes))
    };
    let read = tokio::task::spawn_blocking(read).await;
    read.map_err(|panic| Error::Unavailable(panic.into()))?
        .map_err(|error| Error::Unavailable(error.into()))
}
