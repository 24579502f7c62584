//! Scopes: what clients ask tokens for.

use crate::token::ResourceActions;

/// The most resources of one request for a token, and the most actions on one.
const MOST: usize = 100;

/// A scope: `type[(class)]:name:action,...`. The name may have colons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// `repository` or `registry`; another type is granted nothing.
    pub kind: String,
    /// The name of the resource.
    pub name: String,
    /// The actions.
    pub actions: Vec<String>,
}

impl Scope {
    /// The scopes of a text, which blanks separate. What is no scope is left out: nothing is
    /// granted for it.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Self> {
        let scopes = texts.into_iter().flat_map(str::split_whitespace);
        scopes.filter_map(Self::parse).take(MOST).collect()
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let kind = kind.split_once('(').map_or(kind, |(kind, _)| kind);
        let actions = actions.split(',').filter(|action| !action.is_empty());
        Some(Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions: actions.take(MOST).map(str::to_owned).collect(),
        })
    }
}

/// What was granted, as a scope.
pub(super) fn written(access: &[ResourceActions]) -> String {
    let scopes = access.iter().map(|granted| {
        let actions = granted.actions.join(",");
        format!("{}:{}:{actions}", granted.kind, granted.name)
    });
    scopes.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_clients_write_them() {
        let scope = |kind: &str, name: &str, actions: &[&str]| Scope {
            kind: kind.to_owned(),
            name: name.to_owned(),
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        };
        let texts = [
            "repository:a/b:pull,push repository(plugin):c:pull",
            "registry:catalog:*",
            "repository:host:5000/a:pull nonsense repository:only",
            "repository:a:",
        ];
        assert_eq!(
            Scope::parse_all(texts),
            [
                scope("repository", "a/b", &["pull", "push"]),
                scope("repository", "c", &["pull"]),
                scope("registry", "catalog", &["*"]),
                scope("repository", "host:5000/a", &["pull"]),
                scope("repository", "a", &[]),
            ]
        );
    }
}
