//! What a key may do at most.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::access::Action;
use crate::rules::Pattern;

/// `repository:pattern:action,...`, with the patterns and actions of access rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyScope {
    repositories: Pattern,
    actions: BTreeSet<Action>,
}

/// A text is no scope of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no scope, as in \"repository:team/**:pull,push\": {1}")]
pub struct InvalidKeyScope(String, String);

impl KeyScope {
    /// Whether this is part of the scope.
    pub(crate) fn covers(&self, user: Option<&str>, repository: &str, action: Action) -> bool {
        self.actions.contains(&action) && self.repositories.matches(user, repository)
    }

    /// Whether some repository may be listed.
    pub(crate) fn lists(&self) -> bool {
        self.actions.contains(&Action::List)
    }
}

impl FromStr for KeyScope {
    type Err = InvalidKeyScope;

    fn from_str(text: &str) -> Result<Self, InvalidKeyScope> {
        let invalid = |why: String| InvalidKeyScope(text.to_owned(), why);
        let form = || invalid("it must have a type, a pattern and actions".to_owned());
        let (kind, rest) = text.split_once(':').ok_or_else(form)?;
        let (pattern, actions) = rest.split_once(':').ok_or_else(form)?;
        if kind != "repository" {
            return Err(invalid("the type must be repository".to_owned()));
        }
        let pattern: Result<Pattern, _> = pattern.parse();
        let actions = actions.split(',').map(str::parse::<Action>);
        let actions: Result<BTreeSet<_>, _> = actions.collect();
        Ok(Self {
            repositories: pattern.map_err(|error| invalid(error.to_string()))?,
            actions: actions.map_err(|error| invalid(error.to_string()))?,
        })
    }
}

impl fmt::Display for KeyScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actions: Vec<_> = self.actions.iter().map(|action| action.as_str()).collect();
        write!(f, "repository:{}:{}", self.repositories, actions.join(","))
    }
}

impl Serialize for KeyScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_written_as_it_is_read() {
        for text in ["repository:team/**:pull,push", "repository:a-*:list"] {
            assert_eq!(text.parse::<KeyScope>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_grants_nothing_is_no_scope() {
        for text in [
            "",
            "repository",
            "repository:a",
            "repository:a:",
            "repository:a:read",
            "repository:A:pull",
            "repository::pull",
            "registry:catalog:*",
        ] {
            assert!(text.parse::<KeyScope>().is_err(), "{text}");
        }
    }
}
