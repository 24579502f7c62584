//! Who works below which key: what concerns the same keys goes one after the other, so that the
//! journal has it in the order in which it happened.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use roadstead_storage::Key;

/// The keys that are worked on.
#[derive(Debug, Default)]
pub(super) struct Claims {
    claimed: Mutex<Claimed>,
    released: Condvar,
}

#[derive(Debug, Default)]
struct Claimed {
    last: u64,
    claims: Vec<(u64, Vec<Key>)>,
}

/// Keys that nobody else works on, nor on what is above or below them, until it is dropped.
#[derive(Debug)]
pub(crate) struct Claim<'c> {
    claims: &'c Claims,
    number: u64,
}

impl Claims {
    /// Waits until nobody else works on `keys`. Who has a claim does not ask for another one.
    pub(super) fn claim(&self, keys: Vec<Key>) -> Claim<'_> {
        let taken = |claimed: &mut Claimed| {
            let mut others = claimed.claims.iter().flat_map(|(_, keys)| keys);
            others.any(|other| keys.iter().any(|key| overlap(key, other)))
        };
        let claimed = self.released.wait_while(self.lock(), taken);
        let mut claimed = claimed.unwrap_or_else(PoisonError::into_inner);
        claimed.last += 1;
        let number = claimed.last;
        claimed.claims.push((number, keys));
        Claim {
            claims: self,
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Claimed> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.claims.lock();
        claimed.claims.retain(|(number, _)| *number != self.number);
        drop(claimed);
        self.claims.released.notify_all();
    }
}

fn overlap(a: &Key, b: &Key) -> bool {
    is_at_or_below(a, b) || is_at_or_below(b, a)
}

/// Whether `key` is `prefix` or below it.
pub(super) fn is_at_or_below(key: &Key, prefix: &Key) -> bool {
    let rest = key.as_str().strip_prefix(prefix.as_str());
    rest.is_some_and(|rest| prefix.as_str().is_empty() || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Key {
        Key::new(path).unwrap()
    }

    #[test]
    fn keys_overlap_along_a_path() {
        for (a, b) in [("a", "a"), ("a/b", "a"), ("a", "a/b/c"), ("", "a")] {
            assert!(overlap(&key(a), &key(b)), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("a/b", "a/c"), ("a", "ab"), ("a/b", "ab")] {
            assert!(!overlap(&key(a), &key(b)), "{a} {b}");
        }
    }

    #[test]
    fn a_claim_waits_for_those_it_overlaps_and_for_no_other() {
        let claims = Claims::default();
        let order = Mutex::new(Vec::new());
        let first = claims.claim(vec![key("a/b"), key("c")]);
        drop(claims.claim(vec![key("a/c"), key("d")]));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _second = claims.claim(vec![key("d"), key("a")]);
                order.lock().unwrap().push("second");
            });
            std::thread::yield_now();
            order.lock().unwrap().push("first");
            drop(first);
        });
        assert_eq!(*order.lock().unwrap(), ["first", "second"]);
    }
}
