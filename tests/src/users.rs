//! Three people with passwords, and what they send.

use std::path::PathBuf;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::{Request, Store};

/// Somebody's name and password, with the hash that is in the password file: bcrypt at its lowest cost.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// The name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
    hash: &'static str,
}

/// An ordinary user.
pub const ANN: User = User {
    name: "ann",
    password: "ann's secret",
    hash: "$2b$04$Ya6eX2CxXMXrkhkJUHhWUu/5kLTX6klkp6P2pLwZFXHj5OiUt16CG",
};

/// Another ordinary user.
pub const BOB: User = User {
    name: "bob",
    password: "bob's secret",
    hash: "$2b$04$D6.T5vXPrgRm5HKWe020J.P9cUlYogj7WnCnm5hyN6gGWGVdm/IoO",
};

/// Who may do everything.
pub const ROOT: User = User {
    name: "root",
    password: "root's secret",
    hash: "$2b$04$3XZE2.CbK.BmQwlgpd7i4ewOopts7Q3DpWPl0.pXzq0b37SI5Zu2e",
};

impl User {
    /// The user's line in a password file.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{}:{}\n", self.name, self.hash)
    }

    /// The value of `Authorization`.
    #[must_use]
    pub fn basic(&self) -> String {
        basic(self.name, self.password)
    }
}

/// The value of `Authorization` for a name and a password.
#[must_use]
pub fn basic(name: &str, password: &str) -> String {
    let pair = BASE64_STANDARD.encode(format!("{name}:{password}"));
    format!("Basic {pair}")
}

/// A request by this user, or by nobody in particular.
#[must_use]
pub fn by(request: Request, user: Option<User>) -> Request {
    match user {
        Some(user) => request.header("Authorization", user.basic()),
        None => request,
    }
}

/// Writes a password file of all three beside a store, and gives its path.
///
/// # Panics
/// When it cannot be written.
#[must_use]
pub fn password_file(store: &Store) -> PathBuf {
    let path = store.scratch().join("htpasswd");
    let lines = [ANN, BOB, ROOT].map(|user| user.line()).concat();
    std::fs::write(&path, lines).expect("the password file can be written");
    path
}

/// The configuration of a registry with these users.
#[must_use]
pub fn htpasswd(store: &Store) -> Value {
    json!({ "htpasswd": { "realm": "a realm", "path": password_file(store) } })
}

/// The section `tokenserver`, empty unless there is to be one. All processes have its key: functions share
/// nothing else.
///
/// # Panics
/// When there is no randomness, or the key cannot be written.
#[must_use]
pub fn token_server(store: &Store, is_enabled: bool) -> Value {
    if !is_enabled {
        return json!({});
    }
    let path = store.scratch().join("token-key.pem");
    let key = rcgen::KeyPair::generate().expect("a key");
    std::fs::write(&path, key.serialize_pem()).expect("the key can be written");
    json!({ "enabled": true, "privatekey": path })
}
