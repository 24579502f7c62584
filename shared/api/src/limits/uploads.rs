//! Who uploads at the moment.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Caller;

/// Counts uploads that are under way; of callers without one nothing is kept.
#[derive(Clone, Debug)]
pub(super) struct Uploads {
    most: usize,
    under_way: Arc<Mutex<HashMap<Caller, usize>>>,
}

/// The right to bring bytes, until it is dropped.
#[derive(Debug)]
pub struct UploadPermit {
    uploads: Uploads,
    caller: Caller,
}

impl Uploads {
    /// At most so many of one caller.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            under_way: Arc::default(),
        }
    }

    /// One more of `caller`, unless they have as many as they may.
    pub(super) fn begin(&self, caller: &Caller) -> Option<UploadPermit> {
        let mut under_way = self.under_way();
        let count = under_way.get(caller).copied().unwrap_or_default();
        if count >= self.most {
            return None;
        }
        under_way.insert(caller.clone(), count + 1);
        Some(UploadPermit {
            uploads: self.clone(),
            caller: caller.clone(),
        })
    }

    /// Whether `caller` may have one more now.
    pub(super) fn has_place(&self, caller: &Caller) -> bool {
        let count = self.under_way().get(caller).copied();
        count.unwrap_or_default() < self.most
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<Caller, usize>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn callers(&self) -> usize {
        self.under_way().len()
    }
}

impl Drop for UploadPermit {
    fn drop(&mut self) {
        let mut under_way = self.uploads.under_way();
        if let Entry::Occupied(mut count) = under_way.entry(self.caller.clone()) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
