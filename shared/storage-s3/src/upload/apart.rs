//! The end of an upload apart: at a key beside its own that is written once.

use bytes::Bytes;
use roadstead_storage::{Apart, Key, Upload};
use uuid::Uuid;

use super::{Ending, S3Upload};
use crate::bucket::{Condition, Metadata};
use crate::error::Failure;

impl S3Upload {
    pub(super) async fn finish_apart(&mut self) -> Result<Apart, Failure> {
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

    /// The key beside the upload's with this name.
    pub(super) fn beside(&self, name: &str) -> Result<Key, Failure> {
        let parent = self.key.parent().unwrap_or_else(Key::root);
        let key = parent.join(name);
        key.map_err(|error| Failure::found("naming an object", error))
    }

    /// Whether another process has joined the parts of an upload that ends apart.
    pub(super) async fn is_joined(&self) -> bool {
        let (Ending::Apart, Some(multipart)) = (self.ending, &self.multipart) else {
            return false;
        };
        match self.becoming(multipart) {
            Ok(object) => self.bucket.head(&object).await.is_ok(),
            Err(_) => false,
        }
    }
}
