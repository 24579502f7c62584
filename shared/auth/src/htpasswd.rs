//! Distribution's `htpasswd`: names and passwords of a file.

mod passwords;
mod provision;
mod users;

use async_trait::async_trait;

use crate::access::Access;
use crate::authorization::Authorization;
use crate::challenge::{Challenge, Realm, Scheme};
use crate::controller::{AccessController, Attempt, Refusal};
use crate::credentials::Credentials;
use crate::grant::Grant;

pub use passwords::Passwords;
pub use provision::Provisioned;
pub use users::{Users, parse_users};

/// Lets in whoever has a password in the file. Any user may do anything, as with Distribution,
/// unless rules say otherwise.
#[derive(Debug)]
pub struct Htpasswd {
    realm: String,
    credentials: Credentials,
}

impl Htpasswd {
    /// The users of `credentials`, who are asked for them in the name of `realm`.
    pub fn new(realm: String, credentials: Credentials) -> Self {
        Self { realm, credentials }
    }
}

#[async_trait]
impl AccessController for Htpasswd {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        if !attempt.confidential && !self.credentials.may_be_exposed() {
            return Err(Refusal::Exposed);
        }
        if let Authorization::Basic { user, password } = Authorization::parse(attempt.authorization)
            && let Some(login) = self.credentials.log_in(&user, &password).await?
        {
            return login.granted(wanted);
        }
        Err(Refusal::Challenge(Challenge {
            scheme: Scheme::Basic,
            realm: Realm::Fixed(self.realm.clone()),
            wanted: wanted.to_vec(),
        }))
    }
}
