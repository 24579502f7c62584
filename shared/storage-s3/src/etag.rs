//! What the `ETag` of an object says of the parts that it was joined from.
//!
//! Of parts with the MD5 digests d1 ... dn it is the MD5 digest of these, a hyphen and n, at AWS
//! and in most other stores: not with KMS, where no `ETag` is a digest, and not everywhere. AWS
//! documents that it is none to rely on, so a store is believed to differ only once it was seen to.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use md5::{Digest, Md5};
use uuid::Uuid;

use crate::Config;
use crate::bucket::{Bucket, Condition, Metadata, Part};
use crate::conditions::OWN;
use crate::config::Encryption;
use crate::error::Failure;

/// Whether the `ETag`s of a store say nothing, as far as is known.
#[derive(Debug)]
pub(crate) struct Etags {
    are_opaque: AtomicBool,
}

impl Etags {
    pub(crate) fn new(config: &Config) -> Self {
        let are_opaque = matches!(config.encryption, Encryption::Kms(_));
        Self {
            are_opaque: AtomicBool::new(are_opaque),
        }
    }
}

impl Bucket {
    /// Whether an object with this `ETag` can have been joined from `parts`. `false` is certain;
    /// `true` is so where `ETag`s tell.
    ///
    /// When one does not fit, one byte is uploaded as a part to find out what they are worth here:
    /// four small requests, once per process where they are worth nothing.
    pub(crate) async fn can_be_of(&self, etag: &str, parts: &[Part]) -> bool {
        if fits(etag, parts) || self.has_opaque_etags() {
            return true;
        }
        match self.probe_etags().await {
            Ok(are_telling) => {
                self.etags.are_opaque.store(!are_telling, Relaxed);
                !are_telling
            }
            Err(failure) => {
                tracing::warn!(%failure, "what ETags of joined parts are worth cannot be found out");
                true
            }
        }
    }

    /// Whether nothing can be told from `ETag`s here, as far as is known.
    pub(crate) fn has_opaque_etags(&self) -> bool {
        self.etags.are_opaque.load(Relaxed)
    }

    async fn probe_etags(&self) -> Result<bool, Failure> {
        let name = format!("{OWN}probe-{}", Uuid::new_v4());
        let object = format!("{}{name}", self.config.prefix());
        let upload = self.create_multipart(&object, &Metadata::default()).await?;
        let joined = async {
            let content = Bytes::from_static(b"?");
            let parts = [self.put_part(&object, &upload, 1, content).await?];
            let joining = self.complete(&object, &upload, &parts, &Condition::Any);
            Ok(fits(&joining.await?, &parts))
        };
        let joined = joined.await;
        match &joined {
            Ok(_) => self.delete(&object).await?,
            Err(_) => self.abort(&object, &upload).await?,
        }
        joined
    }
}

/// Whether it is the `ETag` of what these parts become where such tell.
pub(crate) fn fits(etag: &str, parts: &[Part]) -> bool {
    of_parts(parts).is_some_and(|expected| etag.trim_matches('"').eq_ignore_ascii_case(&expected))
}

/// Without quotes; `None` when a part's is no digest.
fn of_parts(parts: &[Part]) -> Option<String> {
    let mut digest = Md5::new();
    for part in parts {
        let hex = part.etag.trim_matches('"');
        let value = u128::from_str_radix(hex, 16).ok()?;
        (hex.len() == 32).then(|| digest.update(value.to_be_bytes()))?;
    }
    let digest: [u8; 16] = digest.finalize().into();
    Some(format!(
        "{:032x}-{}",
        u128::from_be_bytes(digest),
        parts.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(content: &str) -> Part {
        let digest: [u8; 16] = Md5::digest(content).into();
        Part {
            etag: format!("\"{:032x}\"", u128::from_be_bytes(digest)),
            size: content.len() as u64,
        }
    }

    #[test]
    fn an_etag_fits_the_parts_that_it_is_of() {
        // `(printf a | md5sum; printf b | md5sum) | cut -c1-32 | xxd -r -p | md5sum`, and how many
        let etag = "\"96e024ba2074fe77e8e965ba43a704be-2\"";
        let parts = [part("a"), part("b")];
        assert!(fits(etag, &parts));
        assert!(fits(&etag.to_uppercase(), &parts));
        assert!(!fits(etag, &parts[..1]));
        assert!(!fits(etag, &[part("b"), part("a")]));
        assert!(!fits("\"CMi4n5TZ4v8CEAE=\"", &parts));
        let encrypted = Part {
            etag: "\"no digest\"".to_owned(),
            size: 1,
        };
        assert!(!fits(etag, &[encrypted]));
    }
}
