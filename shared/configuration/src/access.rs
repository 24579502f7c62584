//! `access`, `apikeys`, `oidc` and `tokenserver`: Roadstead's own sections beside `auth`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::schema::{BOOL, DURATION, MAP, TEXT, TEXTS, entries, section};

section! {
    /// `access`.
    Access {
        /// A file with `groups` and `rules`, in the place of those here; read again when it changes.
        path: Option<String> = TEXT;
        /// Names for several users.
        groups: Vec<Group> = entries(Group::KEYS);
        /// Who may do what: the first rule about a user, a repository and an action decides; without one, they may not. An empty list permits nothing.
        rules: Vec<Rule> = entries(Rule::KEYS);
    }
}

section! {
    /// An entry of `access.groups`.
    Group {
        /// The group's name.
        name: Option<String> = TEXT;
        /// Its users.
        users: Vec<String> = TEXTS;
    }
}

section! {
    /// An entry of `access.rules`.
    Rule {
        /// The users it is about; `*` is everybody who has logged in.
        users: Vec<String> = TEXTS;
        /// The groups it is about.
        groups: Vec<String> = TEXTS;
        /// Is about everybody, also those who have not logged in.
        anonymous: bool = BOOL;
        /// The repositories it is about: names in which `*` stands for a part of a component, `**` for whole components, `${user}` for the user.
        repositories: Vec<String> = TEXTS;
        /// What they may do: `pull`, `push`, `delete`, and `list`, which is to see them in the catalog.
        allow: Vec<String> = TEXTS;
        /// What they may not do.
        deny: Vec<String> = TEXTS;
    }
}

section! {
    /// `apikeys`.
    ApiKeys {
        /// The file of the keys' hashes, which `roadstead api-key` writes; made where it is missing, and read again when it changes.
        path: Option<String> = TEXT;
    }
}

section! {
    /// `oidc`.
    Oidc {
        /// The issuers whose tokens are taken as the password of the user `oidc`.
        issuers: Vec<OidcIssuer> = entries(OidcIssuer::KEYS);
    }
}

section! {
    /// An entry of `oidc.issuers`.
    OidcIssuer {
        /// The issuer, as its tokens name it: an `https` URL, below which its discovery document is.
        issuer: Option<String> = TEXT;
        /// Whom the tokens must be for.
        audience: Option<String> = TEXT;
        /// The URL of the issuer's keys; unset: the one in the discovery document.
        jwksuri: Option<String> = TEXT;
        /// A file of the certificate authorities, in PEM, that the issuer's certificate may be from, in the place of those of this machine.
        ca: Option<String> = TEXT;
        /// Also takes `http` URLs, of this machine itself only.
        plainhttp: bool = BOOL;
        /// As whom the bearers of tokens act: the first rule whose claims a token has decides; without one, the token is refused.
        rules: Vec<OidcRule> = entries(OidcRule::KEYS);
    }
}

section! {
    /// An entry of `oidc.issuers[].rules`.
    OidcRule {
        /// The claims that a token must have, all of them; in values `*` stands for any text.
        claims: BTreeMap<String, serde_json::Value> = MAP;
        /// The user that the bearer acts as.
        user: Option<String> = TEXT;
        /// The groups of `access.groups` that the bearer is in, besides those of the user.
        groups: Vec<String> = TEXTS;
    }
}

section! {
    /// `tokenserver`.
    TokenServer {
        /// Issues tokens at `/auth/token`, and publishes what verifies them at `/auth/keys`.
        enabled: bool = BOOL;
        /// The file of the key that signs, in PEM: RSA, P-256, P-384, P-521 or Ed25519. Without one, each process makes its own, and other replicas do not know it. Read again when it changes; of several keys the first signs, and all verify.
        privatekey: Option<String> = TEXT;
        /// The password file of the users, where `auth` has none.
        htpasswd: Option<String> = TEXT;
        /// The issuer that tokens name, where `auth.token` names none.
        issuer: String = TEXT.default("roadstead");
        /// The service that tokens are for, where `auth.token` names none.
        service: String = TEXT.default("roadstead");
        /// How long a token counts.
        expiration: Duration = DURATION.default("5m").zero_is_default();
        /// How long clients can get further tokens without the password; none with `0s`, or without `privatekey`.
        refreshexpiration: Duration = DURATION.default("720h");
    }
}
