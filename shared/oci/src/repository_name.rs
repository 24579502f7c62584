//! Names of repositories.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a repository: components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by `/`
/// (specification, "Pulling manifests"), at most [`RepositoryName::MAX_LENGTH`] bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// The longest name in bytes: the limit of Distribution and of common clients.
    pub const MAX_LENGTH: usize = 255;

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is no repository name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid repository name")]
pub struct InvalidName;

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.len() > Self::MAX_LENGTH || !text.split('/').all(is_component) {
            return Err(InvalidName);
        }
        Ok(Self(Arc::from(text)))
    }
}

/// Alphanumeric runs, with one `.`, `_`, `__` or any number of `-` between two of them.
fn is_component(component: &str) -> bool {
    let bytes = component.as_bytes();
    let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    alphanumeric(first)
        && alphanumeric(last)
        && bytes.split(|b| alphanumeric(b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_specifications_grammar() {
        for good in [
            "a",
            "0",
            "a/b",
            "a-b",
            "a--b",
            "a---b",
            "a.b",
            "a_b",
            "a__b",
            "a0/b-1/c.d",
            "library/ubuntu",
            "blobs",
            "manifests/tags/list",
            "blobs/uploads",
            "v2",
        ] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a/B",
            "-a",
            "a-",
            ".a",
            "a.",
            "_a",
            "a_",
            "a..b",
            "a___b",
            "a._b",
            "a-_b",
            "a.-b",
            ".",
            "..",
            "a/../b",
            "a b",
            "a:b",
            "a%2fb",
            "é",
            "a\\b",
            "a\0",
            "a\n",
            "_uploads",
            "a/_manifests",
            "а",
        ] {
            assert!(bad.parse::<RepositoryName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
        assert!("a".repeat(256).parse::<RepositoryName>().is_err());
    }
}
