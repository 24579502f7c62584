//! `privileged_key` of docker-registry 0.9 (the registry of v1): requests that the owner of an RSA
//! key has signed may do everything.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RsaParameters,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use crate::access::Access;
use crate::controller::{AccessController, Attempt, Refusal};
use crate::grant::Grant;
use crate::watched::{EVERY, Watched};
use crate::{Clock, FileError};

/// How far the time of a signed request may be from ours: a request that was overheard can be
/// repeated for this long, and no longer.
const WINDOW: Duration = Duration::from_secs(5 * 60);

/// What a signed request brings along.
#[derive(Clone, Copy)]
pub struct Signed<'a> {
    /// The value of `X-Signature`: `algorithm=sha256;data=` and the signature in base64.
    pub signature: &'a str,
    /// What is signed, in v1's form: method, target and the headers `X-Docker-*` by their names, with
    /// commas between; `None` for a request in which it could be read in two ways.
    pub message: Option<&'a str>,
    /// The value of `X-Docker-Date`, one of those headers.
    pub date: Option<&'a str>,
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSignature {
    /// The header has another form, or an algorithm that is not known.
    #[error("X-Signature is not of the form algorithm=sha256;data=BASE64")]
    Malformed,
    /// What is signed can be read in two ways.
    #[error(
        "a signed request has no comma in its target and its X-Docker headers, and each of these once"
    )]
    Ambiguous,
    /// It does not say when it was made.
    #[error("X-Docker-Date is missing or not of the form 2006-01-02T15:04:05Z")]
    Undated,
    /// It was made at another time, or is a repetition.
    #[error("X-Docker-Date is more than five minutes from the time of this registry")]
    Stale,
    /// The key has not signed this.
    #[error("the signature is not one of this request by the privileged key")]
    Wrong,
    /// It has a body that nobody has signed.
    #[error("X-Docker-Content-Sha256 is not the SHA-256 of the body")]
    Body,
}

/// Lets in whoever has signed, past every rule; who has not signed is for the inner controller.
///
/// A signature that does not count is refused, and never taken for none. That its parts are public
/// leaves nothing to be learned from how long checking takes.
pub struct Privileged {
    key: Watched<Vec<u8>>,
    inner: Arc<dyn AccessController>,
    clock: Clock,
}

impl Privileged {
    /// The name that logs have for the owner of the key.
    pub const USER: &'static str = "privileged_key";

    /// The public key of the file at `path` in front of `inner`; read again when it changes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no RSA key of 2048 to 8192 bits.
    pub fn open(
        path: PathBuf,
        inner: Arc<dyn AccessController>,
        clock: Clock,
    ) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let parse = move |contents: &[Vec<u8>]| {
            let pem = contents.first().map(Vec::as_slice).unwrap_or_default();
            public_key(pem).ok_or_else(|| FileError::Content {
                path: shown.clone(),
                message: "no public RSA key of 2048 to 8192 bits in PEM".to_owned(),
            })
        };
        Ok(Self {
            key: Watched::open(vec![path], EVERY, parse)?,
            inner,
            clock,
        })
    }

    async fn check(&self, signed: Signed<'_>) -> Result<(), InvalidSignature> {
        let (algorithm, signature) = parsed(signed.signature).ok_or(InvalidSignature::Malformed)?;
        let message = signed.message.ok_or(InvalidSignature::Ambiguous)?;
        let made = signed.date.and_then(time_of);
        let made = made.ok_or(InvalidSignature::Undated)?;
        let now = (self.clock)();
        let apart = now
            .duration_since(made)
            .unwrap_or_else(|early| early.duration());
        if apart > WINDOW {
            return Err(InvalidSignature::Stale);
        }
        let key = self.key.get().await;
        let verified = UnparsedPublicKey::new(algorithm, key.as_slice());
        let verified = verified.verify(message.as_bytes(), &signature);
        verified.map_err(|_| InvalidSignature::Wrong)
    }
}

#[async_trait]
impl AccessController for Privileged {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        let Some(signed) = attempt.signed else {
            return self.inner.authorize(attempt, wanted).await;
        };
        match self.check(signed).await {
            Ok(()) => Ok(Grant::of(Self::USER).signed()),
            Err(why) => {
                tracing::info!("a signed request is refused: {why}");
                Err(Refusal::Signature(why))
            }
        }
    }
}

/// v1 knew SHA-1 alone, and so does a header that names no algorithm. A collision would have to be
/// made within the few minutes that a signature counts.
fn parsed(header: &str) -> Option<(&'static RsaParameters, Vec<u8>)> {
    let (mut algorithm, mut data) = (None, None);
    for part in header.split(';') {
        let place = match part.trim().split_once('=')? {
            ("algorithm", value) => (&mut algorithm, value),
            ("data", value) => (&mut data, value),
            _ => continue,
        };
        if place.0.replace(place.1).is_some() {
            return None;
        }
    }
    let algorithm = match algorithm {
        None | Some("sha1") => &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Some("sha256") => &RSA_PKCS1_2048_8192_SHA256,
        Some(_) => return None,
    };
    Some((algorithm, BASE64_STANDARD.decode(data?).ok()?))
}

fn time_of(text: &str) -> Option<SystemTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(Into::into)
}

/// The key of a PEM file as `RSAPublicKey` in DER (RFC 8017, appendix A.1.1), which is what v1 wanted
/// there, or within `PUBLIC KEY` as OpenSSL writes it (RFC 5280, section 4.1.2.7).
fn public_key(pem: &[u8]) -> Option<Vec<u8>> {
    let mut blocks = Pem::iter_from_buffer(pem).flatten();
    let key = blocks.find_map(|block| match block.label.as_str() {
        "RSA PUBLIC KEY" => Some(block.contents),
        "PUBLIC KEY" => {
            let (_, info) = SubjectPublicKeyInfo::from_der(&block.contents).ok()?;
            Some(info.subject_public_key.data.to_vec())
        }
        _ => None,
    })?;
    let bits = RsaParameters::public_modulus_len(&key).ok()?;
    (2048..=8192).contains(&bits).then_some(key)
}

impl fmt::Debug for Privileged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Privileged")
            .field("key", &self.key)
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
