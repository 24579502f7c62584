//! Distribution's `token`: tokens that a token server has signed (the Docker registry's token
//! authentication specification; RFC 7515, 7517, 7519).

mod algorithm;
mod certificates;
mod claims;
mod key;
mod key_id;
mod signing;
mod trusted;
mod verifier;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use crate::access::Access;
use crate::authorization::Authorization;
use crate::challenge::{Challenge, ChallengeError, Realm, Scheme};
use crate::controller::{AccessController, Attempt, Refusal};
use crate::grant::Grant;
use crate::watched::{EVERY, Watched};
use crate::{Clock, FileError};

pub use algorithm::Algorithm;
pub use claims::{Claims, ResourceActions};
pub use key::{Jwk, Jwks, PublicKey};
pub(crate) use signing::KeySet;
pub use signing::{SigningKey, SigningKeys};
pub use trusted::Trusted;
pub use verifier::{Invalid, Verifier};

/// How many tokens are remembered as verified.
const REMEMBERED_TOKENS: usize = 10_000;

/// What tokens count, and where clients get them.
#[derive(Clone, Debug)]
pub struct TokenOptions {
    /// Where clients get tokens.
    pub realm: Realm,
    /// The service that a token must be for.
    pub service: String,
    /// The issuer that a token must be from.
    pub issuer: String,
    /// A file of certificates: their keys sign tokens, and so do those of certificates that they
    /// have signed.
    pub rootcertbundle: Option<PathBuf>,
    /// A file with a set of keys that sign tokens (RFC 7517, section 5).
    pub jwks: Option<PathBuf>,
    /// The keys of the token server that is here as well.
    pub own: Option<SigningKeys>,
    /// The algorithms that count.
    pub algorithms: Vec<Algorithm>,
    /// What tells the time.
    pub clock: Clock,
}

/// Lets in whoever has a token, to do what the token says.
///
/// A token that was verified is remembered by its hash, with the keys that it was verified with:
/// when those change, it is verified again. Its times are looked at each time.
pub struct Token {
    realm: Realm,
    verifier: Verifier,
    trusted: Watched<Trusted>,
    own: Option<SigningKeys>,
    verified: Cache<[u8; digest::SHA256_OUTPUT_LEN], Verified>,
    clock: Clock,
}

#[derive(Clone)]
struct Verified {
    claims: Arc<Claims>,
    by: Keys,
}

/// All that verifies tokens, at one time.
#[derive(Clone)]
struct Keys {
    trusted: Arc<Trusted>,
    own: Option<Arc<KeySet>>,
}

impl Keys {
    fn are(&self, others: &Self) -> bool {
        let same_own = match (&self.own, &others.own) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            (own, other) => own.is_none() && other.is_none(),
        };
        same_own && Arc::ptr_eq(&self.trusted, &others.trusted)
    }

    fn verify(&self, verifier: &Verifier, token: &str, now: SystemTime) -> Result<Claims, Invalid> {
        match (verifier.verify(token, &self.trusted, now), &self.own) {
            (Err(Invalid::Key), Some(own)) => verifier.verify(token, &own.trusted, now),
            (verified, _) => verified,
        }
    }
}

impl Token {
    /// Reads the keys.
    ///
    /// # Errors
    ///
    /// A file cannot be read or makes no sense, or there is no key at all.
    pub fn open(options: TokenOptions) -> Result<Self, FileError> {
        let files = [&options.rootcertbundle, &options.jwks];
        let paths = files.into_iter().flatten().cloned().collect();
        let (bundle, jwks) = (options.rootcertbundle, options.jwks);
        let has_own = options.own.is_some();
        let parse = move |contents: &[Vec<u8>]| {
            trusted::parse(bundle.as_deref(), jwks.as_deref(), contents, has_own)
        };
        Ok(Self {
            realm: options.realm,
            verifier: Verifier {
                issuer: options.issuer,
                service: options.service,
                algorithms: options.algorithms,
            },
            trusted: Watched::open(paths, EVERY, parse)?,
            own: options.own,
            verified: Cache::new(REMEMBERED_TOKENS),
            clock: options.clock,
        })
    }

    /// The refusal that tells a client where to get a token.
    pub(crate) fn challenge(&self, wanted: &[Access], error: Option<ChallengeError>) -> Refusal {
        Refusal::Challenge(Challenge {
            scheme: Scheme::Bearer {
                service: self.verifier.service.clone(),
                error,
            },
            realm: self.realm.clone(),
            wanted: wanted.to_vec(),
        })
    }

    async fn claims(&self, token: &str) -> Result<Arc<Claims>, Invalid> {
        let keys = Keys {
            trusted: self.trusted.get().await,
            own: match &self.own {
                Some(own) => Some(own.get().await),
                None => None,
            },
        };
        let now = (self.clock)();
        let hash = digest::digest(&digest::SHA256, token.as_bytes());
        let mut key = [0; digest::SHA256_OUTPUT_LEN];
        key.copy_from_slice(hash.as_ref());
        if let Some(verified) = self.verified.get(&key)
            && verified.by.are(&keys)
        {
            self.verifier.check_times(&verified.claims, now)?;
            return Ok(verified.claims);
        }
        let claims = Arc::new(keys.verify(&self.verifier, token, now)?);
        let verified = Verified {
            claims: Arc::clone(&claims),
            by: keys,
        };
        self.verified.insert(key, verified);
        Ok(claims)
    }
}

#[async_trait]
impl AccessController for Token {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        let Authorization::Bearer(token) = Authorization::parse(attempt.authorization) else {
            return Err(self.challenge(wanted, None));
        };
        let claims = match self.claims(token).await {
            Ok(claims) => claims,
            Err(why) => {
                tracing::info!("a token is refused: {why}");
                return Err(self.challenge(wanted, Some(ChallengeError::InvalidToken)));
            }
        };
        let grant = Grant::of(&claims.subject)
            .among(Arc::clone(&claims.groups))
            .within(Arc::clone(&claims.access));
        match wanted.iter().all(|access| grant.allows(access)) {
            true => Ok(grant),
            false => Err(self.challenge(wanted, Some(ChallengeError::InsufficientScope))),
        }
    }
}

/// A JSON object; a list is none, though serde would read one as the fields in their order.
pub(crate) fn object<T: serde::de::DeserializeOwned>(json: &[u8]) -> Option<T> {
    let is_object = json.trim_ascii_start().starts_with(b"{");
    is_object
        .then(|| serde_json::from_slice(json).ok())
        .flatten()
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("verifier", &self.verifier)
            .field("trusted", &self.trusted)
            .finish_non_exhaustive()
    }
}
