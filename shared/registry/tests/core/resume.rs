//! Garbage collection in many calls: it comes to the end of one, whatever happens between them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{CollectOptions, Collected, Error, Registry};
use roadstead_storage::{Driver, DriverExt, Key, MemoryDriver};
use tokio::time::{Instant, timeout};

use crate::drivers::Troubled;
use crate::kit::{
    assert_sound, assert_tags_sound, collect, image, name, pull_blob, pull_whole, push_blob,
    push_manifest, push_untagged, registry, sha256, stored_blobs, tag, tree,
};

const OPTIONS: CollectOptions = CollectOptions {
    dry_run: false,
    delete_untagged: true,
    grace: Duration::ZERO,
};

/// As the scheduled function has it.
const WITHOUT_UNTAGGED: CollectOptions = CollectOptions {
    delete_untagged: false,
    ..OPTIONS
};

const PLACE: &str = "roadstead/garbage-collection.json";

const LEASE: &str = "roadstead/garbage-collection.lease";

/// One call, by a process of its own, as it has nothing but the store.
async fn call(driver: &(impl Driver + Clone), go_on: &(dyn Fn() -> bool + Sync)) -> Collected {
    call_with(driver, OPTIONS, go_on).await
}

async fn call_with(
    driver: &(impl Driver + Clone),
    options: CollectOptions,
    go_on: &(dyn Fn() -> bool + Sync),
) -> Collected {
    let registry = registry(driver);
    registry
        .collect_garbage_while(options, go_on, &mut |_| ())
        .await
        .unwrap()
}

/// One in which the time is up at once; whether it was the last.
async fn step(store: &MemoryDriver) -> bool {
    is_last(call(store, &|| false).await)
}

fn is_last(collected: Collected) -> bool {
    match collected {
        Collected::Finished(_) => true,
        Collected::Unfinished => false,
        Collected::Elsewhere => panic!("nobody else collects"),
    }
}

/// Lets the lease of a process that was killed end.
async fn expire(store: &MemoryDriver) {
    let key = Key::new(LEASE).unwrap();
    let Some(lease) = store.try_get(&key, 1000).await.unwrap() else {
        return;
    };
    let mut lease: serde_json::Value = serde_json::from_slice(&lease).unwrap();
    lease["until"] = serde_json::to_value(SystemTime::UNIX_EPOCH).unwrap();
    store.put(&key, lease.to_string().into()).await.unwrap();
}

async fn steps_to_the_end(store: &MemoryDriver) -> usize {
    for steps in 1..1000 {
        if step(store).await {
            return steps;
        }
    }
    panic!("it comes to no end");
}

/// In each of some repositories a tagged image, an untagged one and a blob that is in neither.
async fn fill(registry: &Registry) {
    for repository in ["a", "b", "c/d", "e"] {
        let name = name(repository);
        let tagged = push_image(registry, &name, "tagged").await;
        push_manifest(registry, &name, tag("t"), &tagged)
            .await
            .unwrap();
        let untagged = push_image(registry, &name, "untagged").await;
        push_untagged(registry, &name, &untagged).await.unwrap();
        let lost = format!("lost in {repository}");
        let digest = sha256(lost.as_bytes());
        push_blob(registry, &name, lost.as_bytes(), &digest)
            .await
            .unwrap();
    }
}

async fn keys(store: &MemoryDriver) -> Vec<String> {
    tree(store).await.into_keys().collect()
}

/// What is left of what [`fill`] makes by a collection that comes to its end at once.
async fn keys_at_once() -> Vec<String> {
    let store = MemoryDriver::new();
    fill(&registry(&store)).await;
    collect(&registry(&store), true).await.unwrap();
    keys(&store).await
}

/// The blobs of an image, and the image.
async fn push_image(registry: &Registry, name: &RepositoryName, what: &str) -> Bytes {
    let blobs = ["config", "layer"].map(|part| format!("{part} of {what} in {name}"));
    let digests: Vec<Digest> = blobs.iter().map(|blob| sha256(blob.as_bytes())).collect();
    for (blob, digest) in blobs.iter().zip(&digests) {
        push_blob(registry, name, blob.as_bytes(), digest)
            .await
            .unwrap();
    }
    image(&digests[0], &digests[1..], None)
}

#[tokio::test]
async fn many_calls_leave_what_one_leaves() {
    let in_steps = MemoryDriver::new();
    fill(&registry(&in_steps)).await;
    let steps = steps_to_the_end(&in_steps).await;
    assert!(steps > 4, "{steps}");
    assert_eq!(keys(&in_steps).await, keys_at_once().await);
}

#[tokio::test]
async fn what_is_pushed_between_two_calls_stays() {
    // As many steps as there are, each of them once with a push before it.
    for before in 0.. {
        let store = MemoryDriver::new();
        let registry = registry(&store);
        fill(&registry).await;
        let mut ended = false;
        for _ in 0..before {
            ended = ended || step(&store).await;
        }
        // Garbage until now: an untagged image and lost blobs, in a repository that was looked at
        // first, and in one that nobody has seen.
        for repository in ["a", "new"] {
            let name = name(repository);
            let again = push_image(&registry, &name, "untagged").await;
            push_manifest(&registry, &name, tag("again"), &again)
                .await
                .unwrap();
            let lost = sha256(b"lost in a");
            push_blob(&registry, &name, b"lost in a", &lost)
                .await
                .unwrap();
            let of_lost = image(&lost, &[], None);
            push_manifest(&registry, &name, tag("of-lost"), &of_lost)
                .await
                .unwrap();
        }
        steps_to_the_end(&store).await;
        for repository in ["a", "new"] {
            for reference in ["again", "of-lost"] {
                pull_whole(&registry, &name(repository), tag(reference)).await;
            }
        }
        assert_sound(&store).await;
        if ended {
            return;
        }
    }
}

#[tokio::test]
async fn a_blob_whose_link_went_can_be_pushed_again_and_one_that_is_referenced_never_goes() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    fill(&registry).await;
    steps_to_the_end(&store).await;
    let lost = sha256(b"lost in a");
    let gone = pull_blob(&registry, &name("a"), &lost).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))));
    pull_whole(&registry, &name("a"), tag("t")).await;
    assert_eq!(stored_blobs(&store).await.len(), 4 * 3);
    let untagged = push_image(&registry, &name("a"), "untagged").await;
    let untagged = push_untagged(&registry, &name("a"), &untagged)
        .await
        .unwrap();
    pull_whole(&registry, &name("a"), Reference::Digest(untagged)).await;
}

#[tokio::test]
async fn marks_that_cannot_be_read_and_those_of_another_collection_are_made_anew() {
    for damage in [None, Some(Bytes::from_static(b"{")), Some(Bytes::new())] {
        let store = MemoryDriver::new();
        fill(&registry(&store)).await;
        let key = Key::new(PLACE).unwrap();
        assert!(!step(&store).await);
        match damage {
            Some(damage) => store.put(&key, damage).await.unwrap(),
            None => {
                let registry = registry(&store);
                let collected = registry
                    .collect_garbage_while(WITHOUT_UNTAGGED, &|| true, &mut |_| ())
                    .await
                    .unwrap();
                assert!(is_last(collected));
                assert_eq!(stored_blobs(&store).await.len(), 4 * 6);
            }
        }
        steps_to_the_end(&store).await;
        assert_eq!(stored_blobs(&store).await.len(), 4 * 3);
        assert_eq!(store.try_get(&key, 1).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_collection_that_is_stopped_at_any_question_goes_on_where_it_was() {
    let expected = keys_at_once().await;
    for at in 1.. {
        let store = MemoryDriver::new();
        fill(&registry(&store)).await;
        let mut calls = 0;
        loop {
            let questions = AtomicUsize::new(0);
            let go_on = || questions.fetch_add(1, Ordering::Relaxed) + 1 < at;
            calls += 1;
            if is_last(call(&store, &go_on).await) {
                break;
            }
            assert!(calls < 1000, "stopped at question {at}, it comes to no end");
        }
        assert_eq!(keys(&store).await, expected, "stopped at question {at}");
        if calls == 1 {
            assert!(at > 20, "only {at} questions");
            return;
        }
    }
}

/// Calls, and kills the process before its operation number `at`; whether there was none.
async fn is_over_before(store: &MemoryDriver, at: usize) -> bool {
    let (driver, hold) = Troubled::holding(store, at);
    let is_over = tokio::select! {
        collected = call(&driver, &|| true) => is_last(collected),
        () = hold.arrival() => false,
    };
    expire(store).await;
    is_over
}

#[tokio::test]
async fn a_collection_that_is_killed_at_any_step_is_brought_to_its_end_by_others() {
    let expected = keys_at_once().await;
    for at in 1.. {
        let store = MemoryDriver::new();
        fill(&registry(&store)).await;
        let is_over = is_over_before(&store, at).await;
        // The one that goes on is killed as well.
        is_over_before(&store, at).await;
        steps_to_the_end(&store).await;
        assert_eq!(keys(&store).await, expected, "killed at {at}");
        assert_sound(&store).await;
        if is_over {
            assert!(at > 100, "only {at} steps");
            return;
        }
    }
}

/// Of a blob whose link the collection is about to take out, or has just taken out.
#[tokio::test]
async fn what_was_pushed_before_a_collection_was_killed_stays_whole() {
    let a = name("a");
    let of_lost = image(&sha256(b"lost in a"), &[], None);
    for at in 1.. {
        let mut is_over = false;
        for later in 1..12 {
            let store = MemoryDriver::new();
            let registry = registry(&store);
            for blob in ["lost in a", "also lost"] {
                push_blob(&registry, &a, blob.as_bytes(), &sha256(blob.as_bytes()))
                    .await
                    .unwrap();
            }
            let (driver, [push, kill]) = Troubled::holding_both(&store, [at, at + later]);
            let pushing = async {
                push.arrival().await;
                let pushed = push_manifest(&registry, &a, tag("of-lost"), &of_lost).await;
                push.release();
                kill.arrival().await;
                pushed.is_ok()
            };
            let is_taken = tokio::select! {
                _ = call(&driver, &|| true) => None,
                is_taken = pushing => Some(is_taken),
            };
            is_over = is_taken.is_none();
            expire(&store).await;
            assert!(is_last(call(&store, &|| true).await));
            if is_taken == Some(true) {
                pull_whole(&registry, &a, tag("of-lost")).await;
            }
            assert_tags_sound(&store).await;
        }
        if is_over {
            assert!(at > 30, "only {at} steps");
            return;
        }
    }
}

/// How an invocation ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// By itself, when it has worked that long; or else it is killed.
    Stop(Duration),
    /// It is killed.
    Kill,
}

/// A store on which a collection takes longer than an invocation lasts.
async fn assert_ends_in_invocations(
    store: &MemoryDriver,
    (each, reading): (Duration, Duration),
    lasts: Duration,
) {
    for end in [End::Stop(lasts / 2), End::Kill] {
        let (store, mut invocations) = (copy(store).await, 0);
        loop {
            let slow = Troubled::slow(&store, each, reading);
            let began = Instant::now();
            let go_on = || match end {
                End::Stop(after) => began.elapsed() < after,
                End::Kill => true,
            };
            invocations += 1;
            match timeout(lasts, call_with(&slow, WITHOUT_UNTAGGED, &go_on)).await {
                Ok(collected) if is_last(collected) => break,
                Ok(_) => {}
                Err(_) => expire(&store).await,
            }
            assert!(invocations < 50, "{end:?}: it comes to no end");
        }
        assert!(invocations > 2, "{end:?}: it is too quick");
        let stored = stored_blobs(&store).await;
        assert!(!stored.contains(&sha256(b"lost")), "{end:?}");
        assert_sound(&store).await;
    }
}

async fn copy(store: &MemoryDriver) -> MemoryDriver {
    let copy = MemoryDriver::new();
    for (key, content) in tree(store).await {
        copy.put(&Key::new(&key).unwrap(), content).await.unwrap();
    }
    copy
}

#[tokio::test(start_paused = true)]
async fn a_repository_with_more_manifests_than_an_invocation_can_read_is_collected() {
    let (store, name) = (MemoryDriver::new(), name("a"));
    let registry = registry(&store);
    push_blob(&registry, &name, b"lost", &sha256(b"lost"))
        .await
        .unwrap();
    let config = sha256(b"config");
    push_blob(&registry, &name, b"config", &config)
        .await
        .unwrap();
    for number in 0..1000 {
        let layers = vec![config.clone(); number];
        let image = image(
            &config,
            &layers[..number % 10],
            Some(&sha256(&[number as u8])),
        );
        let image = Bytes::from([&image[..], &b" ".repeat(number)].concat());
        let number = tag(&format!("t{number}"));
        push_manifest(&registry, &name, number, &image)
            .await
            .unwrap();
    }
    let reading = Duration::from_secs(2);
    let lasts = Duration::from_secs(200);
    assert_ends_in_invocations(&store, (Duration::ZERO, reading), lasts).await;
}

#[tokio::test(start_paused = true)]
async fn more_repositories_than_an_invocation_can_look_at_are_collected() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    for number in 0..100 {
        let name = name(&format!("r{number}"));
        for blob in ["lost", "config", "one", "two", "three", "four"] {
            push_blob(&registry, &name, blob.as_bytes(), &sha256(blob.as_bytes()))
                .await
                .unwrap();
        }
        let layers = ["one", "two", "three", "four"].map(|blob| sha256(blob.as_bytes()));
        let image = image(&sha256(b"config"), &layers, None);
        push_manifest(&registry, &name, tag("t"), &image)
            .await
            .unwrap();
    }
    let each = Duration::from_millis(250);
    let lasts = Duration::from_secs(240);
    assert_ends_in_invocations(&store, (each, Duration::ZERO), lasts).await;
}

#[tokio::test]
async fn of_two_calls_at_once_one_collects() {
    let expected = keys_at_once().await;
    let mut elsewhere = 0;
    for at in 1.. {
        let store = MemoryDriver::new();
        fill(&registry(&store)).await;
        let (driver, hold) = Troubled::holding(&store, at);
        let mut was_held = false;
        let others = async {
            hold.arrival().await;
            was_held = true;
            let before = tree(&store).await;
            let other = call(&store, &|| true).await;
            match other {
                Collected::Elsewhere => {
                    elsewhere += 1;
                    assert_eq!(tree(&store).await, before, "it did something at {at}");
                }
                other => {
                    let has_lease = before.contains_key(LEASE);
                    assert!(
                        is_last(other) && !has_lease,
                        "it collects beside another at {at}"
                    );
                }
            }
            hold.release();
            std::future::pending::<()>().await
        };
        let collected = tokio::select! {
            collected = call(&driver, &|| true) => collected,
            () = others => unreachable!(),
        };
        assert!(is_last(collected));
        assert_eq!(keys(&store).await, expected, "{at}");
        if !was_held {
            assert!(elsewhere > 100, "only {elsewhere}");
            return;
        }
    }
}

#[tokio::test]
async fn who_is_killed_keeps_others_away_until_its_lease_ends() {
    let store = MemoryDriver::new();
    fill(&registry(&store)).await;
    let (driver, hold) = Troubled::holding(&store, 50);
    tokio::select! {
        _ = call(&driver, &|| true) => panic!("it is not killed"),
        () = hold.arrival() => {}
    }
    assert_eq!(call(&store, &|| true).await, Collected::Elsewhere);
    expire(&store).await;
    assert!(is_last(call(&store, &|| true).await));
    assert_eq!(keys(&store).await, keys_at_once().await);
}

#[tokio::test]
async fn what_a_dry_run_has_kept_is_not_gone_on_with() {
    let expected = keys_at_once().await;
    let dry = CollectOptions {
        dry_run: true,
        ..OPTIONS
    };
    for calls in 1.. {
        let store = MemoryDriver::new();
        fill(&registry(&store)).await;
        let mut is_over = false;
        for _ in 0..calls {
            is_over = is_last(call_with(&store, dry, &|| false).await);
        }
        assert!(is_last(call(&store, &|| true).await));
        assert_eq!(keys(&store).await, expected, "after {calls} calls");
        if is_over {
            return;
        }
    }
}
