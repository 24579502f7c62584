//! What tells a memo that this bucket's registries gave from one that somebody made up.
//!
//! A memo says which digest the bytes of an upload have, and that is believed. So what signs it is
//! no word that people choose: random bytes in an object of the driver's own, which whoever needs
//! it first makes. Who could read that can write to the bucket.

use aws_lc_rs::{hmac, rand};
use bytes::Bytes;
use roadstead_storage::Key;
use tokio::sync::OnceCell;

use crate::bucket::{Bucket, Condition, Metadata};
use crate::conditions::OWN;
use crate::error::{Failure, Kind};

/// Bytes of the key: as many as an HMAC-SHA256 has (RFC 2104, section 3).
const LENGTH: usize = 32;

/// Bytes of a signature as it stands before a memo, in hexadecimal.
const SIGNATURE: usize = 64;

/// The key, once it is known.
#[derive(Debug, Default)]
pub(crate) struct Seal(OnceCell<hmac::Key>);

impl Bucket {
    /// The memo of the upload at `key` with a signature before it.
    pub(crate) async fn sealed(&self, key: &Key, memo: &str) -> Result<String, Failure> {
        let signature = self.signature(key, memo).await?;
        Ok(format!("{signature}{memo}"))
    }

    /// The memo of which [`Bucket::sealed`] made this; `None` when it is that of another upload or
    /// bucket, or of nobody.
    pub(crate) async fn unsealed<'a>(
        &self,
        key: &Key,
        sealed: &'a str,
    ) -> Result<Option<&'a str>, Failure> {
        let Some((given, memo)) = sealed.split_at_checked(SIGNATURE) else {
            return Ok(None);
        };
        let expected = self.signature(key, memo).await?;
        let same = aws_lc_rs::constant_time::verify_slices_are_equal(
            expected.as_bytes(),
            given.as_bytes(),
        );
        Ok(same.is_ok().then_some(memo))
    }

    async fn signature(&self, key: &Key, memo: &str) -> Result<String, Failure> {
        let secret = self.seal.0.get_or_try_init(|| self.secret()).await?;
        let mut context = hmac::Context::with_key(secret);
        context.update(key.as_str().as_bytes());
        context.update(b"\n");
        context.update(memo.as_bytes());
        let signature = context.sign();
        let hex = signature.as_ref().iter().map(|byte| format!("{byte:02x}"));
        Ok(hex.collect())
    }

    /// Reads the key, and makes it first where there is none. Where a store honours no conditions
    /// two processes may make two: then one of them does not know the other's memos.
    async fn secret(&self) -> Result<hmac::Key, Failure> {
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
