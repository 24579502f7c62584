//! The lines of a password file.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

/// The costs of bcrypt that are taken: those that Apache's `htpasswd` makes. More would let a line
/// of the file keep a processor busy for hours.
const COSTS: RangeInclusive<u32> = 4..=17;

/// The cost for unknown users when the file has none: that of Distribution's own entries.
const DEFAULT_COST: u32 = 10;

/// The users of a password file.
#[derive(Clone, Default)]
pub struct Users {
    hashes: HashMap<String, String>,
    /// Stands in for the hash of a user who is not there, at the cost of one who is.
    stand_in: String,
    /// How many lines have a hash that is not bcrypt's.
    pub(crate) ignored: usize,
}

impl Users {
    /// The hash of a user's password.
    pub(crate) fn hash(&self, user: &str) -> Option<&str> {
        self.hashes.get(user).map(String::as_str)
    }

    /// A hash that no password has, and that takes as long to find out as those of the users.
    pub(crate) fn stand_in(&self) -> &str {
        &self.stand_in
    }

    /// Whether this user is there.
    pub fn contains(&self, user: &str) -> bool {
        self.hashes.contains_key(user)
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is no user.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Reads `user:hash` lines. Empty lines and those that begin with `#` say nothing; of two lines
/// for a user the last counts; lines with another hash than bcrypt's (`$2a$`, `$2b$`, `$2y$`) are
/// left out and counted.
///
/// # Errors
///
/// The number of a line without a colon: this is no password file, or not all of one.
pub fn parse_users(text: &str) -> Result<Users, usize> {
    let mut users = Users::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, hash) = line.split_once(':').ok_or(index + 1)?;
        let hash = hash.trim_end();
        match cost(hash) {
            Some(_) if !user.is_empty() => {
                users.hashes.insert(user.to_owned(), hash.to_owned());
            }
            _ => {
                users.hashes.remove(user);
                users.ignored += 1;
            }
        }
    }
    let costs = users.hashes.values().filter_map(|hash| cost(hash));
    let cost = costs.max().unwrap_or(DEFAULT_COST);
    users.stand_in = format!("$2y${cost:02}${}", ".".repeat(53));
    Ok(users)
}

/// The cost of a bcrypt hash; `None` for what is none.
fn cost(hash: &str) -> Option<u32> {
    let rest = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .find_map(|version| hash.strip_prefix(version))?;
    let (cost, rest) = rest.split_once('$')?;
    let is_hash = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    let is_whole = rest.len() == 53 && rest.bytes().all(is_hash);
    let cost: u32 = (cost.len() == 2).then(|| cost.parse().ok()).flatten()?;
    (is_whole && COSTS.contains(&cost)).then_some(cost)
}

/// Shows no hash.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuPHYcEVMv8OqPVWqC8gbu6/Jbx1mNDAW";

    #[test]
    fn only_bcrypt_counts() {
        let text = format!(
            "# users\n\n  ann:{HASH}\nbob:$apr1$x$y\neve:plain\ndan:{{SHA}}x\r\n:{HASH}\n\
             old:{HASH}\nold:plain\ncostly:$2y$31${}\nann2:{HASH}\r\nünï:{HASH}",
            ".".repeat(53)
        );
        let users = parse_users(&text).unwrap();
        let mut names: Vec<_> = users.hashes.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["ann", "ann2", "ünï"]);
        assert_eq!(users.ignored, 6);
        assert_eq!(users.hash("ann2"), Some(HASH));
        assert!(users.stand_in().starts_with("$2y$05$"));
    }

    #[test]
    fn a_line_without_a_colon_is_an_error() {
        assert_eq!(parse_users("a:b\nhalf").unwrap_err(), 2);
        assert!(parse_users("").unwrap().is_empty());
    }

    #[test]
    fn the_stand_in_is_checked_like_any_hash() {
        let users = parse_users(&format!("a:{HASH}")).unwrap();
        for password in ["", "a", "abc"] {
            assert!(!bcrypt::verify(password, users.stand_in()).unwrap());
        }
    }
}
