//! A refusal as an answer.

use http::HeaderValue;
use http::header::{HOST, RETRY_AFTER, WWW_AUTHENTICATE};
use http::request::Parts;
use roadstead_auth::{Access, Challenge, Realm, Refusal};
use roadstead_oci::ErrorCode;
use serde_json::{Value, json};

use crate::client::Client;
use crate::error::Error;
use crate::forwarded;
use crate::response::value;
use crate::state::Api;
use crate::urls;

/// A refusal that is no challenge, as an error.
pub fn refused(refusal: &Refusal) -> Error {
    match refusal {
        Refusal::Challenge(_) => Error::new(ErrorCode::Unauthorized, Value::Null),
        Refusal::Denied => Error::new(ErrorCode::Denied, Value::Null),
        Refusal::Exposed => Error::new(
            ErrorCode::Denied,
            "passwords are refused over plain HTTP: use https, or see auth.htpasswd.plainhttp",
        ),
        Refusal::Unavailable => Error::new(ErrorCode::Unavailable, Value::Null),
        Refusal::Signature(why) => Error::new(ErrorCode::Denied, why.to_string()),
        Refusal::Busy => Error::new(ErrorCode::TooManyRequests, Value::Null)
            .with_header(RETRY_AFTER, HeaderValue::from_static("1")),
    }
}

/// Why, without a word about whether what was wanted exists.
pub(super) fn error(api: &Api, parts: &Parts, refusal: &Refusal, wanted: &[Access]) -> Error {
    match refusal {
        Refusal::Challenge(challenge) => challenged(api, parts, challenge),
        Refusal::Denied => Error::new(ErrorCode::Denied, described(wanted)),
        other => refused(other),
    }
}

fn challenged(api: &Api, parts: &Parts, challenge: &Challenge) -> Error {
    let header = challenge.header(&realm(api, parts, &challenge.realm));
    Error::new(ErrorCode::Unauthorized, described(&challenge.wanted))
        .with_header(WWW_AUTHENTICATE, value(&header))
}

/// What was wanted, with Distribution's words.
fn described(wanted: &[Access]) -> Value {
    let entries = wanted.iter().map(|access| {
        json!({
            "Type": access.kind(),
            "Class": "",
            "Name": access.name(),
            "Action": access.action(),
        })
    });
    match entries.collect::<Vec<_>>() {
        none if none.is_empty() => Value::Null,
        entries => entries.into(),
    }
}

fn realm(api: &Api, parts: &Parts, realm: &Realm) -> String {
    match realm {
        Realm::Fixed(realm) => realm.clone(),
        Realm::Here(path) => urls::below_prefix(api, parts, path),
        Realm::Host(path) => {
            let told = || forwarded::proto(&parts.headers);
            let client = Client::of(&parts.extensions);
            let scheme = client.is_proxied.then(told).flatten().unwrap_or("https");
            let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
            let authority = || parts.uri.authority().map(|authority| authority.as_str());
            let host = host.or_else(authority).filter(|host| urls::is_host(host));
            format!("{scheme}://{}{path}", host.unwrap_or_default())
        }
    }
}
