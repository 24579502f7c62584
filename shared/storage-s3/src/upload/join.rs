//! Parts are joined: one request that decides who of several has ended an upload.

use super::{Ending, S3Upload};
use crate::bucket::Condition;
use crate::error::{Failure, Kind};
use crate::etag;
use crate::session::Multipart;

/// How often joining the parts is begun again when another request came between.
const RACES: usize = 10;

/// What parts have become.
pub(super) struct Joined {
    pub(super) etag: String,
    /// Whether it was from these parts for sure.
    pub(super) is_certain: bool,
}

impl S3Upload {
    /// Joins all parts.
    ///
    /// A store answers the same request sent again as it did the first time, or says that there is
    /// no such multipart upload. AWS does the former whatever the parts and conditions.
    pub(super) async fn complete(&mut self, multipart: &Multipart) -> Result<Joined, Failure> {
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
                    let is_certain = self.bucket.can_be_of(&etag, &parts).await
                        && (!self.is_recalled || etag::fits(&etag, &parts));
                    return self.joined(Joined { etag, is_certain });
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
                    return match self.bucket.head(&object).await {
                        Ok(head) if multipart.became(&head) => self.joined(Joined {
                            is_certain: etag::fits(&head.etag, &parts),
                            etag: head.etag,
                        }),
                        _ => Err(failure),
                    };
                }
                _ => return Err(failure),
            }
        }
    }

    /// Parts that another process has joined may be others, which it has noted after these: at the
    /// key of the upload nobody looks at the bytes again.
    fn joined(&self, joined: Joined) -> Result<Joined, Failure> {
        if joined.is_certain || self.ending == Ending::Apart {
            return Ok(joined);
        }
        let why = "another process has joined other parts";
        Err(Failure::found("CompleteMultipartUpload", why).into_condition())
    }

    /// The object that a multipart upload becomes.
    pub(super) fn becoming(&self, multipart: &Multipart) -> Result<String, Failure> {
        match self.ending {
            Ending::AtItsKey => Ok(self.object.clone()),
            Ending::Apart => Ok(self.bucket.object(&self.beside(&multipart.session)?)),
        }
    }
}
