//! The text of a key.

use std::fmt;

use aws_lc_rs::{digest, rand};

/// What every key begins with, for those who look for secrets where none should be.
const PREFIX: &str = "rsk_";

/// How many hexadecimal digits name a key.
const ID: usize = 12;

/// How many hexadecimal digits are its secret: 192 bits.
const SECRET: usize = 48;

/// A key: `rsk_`, 12 hexadecimal digits that name it, `_` and 48 that nobody else knows.
pub struct ApiKey(String);

/// What is kept of a key. It is as random as the hash is long, so that one round of SHA-256 hides
/// it: there is nothing to guess.
pub(super) type Hash = [u8; digest::SHA256_OUTPUT_LEN];

impl ApiKey {
    /// A new key.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub(super) fn generate() -> Result<Self, std::io::Error> {
        let mut random = [0; (ID + SECRET) / 2];
        rand::fill(&mut random).map_err(|_| std::io::Error::other("no randomness"))?;
        let digits = hexadecimal(&random);
        let (id, secret) = digits.split_at(ID);
        Ok(Self(format!("{PREFIX}{id}_{secret}")))
    }

    /// Reads a key; `None` for what has not its form.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        let is_key = id.len() == ID && secret.len() == SECRET;
        let is_key = is_key && id.bytes().chain(secret.bytes()).all(is_digit);
        is_key.then(|| Self(text.to_owned()))
    }

    /// What the key is called by those who may not know it.
    pub fn id(&self) -> &str {
        &self.0[PREFIX.len()..][..ID]
    }

    /// The whole key: for its owner, once.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> Hash {
        let mut hash = Hash::default();
        hash.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        hash
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Shows the name only.
impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKey").field(&self.id()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_the_form_of_a_key_is_one() {
        let key = ApiKey::generate().unwrap();
        let text = key.expose();
        assert_eq!(ApiKey::parse(text).unwrap().hash(), key.hash());
        assert!(!format!("{key:?}").contains(&text[17..]));
        for other in [
            "",
            "rsk_",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.to_uppercase(),
            &text.replace("rsk_", "rsk-"),
            &format!("{}g", &text[..text.len() - 1]),
        ] {
            assert!(ApiKey::parse(other).is_none(), "{other}");
        }
    }
}
