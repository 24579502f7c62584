//! Identities: tokens of other issuers in the place of a password, as machines have them that build
//! software (OpenID Connect Core 1.0; OpenID Connect Discovery 1.0).

mod keys;
mod rule;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Clock;
use crate::controller::Refusal;
use crate::grant::Grant;
use crate::token::{Algorithm, Invalid, Verifier};
use keys::Keys;

pub use rule::{IdentityRule, InvalidIdentityRule};

/// The name of a user whose password is such a token.
pub const USER: &str = "oidc";

/// The algorithms of issuers: those with a key that nobody else has.
const ALGORITHMS: [Algorithm; 10] = [
    Algorithm::EdDsa,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// Gets the text behind a URL, of bounded size and in bounded time.
#[async_trait]
pub trait Fetch: fmt::Debug + Send + Sync {
    /// The text; the error says in words why there is none, or why this URL is not asked.
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String>;
}

/// An issuer whose tokens are taken.
#[derive(Debug)]
pub struct IdentityOptions {
    /// Its name, which is also the URL that its discovery document is below.
    pub issuer: String,
    /// Whom its tokens must be for.
    pub audience: String,
    /// The URL of its keys; without one, the discovery document says it.
    pub keys: Option<String>,
    /// Gets both.
    pub fetch: Arc<dyn Fetch>,
    /// As whom the bearers of its tokens act: the first rule that a token fulfils says it, and
    /// without one, the token is worth nothing.
    pub rules: Vec<IdentityRule>,
    /// What tells the time.
    pub clock: Clock,
}

/// The issuers whose tokens are taken.
#[derive(Debug)]
pub struct Identities(Vec<Identity>);

#[derive(Debug)]
struct Identity {
    verifier: Verifier,
    keys: Arc<Keys>,
    rules: Vec<IdentityRule>,
    clock: Clock,
}

#[derive(Deserialize)]
struct Named {
    iss: String,
}

impl Identities {
    /// These issuers.
    pub fn new(issuers: Vec<IdentityOptions>) -> Self {
        Self(issuers.into_iter().map(Identity::new).collect())
    }

    /// As whom the bearer of this token acts; `None` for a token that does not count. The token says
    /// which of the configured issuers it is from, and nothing else about where its key would be.
    ///
    /// # Errors
    ///
    /// [`Refusal::Unavailable`]: the issuer's keys cannot be had now.
    pub(crate) async fn grant(&self, token: &str) -> Result<Option<Grant>, Refusal> {
        let Some(identity) = named(token).and_then(|issuer| self.of(&issuer)) else {
            tracing::info!("a token is refused: no configured issuer has issued it");
            return Ok(None);
        };
        identity.grant(token).await
    }

    fn of(&self, issuer: &str) -> Option<&Identity> {
        let mut identities = self.0.iter();
        identities.find(|identity| identity.verifier.issuer == issuer)
    }
}

impl Identity {
    fn new(options: IdentityOptions) -> Self {
        Self {
            keys: Arc::new(Keys::new(
                options.issuer.clone(),
                options.keys,
                options.fetch,
                options.clock,
            )),
            verifier: Verifier {
                issuer: options.issuer,
                service: options.audience,
                algorithms: ALGORITHMS.to_vec(),
            },
            rules: options.rules,
            clock: options.clock,
        }
    }

    async fn grant(&self, token: &str) -> Result<Option<Grant>, Refusal> {
        let claims = match self.verified(token).await? {
            Ok(claims) => claims,
            Err(why) => {
                let issuer = &self.verifier.issuer;
                tracing::info!(issuer, "a token is refused: {why}");
                return Ok(None);
            }
        };
        let Some(rule) = self.rules.iter().find(|rule| rule.is_about(&claims)) else {
            let (issuer, subject) = (&self.verifier.issuer, claims.get("sub"));
            tracing::info!(issuer, ?subject, "a token is refused: no rule is about it");
            return Ok(None);
        };
        Ok(Some(Grant::of(&rule.user).among(rule.groups.clone())))
    }

    /// The claims. A key that is not known may be new.
    async fn verified(&self, token: &str) -> Result<Result<Map<String, Value>, Invalid>, Refusal> {
        let now = (self.clock)();
        let keys = self.keys.get().await.ok_or(Refusal::Unavailable)?;
        let verified = match self.verifier.verify_any(token, &keys, now) {
            Err(Invalid::Key) => match self.keys.newer(&keys).await {
                Some(keys) => self.verifier.verify_any(token, &keys, now),
                None => Err(Invalid::Key),
            },
            verified => verified,
        };
        Ok(verified)
    }
}

/// Whom a token says it is from, which may be a lie.
fn named(token: &str) -> Option<String> {
    let payload = BASE64.decode(token.split('.').nth(1)?).ok()?;
    let named: Named = crate::token::object(&payload)?;
    Some(named.iss)
}
