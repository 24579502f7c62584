//! `auth`: who may do what.

use serde::Deserialize;

use crate::schema::{BOOL, Key, OneOf, TEXT, TEXTS, nested, one_of, section};

/// `auth`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Auth {
    /// How users are told apart; without one, everybody may do everything.
    pub provider: Option<Provider>,
}

pub(crate) const AUTH: Key = one_of(OneOf {
    field: "provider",
    noun: "authentication type",
    variants: Providers::KEYS,
    settings: &[],
    required: false,
});

/// How users are told apart.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Provider {
    /// Not at all: the same as no provider.
    None(NoAuth),
    /// Any `Authorization` header passes: for development.
    Silly(Silly),
    /// A password file.
    Htpasswd(Htpasswd),
    /// Tokens of a token server.
    Token(Token),
}

struct Providers;

impl Providers {
    const KEYS: &'static [Key] = &[
        nested(NoAuth::KEYS).named("none", "Everybody may do everything, as without `auth`."),
        nested(Silly::KEYS).named(
            "silly",
            "Any `Authorization` header passes: for development.",
        ),
        nested(Htpasswd::KEYS).named("htpasswd", "Users and passwords in a file."),
        nested(Token::KEYS).named("token", "Tokens of a token server."),
    ];
}

section! {
    /// `auth.none`: it takes no parameters.
    NoAuth {}
}

section! {
    /// `auth.silly`.
    Silly {
        /// The realm of the challenge.
        realm: Option<String> = TEXT;
        /// The service of the challenge.
        service: Option<String> = TEXT;
    }
}

section! {
    /// `auth.htpasswd`.
    Htpasswd {
        /// The realm of the challenge.
        realm: Option<String> = TEXT;
        /// The password file: bcrypt only. One that is missing is made, with a password that is shown once.
        path: Option<String> = TEXT;
        /// Takes passwords over plain HTTP also from other machines that are no trusted proxies.
        plainhttp: bool = BOOL.differs("Roadstead's own; Distribution always takes them.");
    }
}

section! {
    /// `auth.token`.
    Token {
        /// The URL of the token server.
        realm: Option<String> = TEXT;
        /// The service that a token must be for.
        service: Option<String> = TEXT;
        /// The issuer that a token must be from.
        issuer: Option<String> = TEXT;
        /// A file with the certificates that sign tokens.
        rootcertbundle: Option<String> = TEXT;
        /// A file with the keys that sign tokens.
        jwks: Option<String> = TEXT;
        /// Makes the realm from the request's host.
        autoredirect: bool = BOOL;
        /// The path of that realm.
        autoredirectpath: String = TEXT.default("/auth/token");
        /// The signature algorithms that are taken; empty: all but `none`.
        signingalgorithms: Vec<String> = TEXTS;
    }
}
