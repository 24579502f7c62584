//! Patterns of repository names.

use std::fmt;
use std::str::FromStr;

use crate::rules::InvalidRule;

const USER: &str = "${user}";

/// A pattern of repository names, component by component: `*` stands for any part of one
/// component, `**` for one or more whole components, `${user}` for the name of the user.
///
/// There are no prefixes: `team` is the repository `team` and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    components: Vec<Component>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Component {
    /// Any number of components, also none.
    Many,
    One(String),
}

impl Pattern {
    /// Whether the pattern is about this repository when this user asks.
    pub fn matches(&self, user: Option<&str>, repository: &str) -> bool {
        let names: Vec<&str> = repository.split('/').collect();
        let is_many = |component: &Component| *component == Component::Many;
        glob(
            &self.components,
            &names,
            is_many,
            |component, name| matches!(component, Component::One(pattern) if matches_component(pattern, user, name)),
        )
    }
}

fn matches_component(pattern: &str, user: Option<&str>, name: &str) -> bool {
    let replaced = match (pattern.contains(USER), user.filter(|user| is_plain(user))) {
        (false, _) => None,
        (true, Some(user)) => Some(pattern.replace(USER, user)),
        (true, None) => return false,
    };
    let pattern = replaced.as_deref().unwrap_or(pattern);
    glob(
        pattern.as_bytes(),
        name.as_bytes(),
        |byte| *byte == b'*',
        |byte, other| byte == other,
    )
}

/// Whether a user's name can be part of a repository's: only then does it stand for itself.
fn is_plain(user: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
    !user.is_empty() && user.bytes().all(plain)
}

/// Whether `text` is `pattern`, in which what `is_star` stands for any number of items. In time
/// of the product of the two lengths at most.
pub(crate) fn glob<P, T>(
    pattern: &[P],
    text: &[T],
    is_star: impl Fn(&P) -> bool,
    equals: impl Fn(&P, &T) -> bool,
) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(item) if is_star(item) => {
                star = Some((p, t));
                p += 1;
            }
            Some(item) if equals(item, &text[t]) => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                p = at + 1;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(is_star)
}

impl FromStr for Pattern {
    type Err = InvalidRule;

    fn from_str(text: &str) -> Result<Self, InvalidRule> {
        let invalid = |why| InvalidRule::Pattern(text.to_owned(), why);
        let mut components = Vec::new();
        for component in text.split('/') {
            if component == "**" {
                components.extend([Component::One("*".to_owned()), Component::Many]);
                continue;
            }
            let plain = component.replace(USER, "");
            if component.is_empty() {
                return Err(invalid("a component is empty"));
            }
            if plain.contains("**") {
                return Err(invalid("** stands for whole components"));
            }
            let allowed =
                |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-*".contains(&b);
            if !plain.bytes().all(allowed) {
                return Err(invalid("repositories have a-z, 0-9, '.', '_', '-' and '/'"));
            }
            components.push(Component::One(component.to_owned()));
        }
        Ok(Self {
            text: text.to_owned(),
            components,
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_components_and_never_prefixes() {
        for (pattern, repository, matches) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a", "a/b", false),
            ("a/*", "a/b", true),
            ("a/*", "a", false),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**", "a/b/c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "c", false),
            ("a/**/d", "a/b/c/d", true),
            ("a/**/d", "a/d", false),
            ("scanner-*", "scanner-x", true),
            ("scanner-*", "scanner-x/y", false),
            ("*-*-z", "a-b-c-z", true),
            ("home/${user}", "home/ann", true),
            ("home/${user}", "home/${user}", false),
            ("x-${user}-*", "x-ann-1", true),
        ] {
            let parsed: Pattern = pattern.parse().unwrap();
            assert_eq!(
                parsed.matches(Some("ann"), repository),
                matches,
                "{pattern} {repository}"
            );
        }
    }

    #[test]
    fn a_pattern_that_no_repository_can_match_is_refused() {
        for pattern in [
            "", "/a", "a/", "a//b", "A", "a**", "**a", "a b", "${USER}", "$x",
        ] {
            assert!(pattern.parse::<Pattern>().is_err(), "{pattern}");
        }
    }
}
