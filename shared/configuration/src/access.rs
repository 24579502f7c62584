//! `access` and `tokenserver`: Roadstead's own sections beside `auth`.

use std::time::Duration;

use crate::schema::{BOOL, DURATION, TEXT, TEXTS, entries, section};

section! {
    /// `access`.
    Access {
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
    /// `tokenserver`.
    TokenServer {
        /// Issues tokens at `/auth/token`, and publishes what verifies them at `/auth/keys`.
        enabled: bool = BOOL;
        /// The file of the key that signs, in PEM: RSA, P-256, P-384, P-521 or Ed25519. Without one, each process makes its own, and other replicas do not know it.
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
