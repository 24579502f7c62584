//! Passwords and tokens: users of a password file whose clients may also fetch tokens.

use std::sync::Arc;

use async_trait::async_trait;

use crate::access::Access;
use crate::authorization::Authorization;
use crate::controller::{AccessController, Attempt, Refusal};
use crate::grant::Grant;
use crate::htpasswd::Passwords;
use crate::token::Token;

/// Takes tokens, and passwords where a client sends one unasked; challenges for tokens, which
/// every client can also fetch without a password.
#[derive(Debug)]
pub struct PasswordOrToken {
    passwords: Arc<Passwords>,
    token: Token,
}

impl PasswordOrToken {
    /// Takes what either of the two takes.
    pub fn new(passwords: Arc<Passwords>, token: Token) -> Self {
        Self { passwords, token }
    }
}

#[async_trait]
impl AccessController for PasswordOrToken {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        let Authorization::Basic { user, password } = Authorization::parse(attempt.authorization)
        else {
            return self.token.authorize(attempt, wanted).await;
        };
        if !attempt.confidential && !self.passwords.may_be_exposed() {
            return Err(Refusal::Exposed);
        }
        match self.passwords.check(&user, &password).await? {
            true => Ok(Grant::of(&user)),
            false => Err(self.token.challenge(wanted, None)),
        }
    }
}
