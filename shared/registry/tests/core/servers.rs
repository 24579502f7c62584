//! Two servers that are sent the same manifest, and a collection as a third process on their store:
//! whoever was told "stored" finds it there, and who was refused has changed no tag.

use std::io::Write;
use std::time::Duration;

use bytes::Bytes;
use roadstead_oci::{Reference, RepositoryName};
use roadstead_registry::{Error, Registry};
use roadstead_storage::MemoryDriver;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::drivers::{Hold, Troubled, Turns};
use crate::kit::{
    assert_sound, collect, image, name, pull_manifest, pull_whole, push_blob, push_manifest,
    registry, sha256, tag,
};

/// Processes on one store.
pub(crate) struct Site {
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
    pub(crate) fn new(has_locks: bool) -> Self {
        Self {
            store: MemoryDriver::new(),
            turns: has_locks.then(Turns::default),
        }
    }

    fn process(&self, driver: Troubled) -> Registry {
        registry(&driver.with_turns(self.turns.as_ref()))
    }

    pub(crate) fn calm(&self) -> Registry {
        self.process(Troubled::calm(&self.store))
    }

    /// One that is held before its operation number `at`.
    pub(crate) fn held(&self, at: usize) -> (Registry, std::sync::Arc<Hold>) {
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
    begins: &'static [Who],
    is_collection_released_first: bool,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    /// The push that is held.
    Push,
    /// The push that nothing holds.
    Other,
    Collection,
}

/// Which of the two that were to be held were.
#[derive(Clone, Copy, Debug)]
struct Held {
    push: bool,
    collection: bool,
}

/// Until all wait: the clock stands still while anything can be done.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

pub(crate) async fn has_arrived(hold: &Hold) -> bool {
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
    // Without locks only a grace age keeps an untagged manifest whose tag is still to come.
    let delete_untagged = matches!(by, By::Tag) && site.turns.is_some();
    let (mut pushes, mut collections) = (JoinSet::new(), JoinSet::new());
    for who in order.begins {
        match who {
            Who::Push => drop(pushes.spawn(prepared.push(pushing.clone(), by))),
            Who::Other => drop(pushes.spawn(prepared.push(site.calm(), by))),
            Who::Collection => {
                let collecting = collecting.clone();
                collections.spawn(async move { collect(&collecting, delete_untagged).await });
            }
        }
        settle().await;
    }
    let mut holds = [&push_hold, &collect_hold];
    if order.is_collection_released_first {
        holds.reverse();
    }
    for hold in holds {
        hold.release();
        settle().await;
    }
    for collected in collections.join_all().await {
        collected.unwrap();
    }
    let is_told = pushes.join_all().await.contains(&true);
    prepared.assert_kept(site, by, is_told).await;
    Held {
        push: has_arrived(&push_hold).await,
        collection: has_arrived(&collect_hold).await,
    }
}

fn orders() -> impl Iterator<Item = Order> {
    use Who::{Collection, Other, Push};
    let begins: [&[Who]; 3] = [
        &[Push, Other, Collection],
        &[Push, Collection, Other],
        &[Collection, Push],
    ];
    begins.into_iter().flat_map(|begins| {
        [false, true].map(|is_collection_released_first| Order {
            begins,
            is_collection_released_first,
        })
    })
}

/// At every step of the push and of the collection.
async fn meet_at_every_step(has_locks: bool) {
    /// Before that a push has only looked for its blobs, but for the last one.
    const FIRST: usize = 4;
    for (order, by) in orders().flat_map(|order| [(order, By::Tag), (order, By::Digest)]) {
        let mut met = 0;
        for push_at in FIRST.. {
            let mut was_held = false;
            // Every second one; the other ones with the next step of the push.
            for collect_at in (1 + push_at % 2..).step_by(2) {
                let site = Site::new(has_locks);
                let held = meet(&site, by, (push_at, collect_at), order).await;
                was_held |= held.push;
                if !held.collection {
                    break;
                }
                met += usize::from(held.push);
            }
            if !was_held {
                break;
            }
        }
        assert!(met > 50, "{met} meetings {order:?}, by {by:?}");
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
