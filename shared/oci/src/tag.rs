//! Tags.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}` (specification, "Pulling manifests").
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The longest tag in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// The tag as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid tag")]
pub struct InvalidTag;

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(word);
        let rest = bytes.all(|b| word(b) || matches!(b, b'.' | b'-'));
        if !first || !rest || text.len() > Self::MAX_LENGTH {
            return Err(InvalidTag);
        }
        Ok(Self(Arc::from(text)))
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_follow_the_specifications_grammar() {
        let longest = "t".repeat(128);
        for good in [
            "a",
            "_",
            "1.0",
            "A-b_c.d",
            "sha256-abc.sig",
            "__",
            "a..b",
            &longest,
        ] {
            assert!(good.parse::<Tag>().is_ok(), "{good:?}");
        }
        let too_long = "t".repeat(129);
        for bad in [
            "", ".a", "-a", "a b", "a:b", "a/b", "a+b", "é", "a\n", "..", &too_long,
        ] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
    }
}
