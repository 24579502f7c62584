//! As whom the bearer of a token acts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::rules::glob;

/// What a token must claim, and as whom its bearer then acts.
#[derive(Clone, Debug)]
pub struct IdentityRule {
    claims: BTreeMap<String, String>,
    pub(super) user: String,
    pub(super) groups: Arc<BTreeSet<String>>,
}

/// A rule makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidIdentityRule {
    /// Everybody whom the issuer knows would be let in: on a public one, that is anybody.
    #[error("a rule demands no claim: give it claims that only your own tokens have")]
    Everybody,
    /// Its bearers would be nobody.
    #[error("a rule has no user")]
    Nobody,
}

impl IdentityRule {
    /// Bearers of tokens that have all of `claims` act as `user`, who is in `groups` as well. In a
    /// claim's value, `*` stands for any text.
    ///
    /// # Errors
    ///
    /// It would be about everybody, or makes them nobody.
    pub fn new(
        claims: BTreeMap<String, String>,
        user: String,
        groups: BTreeSet<String>,
    ) -> Result<Self, InvalidIdentityRule> {
        if user.is_empty() {
            return Err(InvalidIdentityRule::Nobody);
        }
        let says_nothing = |value: &String| value.bytes().all(|byte| byte == b'*');
        if claims.values().all(says_nothing) {
            return Err(InvalidIdentityRule::Everybody);
        }
        Ok(Self {
            claims,
            user,
            groups: Arc::new(groups),
        })
    }

    /// Whether a token with these claims fulfils the rule. A list or an object fulfils nothing.
    pub(super) fn is_about(&self, claims: &Map<String, Value>) -> bool {
        self.claims.iter().all(|(name, pattern)| {
            let claimed = match claims.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Bool(flag)) => flag.to_string(),
                Some(Value::Number(number)) => number.to_string(),
                _ => return false,
            };
            let is_star = |byte: &u8| *byte == b'*';
            let equals = |byte: &u8, other: &u8| byte == other;
            glob(pattern.as_bytes(), claimed.as_bytes(), is_star, equals)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(claims: &[(&str, &str)]) -> Result<IdentityRule, InvalidIdentityRule> {
        let text = |text: &&str| (*text).to_owned();
        let claims = claims.iter().map(|(name, value)| (text(name), text(value)));
        IdentityRule::new(claims.collect(), "ci".to_owned(), BTreeSet::new())
    }

    #[test]
    fn every_claim_must_be_there() {
        let claims = json!({
            "repository": "acme/app", "ref": "refs/heads/main", "run": 7, "ok": true,
            "list": ["acme/app"], "nothing": null,
        });
        let claims = claims.as_object().unwrap();
        for (demanded, fulfilled) in [
            (&[("repository", "acme/app")][..], true),
            (&[("repository", "acme/*"), ("ref", "refs/heads/*")], true),
            (
                &[("repository", "acme/app"), ("run", "7"), ("ok", "true")],
                true,
            ),
            (&[("repository", "acme/app"), ("ref", "refs/tags/*")], false),
            (&[("repository", "acme/ap")], false),
            (&[("repository", "cme/app")], false),
            (&[("repository", "Acme/app")], false),
            (&[("list", "acme/app")], false),
            (&[("nothing", "null")], false),
            (&[("repository", "acme/app"), ("absent", "*")], false),
        ] {
            let about = rule(demanded).unwrap().is_about(claims);
            assert_eq!(about, fulfilled, "{demanded:?}");
        }
    }

    #[test]
    fn a_rule_about_everybody_is_refused() {
        for claims in [
            &[][..],
            &[("sub", "*")],
            &[("sub", "")],
            &[("a", "*"), ("b", "**")],
        ] {
            let refused = rule(claims).unwrap_err();
            assert_eq!(refused, InvalidIdentityRule::Everybody, "{claims:?}");
        }
        let claims = BTreeMap::from([("sub".to_owned(), "x".to_owned())]);
        let refused = IdentityRule::new(claims, String::new(), BTreeSet::new());
        assert_eq!(refused.unwrap_err(), InvalidIdentityRule::Nobody);
    }
}
