//! Pushes of one manifest that go on at once.
//!
//! One that finds afterwards that the manifest is not whole has to take it away again; but not
//! when another push of the same manifest was told meanwhile that it is stored. Within a process
//! only.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use roadstead_oci::{Digest, RepositoryName};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

type Name = (RepositoryName, Digest);

/// The pushes of this process.
#[derive(Debug, Default)]
pub(crate) struct Pushes(Mutex<HashMap<Name, Arc<Shared>>>);

/// The pushes of one manifest, as one of them sees them.
pub(crate) struct OfOne<'a> {
    pushes: &'a Pushes,
    name: Name,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Shared by those that go on; one that takes the manifest away has it alone.
    turn: RwLock<()>,
    /// How many have ended well.
    whole: AtomicU64,
}

/// A push from before it stores anything until it is known to be whole.
pub(crate) struct Push<'a> {
    shared: &'a Shared,
    turn: RwLockReadGuard<'a, ()>,
    /// How many had ended well before.
    before: u64,
}

impl Pushes {
    pub(crate) fn of(&self, repository: &RepositoryName, digest: &Digest) -> OfOne<'_> {
        let name = (repository.clone(), digest.clone());
        let shared = Arc::clone(self.map().entry(name.clone()).or_default());
        OfOne {
            pushes: self,
            name,
            shared,
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Name, Arc<Shared>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OfOne<'_> {
    /// Begins a push, once nobody takes the manifest away.
    pub(crate) async fn begin(&self) -> Push<'_> {
        let turn = self.shared.turn.read().await;
        Push {
            shared: &self.shared,
            turn,
            before: self.shared.whole.load(Relaxed),
        }
    }
}

impl Drop for OfOne<'_> {
    fn drop(&mut self) {
        let mut map = self.pushes.map();
        // The map's own, and this one.
        if Arc::strong_count(&self.shared) == 2 {
            map.remove(&self.name);
        }
    }
}

impl<'a> Push<'a> {
    /// Ends one that is whole.
    pub(crate) fn succeed(self) {
        self.shared.whole.fetch_add(1, Relaxed);
    }

    /// Ends one that is not: waits for the others, and keeps new ones waiting while the manifest is
    /// taken away. `None` when one of them was whole.
    pub(crate) async fn fail(self) -> Option<RwLockWriteGuard<'a, ()>> {
        drop(self.turn);
        let alone = self.shared.turn.write().await;
        (self.shared.whole.load(Relaxed) == self.before).then_some(alone)
    }
}
