//! The one question.

use std::fmt;

use async_trait::async_trait;

use crate::access::Access;
use crate::challenge::Challenge;
use crate::grant::Grant;
use crate::privileged::{InvalidSignature, Signed};

/// What a request says about who makes it.
#[derive(Clone, Copy, Default)]
pub struct Attempt<'a> {
    /// The value of `Authorization`.
    pub authorization: Option<&'a str>,
    /// Whether nobody between the client and this machine reads along: a password may be asked for.
    pub confidential: bool,
    /// What it says in the headers of a privileged request.
    pub signed: Option<Signed<'a>>,
}

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Its maker has to say who it is, or to bring another token.
    #[error("authentication required")]
    Challenge(Challenge),
    /// It is known who its maker is, and they may not.
    #[error("denied")]
    Denied,
    /// A password would be read by others on its way.
    #[error("passwords are not asked for over plain HTTP")]
    Exposed,
    /// What is needed to know who its maker is cannot be had now.
    #[error("unavailable")]
    Unavailable,
    /// So many passwords are being checked that this one was not.
    #[error("too many passwords at once")]
    Busy,
    /// It is signed, and not as it would have to be.
    #[error(transparent)]
    Signature(#[from] InvalidSignature),
}

/// Decides who makes a request and whether they may.
#[async_trait]
pub trait AccessController: fmt::Debug + Send + Sync {
    /// Whether the maker of `attempt` may do all of `wanted`; with nothing wanted, whether they are
    /// somebody at all. Idempotent; what it needs of the outside it has read before, or keeps what
    /// it had.
    async fn authorize(&self, attempt: Attempt<'_>, wanted: &[Access]) -> Result<Grant, Refusal>;
}

/// Everybody may do everything: a registry without authentication.
#[derive(Clone, Copy, Debug)]
pub struct Everybody;

#[async_trait]
impl AccessController for Everybody {
    async fn authorize(&self, _: Attempt<'_>, _: &[Access]) -> Result<Grant, Refusal> {
        Ok(Grant::anonymous())
    }
}

/// Shows no credentials.
impl fmt::Debug for Attempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("authorization", &self.authorization.map(|_| "..."))
            .field("confidential", &self.confidential)
            .field("signed", &self.signed.is_some())
            .finish()
    }
}
