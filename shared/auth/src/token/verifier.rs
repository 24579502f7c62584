//! Whether a token counts (RFC 7515, section 5.2; RFC 7519, section 7.2).

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rustls_pki_types::UnixTime;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::algorithm::Algorithm;
use super::certificates;
use super::claims::Claims;
use super::key::Jwk;
use super::trusted::{Trusted, TrustedKey};

/// How far the clocks of this machine and of the token server may be apart, in seconds.
const LEEWAY: f64 = 60.0;

/// Which tokens count.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// The issuer they must be from.
    pub issuer: String,
    /// The service they must be for.
    pub service: String,
    /// The algorithms that may sign them.
    pub algorithms: Vec<Algorithm>,
}

/// Why a token does not count; for the log of the registry, not for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Invalid {
    #[error("it is no compact JWS")]
    Malformed,
    #[error("it is signed by an algorithm that is not permitted")]
    Algorithm,
    #[error("its header demands an extension that is not known")]
    Critical,
    #[error("no configured key signs it")]
    Key,
    #[error("its signature is wrong")]
    Signature,
    #[error("its claims cannot be read")]
    Claims,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another service")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    NotYet,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    x5c: Option<Vec<String>>,
    #[serde(default)]
    jwk: Option<Jwk>,
    #[serde(default)]
    crit: Option<Value>,
}

impl Verifier {
    /// The claims of a token that counts. Its header can only say which of the `trusted` keys has
    /// signed it, or show a chain to a trusted certificate; a key or an address of keys that it
    /// brings along is worth nothing.
    ///
    /// # Errors
    ///
    /// Why it does not count.
    pub fn verify(
        &self,
        token: &str,
        trusted: &Trusted,
        now: SystemTime,
    ) -> Result<Claims, Invalid> {
        self.verified(token, trusted, now).map(|(claims, _)| claims)
    }

    /// All that such a token claims, also what is not known here.
    pub(crate) fn verify_any(
        &self,
        token: &str,
        trusted: &Trusted,
        now: SystemTime,
    ) -> Result<Map<String, Value>, Invalid> {
        let (_, payload) = self.verified(token, trusted, now)?;
        serde_json::from_slice(&payload).map_err(|_| Invalid::Claims)
    }

    fn verified(
        &self,
        token: &str,
        trusted: &Trusted,
        now: SystemTime,
    ) -> Result<(Claims, Vec<u8>), Invalid> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Invalid::Malformed);
        };
        let decode = |part: &str| BASE64.decode(part).map_err(|_| Invalid::Malformed);
        let head: Header = super::object(&decode(header)?).ok_or(Invalid::Malformed)?;
        let (payload_bytes, signature) = (decode(payload)?, decode(signature)?);
        let algorithm: Algorithm = head.alg.parse().map_err(|_| Invalid::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Invalid::Algorithm);
        }
        if head.crit.is_some() {
            return Err(Invalid::Critical);
        }
        let key = signing_key(&head, trusted, now).ok_or(Invalid::Key)?;
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        if !key.is_for(algorithm) || !key.key.verify(algorithm, signed, &signature) {
            return Err(Invalid::Signature);
        }
        let claims = Claims::parse(&payload_bytes).ok_or(Invalid::Claims)?;
        self.check(&claims, now)?;
        Ok((claims, payload_bytes))
    }

    fn check(&self, claims: &Claims, now: SystemTime) -> Result<(), Invalid> {
        if claims.issuer != self.issuer {
            return Err(Invalid::Issuer);
        }
        if !claims.audience.contains(&self.service) {
            return Err(Invalid::Audience);
        }
        self.check_times(claims, now)
    }

    /// Whether the claims are of this time, give or take a minute.
    pub(super) fn check_times(&self, claims: &Claims, now: SystemTime) -> Result<(), Invalid> {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = now.as_secs_f64();
        if now > claims.expires + LEEWAY {
            return Err(Invalid::Expired);
        }
        if now < claims.not_before - LEEWAY {
            return Err(Invalid::NotYet);
        }
        Ok(())
    }
}

/// The key that the header says has signed, in Distribution's order: a chain of certificates, an
/// embedded key by its name, a name.
fn signing_key(header: &Header, trusted: &Trusted, now: SystemTime) -> Option<TrustedKey> {
    let chained = |chain: &[String]| {
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(now);
        let key = certificates::verified(chain, &trusted.roots, now)?;
        let algorithm = None;
        Some(TrustedKey { key, algorithm })
    };
    let named = |id: &Option<String>| trusted.key(id.as_deref()?).cloned();
    let of = |chain: &Option<Vec<String>>| chain.clone().filter(|chain| !chain.is_empty());
    if let Some(chain) = of(&header.x5c) {
        return chained(&chain);
    }
    match &header.jwk {
        Some(jwk) => match of(&jwk.x5c) {
            Some(chain) => chained(&chain),
            None => named(&jwk.kid),
        },
        None => named(&header.kid),
    }
}
