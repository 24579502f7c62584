//! What tells a memo that this bucket's registries gave from one that somebody made up.
//!
//! A memo says which digest the bytes of an upload have, and that is believed. So what signs it is
//! no word that people choose: random bytes in an object of the driver's own, which whoever needs
//! it first makes. Reading that takes credentials of the bucket.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::{constant_time, hmac, rand};
use bytes::Bytes;
use roadstead_storage::Key;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::bucket::{Bucket, Condition, Metadata};
use crate::conditions::OWN;
use crate::error::{Failure, Kind};

/// Bytes of the key: as many as an HMAC-SHA256 has (RFC 2104, section 3).
const LENGTH: usize = 32;

/// Bytes of a signature as it stands before a memo, in hexadecimal.
const SIGNATURE: usize = 64;

/// How long nobody asks again for a key that was not to be had. Memos only save a request: one that
/// may not read the key is not to make one more with each upload.
const PAUSE: Duration = Duration::from_secs(60);

/// The key, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Seal {
    key: OnceCell<hmac::Key>,
    failed: Mutex<Option<Instant>>,
}

impl Seal {
    fn rests(&self) -> bool {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|moment| moment.elapsed() < PAUSE)
    }

    fn rest(&self) {
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }
}

impl Bucket {
    /// The memo of the upload at `key` with a signature before it; `None` without a key.
    pub(crate) async fn sealed(&self, key: &Key, memo: &str) -> Option<String> {
        let signature = self.signature(key, memo).await?;
        Some(format!("{signature}{memo}"))
    }

    /// The memo of which [`Bucket::sealed`] made this; `None` when it is that of another upload or
    /// bucket, or of nobody.
    pub(crate) async fn unsealed<'a>(&self, key: &Key, sealed: &'a str) -> Option<&'a str> {
        let (given, memo) = sealed.split_at_checked(SIGNATURE)?;
        let expected = self.signature(key, memo).await?;
        let same = constant_time::verify_slices_are_equal(expected.as_bytes(), given.as_bytes());
        same.is_ok().then_some(memo)
    }

    async fn signature(&self, key: &Key, memo: &str) -> Option<String> {
        let secret = self.secret().await?;
        let mut context = hmac::Context::with_key(secret);
        context.update(key.as_str().as_bytes());
        context.update(b"\n");
        context.update(memo.as_bytes());
        let signature = context.sign();
        let hex = signature.as_ref().iter().map(|byte| format!("{byte:02x}"));
        Some(hex.collect())
    }

    async fn secret(&self) -> Option<&hmac::Key> {
        let Seal { key, .. } = &self.seal;
        if !key.initialized() && self.seal.rests() {
            return None;
        }
        let secret = key.get_or_try_init(|| self.read_secret()).await;
        let secret = secret.inspect_err(|error| {
            tracing::warn!(%error, "what signs memos of uploads is not to be had: they are read before they end");
            self.seal.rest();
        });
        secret.ok()
    }

    /// Reads the key, and makes it first where there is none. Where a store honours no conditions
    /// two processes may make two: then one of them does not know the other's memos.
    async fn read_secret(&self) -> Result<hmac::Key, Failure> {
        let object = format!("{}{OWN}memos", self.config.prefix());
        let read = async || {
            let (head, body) = self.get(&object, None, None).await?;
            crate::upload::fetch(body, head.stat.size).await
        };
        let secret = match read().await {
            Err(failure) if failure.kind == Kind::NoObject => {
                let mut fresh = [0; LENGTH];
                rand::fill(&mut fresh).map_err(|error| Failure::found("drawing a key", error))?;
                let content = Bytes::copy_from_slice(&fresh);
                let put = self.put_if(&object, content, &Condition::Absent, Metadata::default());
                match put.await {
                    Err(failure) if failure.kind != Kind::Condition => return Err(failure),
                    _ => read().await?,
                }
            }
            secret => secret?,
        };
        if secret.len() != LENGTH {
            let why = format!("{object} has {} bytes instead of {LENGTH}", secret.len());
            return Err(Failure::found("reading a key", why));
        }
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &secret))
    }
}
