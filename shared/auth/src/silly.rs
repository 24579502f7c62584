//! Distribution's `silly`: whoever says anything is let in. For development.

use async_trait::async_trait;

use crate::access::Access;
use crate::challenge::{Challenge, Realm, Scheme};
use crate::controller::{AccessController, Attempt, Refusal};
use crate::grant::Grant;

/// Lets in everything that has an `Authorization`, as the user `silly`.
#[derive(Clone, Debug)]
pub struct Silly {
    /// The realm of the challenge.
    pub realm: String,
    /// The service of the challenge.
    pub service: String,
}

#[async_trait]
impl AccessController for Silly {
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal> {
        if attempt.authorization.is_some_and(|value| !value.is_empty()) {
            return Ok(Grant::of("silly"));
        }
        Err(Refusal::Challenge(Challenge {
            scheme: Scheme::Silly {
                service: self.service.clone(),
            },
            realm: Realm::Fixed(self.realm.clone()),
            wanted: wanted.to_vec(),
        }))
    }
}
