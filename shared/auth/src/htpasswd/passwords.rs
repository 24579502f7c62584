//! Checking passwords: off the async threads, a few at a time, and not twice in a row.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::{digest, hmac, rand};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use super::users::{Users, parse_users};
use crate::FileError;
use crate::controller::Refusal;
use crate::watched::{EVERY, Watched};

/// How long a pair counts that was found right.
const REMEMBERED: Duration = Duration::from_secs(60);

/// How many pairs are remembered.
const REMEMBERED_PAIRS: usize = 10_000;

/// How many checks may wait for their turn; one takes some 0.1 s.
const WAITING: usize = 256;

type Tag = [u8; digest::SHA256_OUTPUT_LEN];

/// The passwords of a file.
///
/// That a pair is right is remembered for a minute, as a MAC under a key that this process has made
/// for itself, over the pair and the hash that it was checked against: another line in the file
/// counts at once.
pub struct Passwords {
    users: Watched<Users>,
    key: hmac::Key,
    right: Cache<Tag, Instant>,
    working: Arc<Semaphore>,
    waiting: Semaphore,
    exposed: bool,
}

impl Passwords {
    /// The passwords of the file at `path`. `exposed` permits to take them over plain HTTP.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no password file.
    pub fn open(path: PathBuf, exposed: bool) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let users = Watched::open(vec![path], EVERY, move |contents| users(&shown, contents))?;
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            users,
            key: key()?,
            right: Cache::new(REMEMBERED_PAIRS),
            working: Arc::new(Semaphore::new(processors.div_ceil(2))),
            waiting: Semaphore::new(WAITING),
            exposed,
        })
    }

    /// Whether passwords may come over plain HTTP.
    pub fn may_be_exposed(&self) -> bool {
        self.exposed
    }

    /// Whether this is the password of this user. An unknown user takes as long as a known one.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`]: too many are being checked.
    pub async fn check(&self, user: &str, password: &str) -> Result<bool, Refusal> {
        let users = self.users.get().await;
        let hash = users.hash(user);
        let tag = self.tag(user, password, hash.unwrap_or_default());
        if self.is_remembered(&tag) {
            return Ok(true);
        }
        let _waiting = self.waiting.try_acquire().map_err(|_| Refusal::Busy)?;
        let working = Arc::clone(&self.working).acquire_owned().await;
        let working = working.map_err(|_| Refusal::Busy)?;
        if self.is_remembered(&tag) {
            return Ok(true);
        }
        let password = password.to_owned();
        let checked = hash.unwrap_or_else(|| users.stand_in()).to_owned();
        let is_right = tokio::task::spawn_blocking(move || {
            let is_right = bcrypt::verify(password, &checked).unwrap_or(false);
            drop(working);
            is_right
        });
        let is_right = is_right.await.unwrap_or(false) && hash.is_some();
        if is_right {
            self.right.insert(tag, Instant::now());
        }
        Ok(is_right)
    }

    /// What changes when a user's password does; `None` for a user who is not there.
    pub(crate) async fn fingerprint(&self, user: &str) -> Option<String> {
        let users = self.users.get().await;
        let hash = digest::digest(&digest::SHA256, users.hash(user)?.as_bytes());
        Some(
            hash.as_ref()[..9]
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect(),
        )
    }

    fn is_remembered(&self, tag: &Tag) -> bool {
        let since = self.right.get(tag);
        since.is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    fn tag(&self, user: &str, password: &str, hash: &str) -> Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user, password, hash] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

fn key() -> Result<hmac::Key, FileError> {
    let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
    key.map_err(|_| FileError::Content {
        path: "the system's randomness".to_owned(),
        message: "there is none".to_owned(),
    })
}

fn users(path: &str, contents: &[Vec<u8>]) -> Result<Users, FileError> {
    let content = |message: String| FileError::Content {
        path: path.to_owned(),
        message,
    };
    let bytes = contents.first().map(Vec::as_slice).unwrap_or_default();
    let text = std::str::from_utf8(bytes).map_err(|_| content("not UTF-8".to_owned()))?;
    let users = parse_users(text)
        .map_err(|line| content(format!("line {line} is not of the form user:hash")))?;
    if users.ignored > 0 {
        tracing::warn!(
            file = path,
            lines = users.ignored,
            "lines of the password file are ignored: only bcrypt counts (htpasswd -B)"
        );
    }
    Ok(users)
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords")
            .field("users", &self.users)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lines: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        std::fs::write(&path, lines).unwrap();
        (folder, path)
    }

    fn line(user: &str, password: &str) -> String {
        format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
    }

    #[tokio::test]
    async fn the_right_password_is_right_again_and_no_other_ever() {
        let (_folder, path) = file(&(line("ann", "secret") + &line("bob", "other") + "x:plain"));
        let passwords = Passwords::open(path, false).unwrap();
        for _ in 0..2 {
            for (user, password, expected) in [
                ("ann", "secret", true),
                ("ann", "other", false),
                ("ann", "", false),
                ("anns", "ecret", false),
                ("bob", "other", true),
                ("eve", "secret", false),
                ("x", "plain", false),
                ("", "", false),
            ] {
                let checked = passwords.check(user, password).await.unwrap();
                assert_eq!(checked, expected, "{user} {password}");
            }
        }
    }

    #[tokio::test]
    async fn a_remembered_pair_is_worth_nothing_under_another_hash() {
        let (_folder, path) = file(&line("ann", "secret"));
        let passwords = Passwords::open(path, false).unwrap();
        let users = passwords.users.get().await;
        assert!(passwords.check("ann", "secret").await.unwrap());
        let hash = users.hash("ann").unwrap();
        assert!(passwords.is_remembered(&passwords.tag("ann", "secret", hash)));
        assert!(!passwords.is_remembered(&passwords.tag("ann", "secret", "")));
        assert!(!passwords.is_remembered(&passwords.tag("annsecret", "", hash)));
    }

    #[tokio::test]
    async fn beyond_the_queue_passwords_are_refused_unchecked() {
        let (_folder, path) = file(&line("ann", "secret"));
        let passwords = Passwords::open(path, false).unwrap();
        let _all = passwords
            .waiting
            .acquire_many(WAITING as u32)
            .await
            .unwrap();
        let refused = passwords.check("ann", "secret").await;
        assert!(matches!(refused, Err(Refusal::Busy)));
    }
}
