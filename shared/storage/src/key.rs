//! Keys: where content lies, in every driver the same.

use std::fmt;
use std::sync::Arc;

use crate::Error;

/// A path of components `[A-Za-z0-9._-]+` joined by `/`, without a leading or trailing slash and
/// never with the components `.` or `..`; the empty key is the root, a prefix of all others.
///
/// The alphabet is that of CNCF Distribution's drivers, so each of its keys is a `Key`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The empty key: the prefix of all keys.
    pub fn root() -> Self {
        Self(Arc::from(""))
    }

    /// Parses `path`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] when `path` is not of the form that the type describes.
    pub fn new(path: &str) -> Result<Self, Error> {
        if path.is_empty() || path.split('/').all(is_component) {
            return Ok(Self(Arc::from(path)));
        }
        Err(Error::InvalidKey(path.to_owned()))
    }

    /// This key with the components of `path` appended.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidKey`] when a component of `path` is not of the accepted form.
    pub fn join(&self, path: &str) -> Result<Self, Error> {
        if !path.split('/').all(is_component) {
            return Err(Error::InvalidKey(path.to_owned()));
        }
        if self.0.is_empty() {
            return Ok(Self(Arc::from(path)));
        }
        Ok(Self(format!("{}/{path}", self.0).into()))
    }

    /// The key as a relative path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key without its last component; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.0.is_empty() {
            return None;
        }
        let parent = self.0.rsplit_once('/').map_or("", |(parent, _)| parent);
        Some(Self(Arc::from(parent)))
    }
}

fn is_component(component: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    !component.is_empty() && component != "." && component != ".." && component.bytes().all(allowed)
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_components_joined_by_slashes() {
        for good in ["", "a", "a/b", "A.b/c_d/e-f", "..a", "a..", "_uploads/0"] {
            assert_eq!(Key::new(good).unwrap().as_str(), good);
        }
        for bad in [
            "/", "/a", "a/", "a//b", ".", "a/..", "../a", "a b", "a\0", "a%2f", "é", "a:b", "a\\b",
        ] {
            assert!(Key::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn joining_and_the_parent_undo_each_other() {
        let key = Key::root().join("a/b").unwrap().join("c").unwrap();
        assert_eq!(key.as_str(), "a/b/c");
        assert_eq!(key.parent().unwrap().as_str(), "a/b");
        assert_eq!(Key::new("a").unwrap().parent(), Some(Key::root()));
        assert_eq!(Key::root().parent(), None);
        assert!(key.join("").is_err());
        assert!(key.join("../d").is_err());
    }
}
