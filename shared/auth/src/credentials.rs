//! What counts as the password of a user.

use std::sync::Arc;

use crate::access::Access;
use crate::api_keys::{ApiKey, ApiKeys};
use crate::controller::Refusal;
use crate::grant::Grant;
use crate::htpasswd::Passwords;
use crate::identities::{Identities, USER};

/// The passwords of users, and what stands in for them. Clones are the same.
#[derive(Clone, Debug)]
pub struct Credentials {
    passwords: Arc<Passwords>,
    keys: Option<Arc<ApiKeys>>,
    identities: Option<Arc<Identities>>,
}

/// Somebody who has said who they are.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who, and what they may do.
    pub grant: Grant,
    /// Whether it was by a password: only then is there something that a refresh token can end with.
    pub(crate) by_password: bool,
}

impl Login {
    pub(crate) fn by_password(user: &str) -> Self {
        Self {
            grant: Grant::of(user),
            by_password: true,
        }
    }

    /// The grant, if it allows all of `wanted`.
    pub(crate) fn granted(self, wanted: &[Access]) -> Result<Grant, Refusal> {
        match wanted.iter().all(|access| self.grant.allows(access)) {
            true => Ok(self.grant),
            false => Err(Refusal::Denied),
        }
    }

    fn otherwise(grant: Grant) -> Self {
        Self {
            grant,
            by_password: false,
        }
    }
}

impl From<Arc<Passwords>> for Credentials {
    /// Passwords alone.
    fn from(passwords: Arc<Passwords>) -> Self {
        Self {
            passwords,
            keys: None,
            identities: None,
        }
    }
}

impl Credentials {
    /// Also takes API keys of users who have a password.
    #[must_use]
    pub fn with_api_keys(mut self, keys: Option<Arc<ApiKeys>>) -> Self {
        self.keys = keys;
        self
    }

    /// Also takes tokens of these issuers, as the password of the user `oidc`.
    #[must_use]
    pub fn with_identities(mut self, identities: Option<Arc<Identities>>) -> Self {
        self.identities = identities;
        self
    }

    /// Whether they may come over plain HTTP.
    pub fn may_be_exposed(&self) -> bool {
        self.passwords.may_be_exposed()
    }

    /// Who this is, if the password is theirs. What has the form of an API key is never taken for a
    /// password: no guess at one costs the work that a password does.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`]: too many passwords are being checked. [`Refusal::Unavailable`]: the keys of
    /// a token's issuer cannot be had.
    pub async fn log_in(&self, user: &str, password: &str) -> Result<Option<Login>, Refusal> {
        if let Some(identities) = self.identities.as_ref().filter(|_| user == USER) {
            let grant = identities.grant(password).await?;
            return Ok(grant.map(Login::otherwise));
        }
        if let (Some(keys), Some(key)) = (&self.keys, ApiKey::parse(password)) {
            let grant = keys.grant(user, &key).await;
            let is_known = self.passwords.fingerprint(user).await.is_some();
            return Ok(grant.filter(|_| is_known).map(Login::otherwise));
        }
        let is_password = self.passwords.check(user, password).await?;
        Ok(is_password.then(|| Login::by_password(user)))
    }

    /// What changes when a user's password does.
    pub(crate) async fn fingerprint(&self, user: &str) -> Option<String> {
        self.passwords.fingerprint(user).await
    }
}
