//! Collections beside pushes: whoever was told "stored" finds it there.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join, join_all};
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{Error, Registry};
use roadstead_storage::MemoryDriver;
use tokio::time::{Instant, timeout};

use crate::drivers::{Troubled, Turns};
use crate::kit::{
    assert_sound, assert_tags_sound, collect, collect_older, image, index, name, pull_whole,
    push_blob, push_manifest, push_untagged, registry, sha256, tag,
};

/// Does what clients do: sends only the blobs that are not there, and begins anew when the
/// registry says that something is missing after all.
async fn push(
    registry: &Registry,
    name: &RepositoryName,
    tag_text: &str,
    blobs: &[&str],
    from: Option<&RepositoryName>,
) {
    loop {
        for blob in blobs {
            provide(registry, name, blob, from).await;
        }
        let digests: Vec<Digest> = blobs.iter().map(|blob| sha256(blob.as_bytes())).collect();
        let image = image(&digests[0], &digests[1..], None);
        match push_manifest(registry, name, tag(tag_text), &image).await {
            Ok(_) => return,
            Err(Error::ReferencesUnknown(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
}

async fn provide(
    registry: &Registry,
    name: &RepositoryName,
    blob: &str,
    from: Option<&RepositoryName>,
) {
    let digest = sha256(blob.as_bytes());
    let blobs = registry.repository(name).blobs();
    let is_there = match from {
        Some(_) => blobs
            .mount(&digest, from, &|_| true)
            .await
            .unwrap()
            .is_some(),
        None => blobs.stat(&digest).await.is_ok(),
    };
    if !is_there {
        push_blob(registry, name, blob.as_bytes(), &digest)
            .await
            .unwrap();
    }
}

/// A repository with blobs that no manifest has, and an untagged image.
async fn prepare(registry: &Registry, name: &RepositoryName) -> Bytes {
    for blob in ["config", "one", "two", "three"] {
        push_blob(registry, name, blob.as_bytes(), &sha256(blob.as_bytes()))
            .await
            .unwrap();
    }
    for blob in ["a config", "a layer"] {
        push_blob(registry, name, blob.as_bytes(), &sha256(blob.as_bytes()))
            .await
            .unwrap();
    }
    let untagged = image(&sha256(b"a config"), &[sha256(b"a layer")], None);
    push_untagged(registry, name, &untagged).await.unwrap();
    untagged
}

/// Pushes `bytes` under a tag; whether all that it needs was still there.
async fn is_taken(
    registry: &Registry,
    name: &RepositoryName,
    tag_text: &str,
    bytes: &Bytes,
) -> bool {
    match push_manifest(registry, name, tag(tag_text), bytes).await {
        Ok(_) => true,
        Err(Error::ReferencesUnknown(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

/// What [`prepare`] leaves, beside a repository that stays: blobs without any are never collected.
async fn prepare_beside_others(store: &MemoryDriver, name: &RepositoryName) -> Bytes {
    let (registry, kept) = (registry(store), "kept".parse().unwrap());
    push(&registry, &kept, "kept", &["kept"], None).await;
    prepare(&registry, name).await
}

/// Manifests that a collection would take away what they need of, as [`prepare`] leaves it.
fn manifests(untagged: &Bytes) -> [Bytes; 3] {
    let [config, one] = [b"config".as_slice(), b"one"].map(sha256);
    [
        image(&config, &[one], None),
        untagged.clone(),
        index(&[sha256(untagged)]),
    ]
}

/// Locks between processes, or none.
fn sites() -> [Option<Turns>; 2] {
    [Some(Turns::default()), None]
}

/// Holds `held` at its operation number `at` until `other` has ended, or waits for `held` in its
/// turn; `None` when there is no such operation.
async fn hold<T, U>(
    store: &MemoryDriver,
    turns: Option<&Turns>,
    at: usize,
    held: impl AsyncFn(&Registry) -> T,
    other: impl AsyncFn(&Registry) -> U,
) -> Option<(T, U)> {
    /// The clock stands still while anything can be done.
    const ALL_WAIT: Duration = Duration::from_secs(1);
    let (driver, hold) = Troubled::holding(store, at);
    let busy = registry(&driver.with_turns(turns));
    let free = registry(&Troubled::calm(store).with_turns(turns));
    let (mut held, mut other) = (pin!(held(&busy)), pin!(other(&free)));
    tokio::select! {
        _ = &mut held => return None,
        () = hold.arrival() => {}
    }
    match timeout(ALL_WAIT, &mut other).await {
        Ok(other) => {
            hold.release();
            Some((held.await, other))
        }
        Err(_) => {
            hold.release();
            Some(join(held, other).await)
        }
    }
}

/// Where there are no locks, a manifest that is refused may stay without a tag.
async fn assert_kept(
    store: &MemoryDriver,
    turns: Option<&Turns>,
    name: &RepositoryName,
    is_taken: bool,
) {
    for _ in 0..2 {
        let registry = registry(store);
        if is_taken {
            pull_whole(&registry, name, tag("new")).await;
        }
        match turns {
            Some(_) => assert_sound(store).await,
            None => assert_tags_sound(store).await,
        }
        collect(&registry, true).await.unwrap();
    }
}

/// Without locks only the grace age, of which there is none here, keeps a manifest that is not yet
/// tagged, or whose bytes alone are written.
#[tokio::test(start_paused = true)]
async fn a_collection_comes_at_any_step_of_a_push() {
    let [locks, none] = &sites();
    let with_locks = (0..3).flat_map(|number| [false, true].map(|all| (locks, number, all)));
    for (turns, number, delete_untagged) in with_locks.chain([(none, 0, false)]) {
        let turns = turns.as_ref();
        for at in 1.. {
            let (store, a) = (super::store(), name("a"));
            let untagged = prepare_beside_others(&store, &a).await;
            let manifest = &manifests(&untagged)[number];
            let push = async |busy: &Registry| is_taken(busy, &a, "new", manifest).await;
            let collection = async |free: &Registry| collect(free, delete_untagged).await.unwrap();
            let Some((is_taken, _)) = hold(&store, turns, at, push, collection).await else {
                assert!(at > 1, "it does nothing");
                break;
            };
            assert_kept(&store, turns, &a, is_taken).await;
        }
    }
}

/// Of bytes that are written and not referred to yet, in a repository that loses nothing.
#[tokio::test(start_paused = true)]
async fn a_collection_looks_at_any_step_of_a_push() {
    let turns = Turns::default();
    for at in 1.. {
        let (store, a) = (super::store(), name("a"));
        push(&registry(&store), &a, "old", &["config", "one"], None).await;
        let old = image(&sha256(b"config"), &[sha256(b"one")], None);
        let list = index(&[sha256(&old)]);
        let push = async |busy: &Registry| is_taken(busy, &a, "new", &list).await;
        let collection = async |free: &Registry| collect(free, false).await.unwrap();
        let Some((is_taken, _)) = hold(&store, Some(&turns), at, push, collection).await else {
            assert!(at > 1, "it does nothing");
            break;
        };
        assert!(is_taken, "{at}");
        assert_kept(&store, Some(&turns), &a, is_taken).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_comes_at_any_step_of_a_collection() {
    let sites = sites();
    for (turns, number) in sites
        .iter()
        .flat_map(|turns| (0..3).map(move |at| (turns, at)))
    {
        let turns = turns.as_ref();
        for at in 1.. {
            let (store, a) = (super::store(), name("a"));
            let untagged = prepare_beside_others(&store, &a).await;
            let manifest = &manifests(&untagged)[number];
            let push = async |free: &Registry| is_taken(free, &a, "new", manifest).await;
            let collection = async |busy: &Registry| collect(busy, true).await.unwrap();
            let Some((_, is_taken)) = hold(&store, turns, at, collection, push).await else {
                assert!(at > 1, "it does nothing");
                break;
            };
            assert_kept(&store, turns, &a, is_taken).await;
        }
    }
}

/// By a client that sends again what is no longer there: its blobs are younger than the collection.
#[tokio::test(start_paused = true)]
async fn a_push_with_its_blobs_comes_at_any_step_of_a_collection() {
    for turns in &sites() {
        let turns = turns.as_ref();
        for at in 1.. {
            let (store, a) = (super::store(), name("a"));
            prepare_beside_others(&store, &a).await;
            let blobs = &["config", "one"];
            let push = async |free: &Registry| push(free, &a, "new", blobs, None).await;
            let collection = async |busy: &Registry| collect(busy, true).await.unwrap();
            let Some(_) = hold(&store, turns, at, collection, push).await else {
                assert!(at > 1, "it does nothing");
                break;
            };
            assert_kept(&store, turns, &a, true).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_beside_collections_is_whole_when_it_succeeds() {
    for seed in 0..400 {
        let store = super::store();
        let (a, b) = (name("a"), name("b"));
        let untagged = prepare(&registry(&store), &a).await;
        let busy = registry(&Troubled::dawdling(&store, seed));
        let list = index(&[sha256(&untagged)]);
        let pushes = async {
            let images = join(
                push(&busy, &a, "new", &["config", "one", "fresh"], None),
                push(&busy, &b, "mounted", &["config", "two"], Some(&a)),
            );
            let manifests = join(
                is_taken(&busy, &a, "again", &untagged),
                is_taken(&busy, &a, "list", &list),
            );
            join(images, manifests).await.1
        };
        let collections = async {
            if seed % 3 > 0 {
                join_all([collect(&busy, true), collect(&busy, seed % 2 == 0)]).await
            } else {
                vec![collect(&busy, true).await]
            }
        };
        let (collected, (again, listed)) = join(collections, pushes).await;
        for collected in collected {
            collected.unwrap();
        }
        for _ in 0..2 {
            let registry = registry(&store);
            pull_whole(&registry, &a, tag("new")).await;
            pull_whole(&registry, &b, tag("mounted")).await;
            if again {
                pull_whole(&registry, &a, tag("again")).await;
            }
            if listed {
                pull_whole(&registry, &a, tag("list")).await;
            }
            assert_sound(&store).await;
            collect(&registry, true).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_pushes_on_many_threads_are_whole_whatever_is_collected_meanwhile() {
    /// Longer than it takes to link an upload's bytes, before which nothing else keeps them.
    const GRACE: Duration = Duration::from_millis(50);
    for _ in 0..30 {
        let store = super::store();
        let registry = registry(&store);
        let a = name("a");
        prepare(&registry, &a).await;
        let prepared = Instant::now();
        tokio::time::sleep_until(prepared + GRACE).await;
        let pushes = (0..6).map(|number| {
            let (registry, a) = (registry.clone(), a.clone());
            tokio::spawn(async move {
                let own = format!("own {}", number % 3);
                push(
                    &registry,
                    &a,
                    &format!("t{number}"),
                    &["config", "one", &own],
                    None,
                )
                .await;
            })
        });
        let collections = (0..3).map(|number| {
            let registry = registry.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    collect_older(&registry, number % 2 == 0, GRACE)
                        .await
                        .unwrap();
                }
            })
        });
        let tasks: Vec<_> = pushes.collect();
        let collections: Vec<_> = collections.collect();
        for task in tasks.into_iter().chain(collections) {
            task.await.unwrap();
        }
        for number in 0..6 {
            pull_whole(&registry, &a, tag(&format!("t{number}"))).await;
        }
        assert_sound(&store).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_collections_at_once_keep_what_one_keeps() {
    for seed in 0..50 {
        let store = super::store();
        let a = name("a");
        let untagged = prepare(&registry(&store), &a).await;
        push_manifest(
            &registry(&store),
            &a,
            tag("t"),
            &index(&[sha256(&untagged)]),
        )
        .await
        .unwrap();
        let busy = registry(&Troubled::dawdling(&store, seed));
        let (one, other) = join(collect(&busy, true), collect(&busy, true)).await;
        one.and(other).unwrap();
        pull_whole(&busy, &a, tag("t")).await;
        pull_whole(&busy, &a, Reference::Digest(sha256(&untagged))).await;
        assert_eq!(crate::kit::stored_blobs(&store).await.len(), 4);
    }
}
