//! Passwords and tokens: users of a password file whose clients may also fetch tokens.

use async_trait::async_trait;

use crate::access::Access;
use crate::authorization::Authorization;
use crate::controller::{AccessController, Attempt, Refusal};
use crate::credentials::Credentials;
use crate::grant::Grant;
use crate::token::Token;

/// Takes tokens, and passwords where a client sends one unasked; challenges for tokens, which
/// every client can also fetch without a password.
#[derive(Debug)]
pub struct PasswordOrToken {
    credentials: Credentials,
    token: Token,
}

impl PasswordOrToken {
    /// Takes what either of the two takes.
    pub fn new(credentials: Credentials, token: Token) -> Self {
        Self { credentials, token }
    }
}

#[async_trait]
impl AccessController for PasswordOrToken {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        let Authorization::Basic { user, password } = Authorization::parse(attempt.authorization)
        else {
            return self.token.authorize(attempt, wanted).await;
        };
        if !attempt.confidential && !self.credentials.may_be_exposed() {
            return Err(Refusal::Exposed);
        }
        match self.credentials.log_in(&user, &password).await? {
            Some(login) => login.granted(wanted),
            None => Err(self.token.challenge(wanted, None)),
        }
    }
}
