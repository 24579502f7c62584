//! Digests: what content is called.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A hash function by which content is named: the registered algorithms of the image
/// specification ("Registered algorithms"), and sha384 as Distribution knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, the canonical one: content is stored under it.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// The algorithm's name in a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha384 => "sha384",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// How many lower-case hexadecimal digits a digest of this algorithm has.
    pub fn hex_length(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha384 => 96,
            Algorithm::Sha512 => 128,
        }
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        match text {
            "sha256" => Ok(Algorithm::Sha256),
            "sha384" => Ok(Algorithm::Sha384),
            "sha512" => Ok(Algorithm::Sha512),
            _ => Err(InvalidDigest::Algorithm),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `<algorithm>:<hex>` with an [`Algorithm`] and its full number of lower-case digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    text: Arc<str>,
}

impl Digest {
    /// The digest with these raw bytes.
    pub(crate) fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Self {
        use fmt::Write;
        let mut text = format!("{algorithm}:");
        for byte in bytes {
            write!(text, "{byte:02x}").ok();
        }
        Self {
            algorithm,
            text: text.into(),
        }
    }

    /// The hash function.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal part.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.as_str().len() + 1..]
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The tag under which clients keep this subject's referrers when a registry has no
    /// referrers API (specification, "Referrers Tag Schema"), `sha256-<hex>` for example.
    pub fn referrers_tag(&self) -> String {
        let hex = self.hex();
        format!("{}-{}", self.algorithm, &hex[..hex.len().min(64)])
    }
}

/// Why a text is no digest; the messages are those of Distribution's digest library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    /// There is no colon, or a character that no digest has.
    #[error("invalid checksum digest format")]
    Format,
    /// The hash function is not known here.
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// The hexadecimal part is too short or too long.
    #[error("invalid checksum digest length")]
    Length,
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        let (algorithm, hex) = text.split_once(':').ok_or(InvalidDigest::Format)?;
        let algorithm: Algorithm = algorithm.parse()?;
        if hex.len() != algorithm.hex_length() {
            return Err(InvalidDigest::Length);
        }
        if !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidDigest::Format);
        }
        Ok(Self {
            algorithm,
            text: Arc::from(text),
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_an_algorithm_and_its_full_lower_case_hex() {
        for (algorithm, length) in [("sha256", 64), ("sha384", 96), ("sha512", 128)] {
            let text = format!("{algorithm}:{}", "0a".repeat(length / 2));
            let digest: Digest = text.parse().unwrap();
            assert_eq!(digest.as_str(), text);
            assert_eq!(digest.hex().len(), length);
            assert_eq!(digest.algorithm().as_str(), algorithm);
        }
    }

    #[test]
    fn what_is_no_digest_says_why() {
        let hex = "a".repeat(64);
        for (bad, why) in [
            (String::new(), InvalidDigest::Format),
            ("sha256".into(), InvalidDigest::Format),
            (hex.clone(), InvalidDigest::Format),
            ("sha256:".into(), InvalidDigest::Length),
            ("sha256:../../etc/passwd".into(), InvalidDigest::Length),
            (format!("sha256:{hex}a"), InvalidDigest::Length),
            (format!("sha512:{hex}"), InvalidDigest::Length),
            (format!("sha256:{}", "A".repeat(64)), InvalidDigest::Format),
            (
                format!("sha256:{}", "../".repeat(21) + "x"),
                InvalidDigest::Format,
            ),
            (format!("SHA256:{hex}"), InvalidDigest::Algorithm),
            (format!("md5:{hex}"), InvalidDigest::Algorithm),
            (format!("sha256+b64:{hex}"), InvalidDigest::Algorithm),
        ] {
            assert_eq!(bad.parse::<Digest>(), Err(why), "{bad:?}");
        }
    }

    #[test]
    fn the_referrers_tag_is_truncated_to_64_digits() {
        let digest: Digest = format!("sha512:{}", "a".repeat(128)).parse().unwrap();
        assert_eq!(digest.referrers_tag(), format!("sha512-{}", "a".repeat(64)));
    }
}
