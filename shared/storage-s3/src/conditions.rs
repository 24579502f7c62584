//! What a store's conditional writes are worth.
//!
//! AWS honours `If-None-Match: *` and `If-Match` on writes, and `If-Match` on deletions; other
//! stores may refuse them, or, and that is worse, ignore them and answer as if they had looked. A
//! store that is not AWS's is therefore tried once, before the first request that would carry a
//! condition.

use bytes::Bytes;
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

use crate::Config;
use crate::bucket::{Bucket, Condition, Metadata};
use crate::error::{Failure, Kind};

/// What the names of the driver's own objects begin with; no listing shows them.
pub(crate) const OWN: &str = ".roadstead-";

/// Notes on an object which request made it: an answer that was lost can be told from a
/// condition that does not hold.
const NONCE: &str = "roadstead-nonce";

/// How often a write is begun again when another came between.
const RACES: usize = 10;

/// Which conditions a store honours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Honoured {
    /// `If-None-Match: *`.
    absent: bool,
    /// `If-Match`.
    is: bool,
    /// `If-Match` of a deletion.
    deletion: bool,
}

#[derive(Debug)]
pub(crate) struct Conditions {
    honoured: OnceCell<Honoured>,
    /// Taken while something is created in a store that cannot look by itself: within this
    /// process at least, one creator wins.
    turn: Mutex<()>,
}

impl Conditions {
    pub(crate) fn new(config: &Config) -> Self {
        let honoured = match config.endpoint {
            Some(_) => OnceCell::new(),
            None => OnceCell::new_with(Some(Honoured {
                absent: true,
                is: true,
                deletion: true,
            })),
        };
        Self {
            honoured,
            turn: Mutex::new(()),
        }
    }
}

impl Bucket {
    /// Writes an object if the condition holds, as far as the store can tell; its new `ETag`.
    pub(crate) async fn put_if(
        &self,
        object: &str,
        content: Bytes,
        condition: &Condition,
        metadata: Metadata,
    ) -> Result<String, Failure> {
        if *condition == Condition::Any {
            return self.put(object, content, condition, &metadata).await;
        }
        let honoured = self.honoured().await?;
        match condition {
            Condition::Absent if !honoured.absent => {
                self.look_and_put(object, content, metadata).await
            }
            Condition::Is(_) if !honoured.is => {
                self.put(object, content, &Condition::Any, &metadata).await
            }
            condition => self.put_sure(object, content, condition, metadata).await,
        }
    }

    /// The condition as far as the store honours it.
    pub(crate) async fn within_means(&self, condition: Condition) -> Result<Condition, Failure> {
        let honoured = self.honoured().await?;
        Ok(match condition {
            Condition::Absent if honoured.absent => Condition::Absent,
            Condition::Is(etag) if honoured.is => Condition::Is(etag),
            _ => Condition::Any,
        })
    }

    /// Deletes an object if it still has the `etag`, as far as the store can tell; `false` when it
    /// is another by now.
    pub(crate) async fn delete_if(&self, object: &str, etag: String) -> Result<bool, Failure> {
        let is_honoured = self.honoured().await?.deletion;
        match self.delete_is(object, is_honoured.then_some(etag)).await {
            Ok(()) => Ok(true),
            Err(failure) => match failure.kind {
                Kind::Condition | Kind::Race | Kind::NoObject | Kind::Bare404 => Ok(false),
                _ => Err(failure),
            },
        }
    }

    /// Writes an object under a condition that the store honours.
    async fn put_sure(
        &self,
        object: &str,
        content: Bytes,
        condition: &Condition,
        mut metadata: Metadata,
    ) -> Result<String, Failure> {
        let nonce = Uuid::new_v4().to_string();
        metadata.0.insert(NONCE.to_owned(), nonce.clone());
        for _ in 0..RACES {
            let put = self.put(object, content.clone(), condition, &metadata);
            match put.await {
                Err(failure) if failure.kind == Kind::Race => {}
                Err(failure) if failure.kind == Kind::Condition => {
                    // The request may have been sent again because the first answer was lost.
                    return match self.head(object).await {
                        Ok(head) if head.metadata.get(NONCE) == Some(&nonce) => Ok(head.etag),
                        _ => Err(failure),
                    };
                }
                // Of an object that a condition names and that is not there.
                Err(failure) if failure.kind == Kind::NoObject => {
                    return Err(failure.into_condition());
                }
                put => return put,
            }
        }
        self.put(object, content, condition, &metadata).await
    }

    async fn look_and_put(
        &self,
        object: &str,
        content: Bytes,
        metadata: Metadata,
    ) -> Result<String, Failure> {
        let _turn = self.conditions.turn.lock().await;
        match self.head(object).await {
            Ok(_) => {
                let found = Failure::found("PutObject", "there is an object already");
                return Err(found.into_condition());
            }
            Err(failure) if failure.kind == Kind::Bare404 => {}
            Err(failure) => return Err(failure),
        }
        self.put(object, content, &Condition::Any, &metadata).await
    }

    async fn honoured(&self) -> Result<Honoured, Failure> {
        let honoured = &self.conditions.honoured;
        honoured.get_or_try_init(|| self.probe()).await.copied()
    }

    /// Five small requests on an object of its own that find out what conditions are worth.
    async fn probe(&self) -> Result<Honoured, Failure> {
        let name = format!("{OWN}probe-{}", Uuid::new_v4());
        let object = format!("{}{name}", self.config.prefix());
        let metadata = Metadata::default();
        let put = async |condition: &Condition| {
            let content = Bytes::from_static(b"what are conditions worth here?");
            self.put(&object, content, condition, &metadata).await
        };
        // An outage now says nothing about the store.
        let telling = |outcome: Result<(), Failure>| match outcome {
            Err(failure) if failure.kind == Kind::Outage => Err(failure),
            Err(failure) => Ok(failure.kind == Kind::Condition),
            Ok(()) => Ok(false),
        };
        let honoured = async {
            put(&Condition::Any).await?;
            let other = "\"00000000000000000000000000000000\"".to_owned();
            let is = Condition::Is(other.clone());
            Ok(Honoured {
                absent: telling(put(&Condition::Absent).await.map(drop))?,
                is: telling(put(&is).await.map(drop))?,
                deletion: telling(self.delete_is(&object, Some(other)).await)?,
            })
        };
        let honoured = honoured.await;
        self.delete(&object).await?;
        let honoured = honoured?;
        if honoured.absent && honoured.is {
            tracing::debug!("the store honours conditional writes");
        } else {
            tracing::warn!(
                if_none_match = honoured.absent,
                if_match = honoured.is,
                deletion = honoured.deletion,
                "the store does not honour all conditional writes: uploads of which two registries have hold at the same time are told apart less well"
            );
        }
        Ok(honoured)
    }
}
