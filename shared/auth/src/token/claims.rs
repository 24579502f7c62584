//! What a token says.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::access::Access;

/// The claims of a token (RFC 7519, section 4.1; the Docker token specification for `access`).
/// `iat` and `jti` say nothing about whether it counts.
#[derive(Clone, Debug)]
pub struct Claims {
    /// `iss`.
    pub issuer: String,
    /// `sub`: the user; empty for none.
    pub subject: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `exp`, in seconds since the epoch; a token without one has expired.
    pub expires: f64,
    /// `nbf`.
    pub not_before: f64,
    /// `jti`.
    pub id: String,
    /// `roadstead_groups`: the groups of the user, of whom a registry's own rules need not know.
    pub groups: Arc<BTreeSet<String>>,
    /// `access`.
    pub access: Arc<[ResourceActions]>,
}

/// What may be done to one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceActions {
    /// `repository` or `registry`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The actions; `*` is all of them.
    #[serde(default, deserialize_with = "nullable")]
    pub actions: Vec<String>,
}

impl ResourceActions {
    /// Whether this permits an access. Types and names are compared as a whole.
    pub fn covers(&self, access: &Access) -> bool {
        let granted = |action: &String| action == "*" || action == access.action();
        self.kind == access.kind() && self.name == access.name() && self.actions.iter().any(granted)
    }
}

#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    sub: Option<String>,
    #[serde(default)]
    aud: Option<Audience>,
    #[serde(default)]
    exp: Option<Number>,
    #[serde(default)]
    nbf: Option<Number>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(default)]
    access: Option<Vec<ResourceActions>>,
    #[serde(default)]
    roadstead_groups: Option<BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Reads claims; a claim that is there twice, or is of another type, makes them none.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let written: Written = super::object(json)?;
        let time = |number: Option<Number>| number.map_or(Some(0.0), |number| number.as_f64());
        Some(Self {
            issuer: written.iss.unwrap_or_default(),
            subject: written.sub.unwrap_or_default(),
            audience: match written.aud {
                None => Vec::new(),
                Some(Audience::One(one)) => vec![one],
                Some(Audience::Many(many)) => many,
            },
            expires: time(written.exp)?,
            not_before: time(written.nbf)?,
            id: written.jti.unwrap_or_default(),
            groups: Arc::new(written.roadstead_groups.unwrap_or_default()),
            access: written.access.unwrap_or_default().into(),
        })
    }
}

fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}
