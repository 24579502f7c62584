//! The contract's operations, each handed to the module that has it.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_storage::{
    ByteRange, ContentStat, Driver, Entry, Error, Key, ListOptions, NotedUploads, Object, Stat,
    Upload, UploadNotes, UrlSigner, Write, WriteMode,
};

use crate::bucket::{Bucket, Condition, Metadata};
use crate::claims::Claims;
use crate::config::ConfigError;
use crate::error::{Failure, Kind};
use crate::signer::{Redirect, Signer};
use crate::upload::{Ending, S3Upload};
use crate::{Config, delete, listing, read, rename, session};

/// Keeps content in a bucket.
#[derive(Debug)]
pub struct S3Driver {
    bucket: Arc<Bucket>,
    claims: Claims,
    signer: Signer,
}

impl S3Driver {
    /// A driver on `config.bucket`; no request is made yet.
    ///
    /// # Errors
    ///
    /// When a parameter is missing or out of bounds.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let redirect = config.redirect_endpoint.as_deref().map(Redirect::new);
        let redirect = redirect.transpose()?;
        let bucket = Arc::new(Bucket::new(config));
        Ok(Self {
            signer: Signer {
                bucket: Arc::clone(&bucket),
                redirect,
            },
            claims: Claims::default(),
            bucket,
        })
    }

    async fn write_one(&self, write: &Write) -> Result<(), Error> {
        if write.key == Key::root() {
            return Err(Error::InvalidKey(write.key.to_string()));
        }
        let object = self.bucket.object(&write.key);
        let condition = match write.mode {
            WriteMode::Overwrite => Condition::Any,
            WriteMode::CreateNew => Condition::Absent,
        };
        let content = write.content.clone();
        let put = self
            .bucket
            .put_if(&object, content, &condition, Metadata::own());
        match put.await {
            Ok(_) => Ok(()),
            Err(failure) if failure.kind == Kind::Condition => {
                Err(Error::Exists(write.key.to_string()))
            }
            Err(failure) if failure.kind == Kind::Race => Err(Error::Busy(write.key.to_string())),
            Err(failure) => Err(failure.outage()),
        }
    }
}

#[async_trait]
impl Driver for S3Driver {
    fn name(&self) -> &'static str {
        "s3"
    }

    async fn stat(&self, key: &Key) -> Result<Stat, Error> {
        read::stat(&self.bucket, key).await
    }

    async fn read(&self, key: &Key, range: ByteRange) -> Result<Object, Error> {
        read::read(&self.bucket, key, range).await
    }

    async fn write(&self, writes: &[Write]) -> Result<(), Error> {
        for write in writes {
            self.write_one(write).await?;
        }
        Ok(())
    }

    async fn upload(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let upload = S3Upload::open(&self.bucket, &self.claims, key, Ending::AtItsKey);
        Ok(Box::new(upload.await?))
    }

    async fn upload_apart(&self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let upload = S3Upload::open(&self.bucket, &self.claims, key, Ending::Apart);
        Ok(Box::new(upload.await?))
    }

    async fn rename(&self, from: &Key, to: &Key) -> Result<(), Error> {
        rename::rename(&self.bucket, &self.claims, from, to).await
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        delete::delete(&self.bucket, &self.claims, key).await
    }

    async fn delete_if(&self, key: &Key, seen: &ContentStat) -> Result<bool, Error> {
        delete::delete_if(&self.bucket, key, seen).await
    }

    async fn list(&self, prefix: &Key, options: ListOptions<'_>) -> Result<Vec<Entry>, Error> {
        listing::list(&self.bucket, prefix, options).await
    }

    async fn abandon(&self, prefix: &Key, since: SystemTime) -> Result<usize, Error> {
        let abandoned = delete::abandon(&self.bucket, prefix, since).await;
        abandoned.map_err(Failure::outage)
    }

    fn noted_uploads(&self) -> Option<&dyn NotedUploads> {
        Some(self)
    }

    fn signer(&self) -> Option<&dyn UrlSigner> {
        Some(&self.signer)
    }
}

/// The notes are metadata of the object at the upload's key.
#[async_trait]
impl NotedUploads for S3Driver {
    async fn begin(&self, key: &Key, note: &str) -> Result<(), Error> {
        let notes = UploadNotes {
            upload: note.to_owned(),
            bytes: None,
        };
        let metadata = Metadata::default().with_notes(Some(&notes));
        let object = self.bucket.object(key);
        let put = self
            .bucket
            .put(&object, Bytes::new(), &Condition::Any, &metadata);
        put.await.map_err(Failure::outage)?;
        Ok(())
    }

    async fn recall(&self, key: &Key, memo: &str) -> Option<Box<dyn Upload>> {
        let upload = S3Upload::recall(&self.bucket, &self.claims, key, memo).await?;
        Some(Box::new(upload))
    }

    async fn notes(&self, key: &Key) -> Result<Option<UploadNotes>, Error> {
        let head = read::head(&self.bucket, key).await?;
        Ok(head.as_ref().and_then(session::users_notes))
    }
}
