//! Who acts, and whether they may.
//!
//! One trait with one method, [`AccessController`]: what a request brings along and what it wants to
//! do go in, a [`Grant`] or a [`Refusal`] comes out. [`Silly`], [`Htpasswd`] and [`Token`] are
//! CNCF Distribution's controllers; [`Restricted`] puts access [`Rules`] on top of any of them, and
//! [`Issuer`] is the other side of [`Token`]: it makes the tokens that clients fetch. What counts as a
//! password is for [`Credentials`] to say: [`ApiKeys`] and the tokens of other issuers ([`Identities`])
//! as well. [`Privileged`] stands in front of it all for whoever has the key.
//!
//! Nothing here knows HTTP beyond the text of `Authorization` and of `WWW-Authenticate`.

mod access;
mod api_keys;
mod authorization;
mod challenge;
mod controller;
mod credentials;
mod either;
mod grant;
mod htpasswd;
mod identities;
mod issuer;
mod privileged;
mod restricted;
mod rules;
mod silly;
mod token;
mod watched;

pub use access::{Access, Action};
pub use api_keys::{ApiKey, ApiKeyFile, ApiKeys, InvalidKeyScope, KeyScope, NewKey, StoredKey};
pub use authorization::Authorization;
pub use challenge::{Challenge, ChallengeError, Realm, Scheme};
pub use controller::{AccessController, Attempt, Everybody, Refusal};
pub use credentials::{Credentials, Login};
pub use either::PasswordOrToken;
pub use grant::Grant;
pub use htpasswd::{Htpasswd, Passwords, Provisioned, Users, parse_users};
pub use identities::{
    Fetch, Identities, IdentityOptions, IdentityRule, InvalidIdentityRule, USER as IDENTITY_USER,
};
pub use issuer::{Issued, Issuer, IssuerOptions, Scope};
pub use privileged::{InvalidSignature, Privileged, Signed};
pub use restricted::Restricted;
pub use rules::{CurrentRules, Decision, InvalidRule, Pattern, Rule, Rules, Who};
pub use silly::Silly;
pub use token::{
    Algorithm, Claims, Invalid, Jwk, Jwks, PublicKey, ResourceActions, SigningKey, SigningKeys,
    Token, TokenOptions, Trusted, Verifier,
};

/// What tells the time: a constructor's argument, so that a test can be at any time.
pub type Clock = fn() -> std::time::SystemTime;

/// Why what a file says cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{path}: {cause}")]
    Read {
        /// The file.
        path: String,
        /// Why; no source, as it is in the text.
        cause: std::io::Error,
    },
    /// What it says makes no sense.
    #[error("{path}: {message}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        message: String,
    },
}
