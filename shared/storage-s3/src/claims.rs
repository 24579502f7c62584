//! The keys that have an upload in this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roadstead_storage::{Error, Key};

/// Which keys have an `Upload`, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Claims {
    keys: Arc<Mutex<HashMap<Key, State>>>,
}

/// What came of the upload that has a key.
#[derive(Debug, Default)]
struct State {
    committed: Option<Committed>,
    /// Whether no multipart upload can be left of it.
    settled: bool,
}

/// The object that an upload has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    pub(crate) etag: String,
    pub(crate) size: u64,
}

impl Claims {
    pub(crate) fn claim(&self, key: &Key) -> Result<Claim, Error> {
        let mut keys = self.keys();
        if keys.contains_key(key) {
            return Err(Error::Busy(key.to_string()));
        }
        keys.insert(key.clone(), State::default());
        Ok(Claim {
            claims: self.clone(),
            key: key.clone(),
        })
    }

    /// What the upload of `key` that is still held has become.
    pub(crate) fn committed(&self, key: &Key) -> Option<Committed> {
        self.keys().get(key)?.committed.clone()
    }

    /// Forgets what is at `key`: it was moved or deleted.
    pub(crate) fn forget(&self, key: &Key) {
        if let Some(state) = self.keys().get_mut(key) {
            state.committed = None;
        }
    }

    /// Whether an upload at or below `key` is held here of which no multipart upload is left:
    /// nobody else can have begun one meanwhile.
    pub(crate) fn are_settled(&self, key: &Key) -> bool {
        let keys = self.keys();
        let mut below = keys.iter().filter(|(other, _)| is_below(other, key));
        below
            .next()
            .is_some_and(|(_, state)| state.settled && below.all(|(_, state)| state.settled))
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Key, State>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_below(key: &Key, prefix: &Key) -> bool {
    let rest = key.as_str().strip_prefix(prefix.as_str());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A claimed key, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    claims: Claims,
    key: Key,
}

impl Claim {
    /// Notes what the upload has become, and whether no multipart upload can be left of it.
    pub(crate) fn commit(&self, committed: Committed, settled: bool) {
        let state = State {
            committed: Some(committed),
            settled,
        };
        self.claims.keys().insert(self.key.clone(), state);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.claims.keys().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of the keys differs from map to map.
    #[test]
    fn uploads_are_settled_when_each_of_them_is() {
        let key = |path: &str| Key::new(path).unwrap();
        for _ in 0..32 {
            let claims = Claims::default();
            assert!(!claims.are_settled(&key("u")));
            let commit = |path: &str, settled| {
                let claim = claims.claim(&key(path)).unwrap();
                let (etag, size) = (String::new(), 0);
                claim.commit(Committed { etag, size }, settled);
                claim
            };
            let _held = [commit("u/1", true), commit("u/2", false)];
            assert!(claims.are_settled(&key("u/1")));
            assert!(!claims.are_settled(&key("u/2")));
            assert!(!claims.are_settled(&key("u")));
        }
    }
}
