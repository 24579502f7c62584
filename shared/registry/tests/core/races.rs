//! Collections beside pushes: whoever was told "stored" finds it there.

use bytes::Bytes;
use futures_util::future::{join, join_all};
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{Error, Registry};

use crate::drivers::Troubled;
use crate::kit::{
    assert_sound, collect, image, index, name, pull_whole, push_blob, push_manifest, push_untagged,
    registry, sha256, tag,
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
    for _ in 0..30 {
        let store = super::store();
        let registry = registry(&store);
        let a = name("a");
        prepare(&registry, &a).await;
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
                    collect(&registry, number % 2 == 0).await.unwrap();
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
