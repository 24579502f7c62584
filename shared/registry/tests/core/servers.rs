//! Two servers that are sent the same manifest, and a collection as a third process on their store:
//! whoever was told "stored" finds it there, and who was refused has changed no tag.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use roadstead_oci::{Reference, RepositoryName};
use roadstead_registry::{Error, Registry};
use roadstead_storage::MemoryDriver;
use tokio::time::timeout;

use crate::drivers::{Hold, Troubled, Turns};
use crate::kit::{
    assert_sound, collect, image, name, pull_manifest, pull_whole, push_blob, push_manifest,
    registry, sha256, tag,
};

/// Processes on one store.
struct Site {
    store: MemoryDriver,
    /// Where the store has locks.
    turns: Option<Turns>,
}

/// An image that the tag has, and another that is to have it, of blobs that nothing refers to.
struct Prepared {
    name: RepositoryName,
    old: Bytes,
    new: Bytes,
}

impl Site {
    fn new(has_locks: bool) -> Self {
        Self {
            store: MemoryDriver::new(),
            turns: has_locks.then(Turns::default),
        }
    }

    fn process(&self, driver: Troubled) -> Registry {
        registry(&driver.with_turns(self.turns.as_ref()))
    }

    fn calm(&self) -> Registry {
        self.process(Troubled::calm(&self.store))
    }

    /// One that is held before its operation number `at`.
    fn held(&self, at: usize) -> (Registry, std::sync::Arc<Hold>) {
        let (driver, hold) = Troubled::holding(&self.store, at);
        (self.process(driver), hold)
    }

    async fn prepare(&self) -> Prepared {
        let (registry, name) = (self.calm(), name("a"));
        for blob in ["config of old", "config of new", "layer of new"] {
            let digest = sha256(blob.as_bytes());
            push_blob(&registry, &name, blob.as_bytes(), &digest)
                .await
                .unwrap();
        }
        let old = image(&sha256(b"config of old"), &[], None);
        let layer = sha256(b"layer of new");
        let new = image(&sha256(b"config of new"), &[layer], None);
        push_manifest(&registry, &name, tag("t"), &old)
            .await
            .unwrap();
        Prepared { name, old, new }
    }
}

/// What a manifest is sent to.
#[derive(Clone, Copy, Debug)]
enum By {
    Tag,
    Digest,
}

impl By {
    fn reference(self, bytes: &Bytes) -> Reference {
        match self {
            Self::Tag => tag("t"),
            Self::Digest => Reference::Digest(sha256(bytes)),
        }
    }
}

/// Whether the registry says that it has stored the manifest.
async fn is_told(registry: Registry, name: RepositoryName, by: By, new: Bytes) -> bool {
    match push_manifest(&registry, &name, by.reference(&new), &new).await {
        Ok(_) => true,
        Err(Error::ReferencesUnknown(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

impl Prepared {
    fn push(&self, registry: Registry, by: By) -> impl Future<Output = bool> + use<> {
        is_told(registry, self.name.clone(), by, self.new.clone())
    }

    /// Also after another collection.
    async fn assert_kept(&self, site: &Site, by: By, is_told: bool) {
        let registry = site.calm();
        let new = Reference::Digest(sha256(&self.new));
        if site.turns.is_some() {
            assert_sound(&site.store).await;
            let found = pull_manifest(&registry, &self.name, &new).await;
            assert_eq!(found.is_ok(), is_told);
        }
        collect(&registry, false).await.unwrap();
        if is_told {
            pull_whole(&registry, &self.name, new).await;
        }
        let expected = match (by, is_told) {
            (By::Tag, true) => &self.new,
            _ => &self.old,
        };
        let tagged = pull_manifest(&registry, &self.name, &tag("t")).await;
        assert_eq!(&tagged.unwrap(), expected);
        pull_whole(&registry, &self.name, tag("t")).await;
    }
}

/// In which order things go on.
#[derive(Clone, Copy, Debug)]
struct Order {
    /// Whether the push that nothing holds comes before the collection.
    is_push_first: bool,
    /// Whether the collection goes on before the push that is held.
    is_collection_released_first: bool,
}

/// Which of the two that were to be held were.
#[derive(Clone, Copy, Debug)]
struct Held {
    push: bool,
    collection: bool,
}

/// Until all wait: the clock stands still while anything can be done.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

async fn has_arrived(hold: &Hold) -> bool {
    timeout(Duration::from_secs(1), hold.arrival())
        .await
        .is_ok()
}

/// Says which meeting it was that failed.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _told = writeln!(std::io::stderr(), "{}", self.0);
        }
    }
}

/// A push is held before its operation number `push_at`, a collection before its `collect_at`, and
/// another push of the same manifest comes.
async fn meet(site: &Site, by: By, (push_at, collect_at): (usize, usize), order: Order) -> Held {
    let _told = Told(format!("{by:?} {order:?} {push_at} {collect_at}"));
    let prepared = site.prepare().await;
    let (pushing, push_hold) = site.held(push_at);
    let (collecting, collect_hold) = site.held(collect_at);
    let held = tokio::spawn(prepared.push(pushing, by));
    settle().await;
    let other = prepared.push(site.calm(), by);
    // Without locks only a grace age keeps an untagged manifest whose tag is still to come.
    let delete_untagged = matches!(by, By::Tag) && site.turns.is_some();
    let collection = async move { collect(&collecting, delete_untagged).await };
    let (other, collection) = match order.is_push_first {
        true => {
            let other = tokio::spawn(other);
            settle().await;
            (other, tokio::spawn(collection))
        }
        false => {
            let collection = tokio::spawn(collection);
            settle().await;
            (tokio::spawn(other), collection)
        }
    };
    settle().await;
    let mut holds = [&push_hold, &collect_hold];
    if order.is_collection_released_first {
        holds.reverse();
    }
    for hold in holds {
        hold.release();
        settle().await;
    }
    collection.await.unwrap().unwrap();
    let told = [held.await.unwrap(), other.await.unwrap()];
    prepared.assert_kept(site, by, told.contains(&true)).await;
    Held {
        push: has_arrived(&push_hold).await,
        collection: has_arrived(&collect_hold).await,
    }
}

/// At every step of the push and of the collection.
async fn meet_at_every_step(has_locks: bool) {
    let either = [false, true];
    let orders = either.iter().flat_map(|is_push_first| {
        either.map(|is_collection_released_first| Order {
            is_push_first: *is_push_first,
            is_collection_released_first,
        })
    });
    for order in orders {
        for by in [By::Tag, By::Digest] {
            let mut met = 0;
            for push_at in 1.. {
                let mut was_held = false;
                for collect_at in 1.. {
                    let site = Site::new(has_locks);
                    let held = meet(&site, by, (push_at, collect_at), order).await;
                    was_held |= held.push;
                    if !(held.push && held.collection) {
                        break;
                    }
                    met += 1;
                }
                if !was_held {
                    break;
                }
            }
            assert!(met > 100, "{met} meetings {order:?}, by {by:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_was_told_is_stored_stays_where_the_store_has_locks() {
    meet_at_every_step(true).await;
}

#[tokio::test(start_paused = true)]
async fn what_one_was_told_is_stored_stays_where_the_store_has_no_locks() {
    meet_at_every_step(false).await;
}
