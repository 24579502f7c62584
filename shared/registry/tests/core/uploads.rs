//! Uploads: many hands, one content.

use std::time::Duration;

use futures_util::future::{join, join_all};
use roadstead_oci::{Digest, Reference};
use roadstead_registry::{Error, Registry};

use crate::drivers::Troubled;
use crate::kit::{
    body, broken, image, name, pull_blob, pull_manifest, push_blob, push_manifest, registry,
    sha256, sha512, stored_blobs, tag, tree,
};

async fn append(registry: &Registry, id: &str, bytes: &[u8]) -> Result<u64, Error> {
    let name = name("a");
    let mut upload = registry.repository(&name).uploads().open(id).await?;
    upload.append(body(bytes), None).await?;
    upload.checkpoint().await?;
    Ok(upload.size())
}

async fn finish(registry: &Registry, id: &str, digest: &Digest) -> Result<(), Error> {
    let name = name("a");
    let upload = registry.repository(&name).uploads().open(id).await?;
    upload.finish(digest).await
}

async fn cancel(registry: &Registry, id: &str) -> Result<(), Error> {
    let name = name("a");
    let upload = registry.repository(&name).uploads().open(id).await?;
    upload.cancel().await
}

async fn begin(registry: &Registry) -> String {
    registry
        .repository(&name("a"))
        .uploads()
        .begin()
        .await
        .unwrap()
        .id
}

#[tokio::test(start_paused = true)]
async fn one_who_comes_while_another_sends_is_told_so_after_a_while() {
    let registry = registry(&super::store());
    let id = begin(&registry).await;
    let name = name("a");
    let first = registry
        .repository(&name)
        .uploads()
        .open(&id)
        .await
        .unwrap();
    let second = registry.repository(&name).uploads().open(&id).await;
    assert!(matches!(second, Err(Error::UploadBusy)), "{second:?}");
    drop(first);
    assert!(registry.repository(&name).uploads().open(&id).await.is_ok());
}

/// Four chunks in every order.
fn orders(chunks: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut orders = vec![(Vec::new(), chunks.to_vec())];
    for _ in chunks {
        let longer = orders.iter().flat_map(|(head, rest)| {
            rest.iter().enumerate().map(move |(at, chunk)| {
                let mut rest = rest.clone();
                rest.remove(at);
                ([head.as_slice(), chunk].concat(), rest)
            })
        });
        orders = longer.collect();
    }
    orders.into_iter().map(|(whole, _)| whole).collect()
}

#[tokio::test(start_paused = true)]
async fn chunks_that_are_sent_at_once_never_mix() {
    for seed in 0..50 {
        let store = super::store();
        let registry = registry(&Troubled::dawdling(&store, seed));
        let id = begin(&registry).await;
        let chunks: Vec<Vec<u8>> = (0..4).map(|byte| vec![b'0' + byte; 700]).collect();
        let appends = chunks.iter().map(|chunk| append(&registry, &id, chunk));
        for appended in join_all(appends).await {
            appended.unwrap();
        }
        let stored = finish(&registry, &id, &sha256(b"a guess")).await;
        let Err(Error::DigestMismatch { actual, .. }) = stored else {
            panic!("{stored:?}");
        };
        let whole_chunks = orders(&chunks);
        assert!(whole_chunks.iter().any(|content| sha256(content) == actual));
    }
}

#[tokio::test(start_paused = true)]
async fn of_finishing_and_cancelling_at_once_one_wins_and_nothing_remains() {
    for seed in 0..100 {
        let store = super::store();
        let registry = registry(&Troubled::dawdling(&store, seed));
        let id = begin(&registry).await;
        append(&registry, &id, b"content").await.unwrap();
        let digest = sha256(b"content");
        let (finished, cancelled) =
            join(finish(&registry, &id, &digest), cancel(&registry, &id)).await;
        let pulled = pull_blob(&registry, &name("a"), &digest).await;
        match (&finished, &cancelled) {
            (Ok(()), Err(Error::UploadUnknown)) => assert_eq!(pulled.unwrap(), "content"),
            (Err(Error::UploadUnknown), Ok(())) => {
                assert!(matches!(pulled, Err(Error::BlobUnknown(_))))
            }
            other => panic!("{other:?}"),
        }
        let remains = tree(&store)
            .await
            .into_keys()
            .find(|key| key.contains("_uploads"));
        assert_eq!(remains, None);
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_appends_to_what_is_being_finished() {
    for seed in 0..100 {
        let store = super::store();
        let registry = registry(&Troubled::dawdling(&store, seed));
        let id = begin(&registry).await;
        append(&registry, &id, b"content").await.unwrap();
        let digest = sha256(b"content");
        let (finished, appended) = join(
            finish(&registry, &id, &digest),
            append(&registry, &id, b"more"),
        )
        .await;
        match (&finished, &appended) {
            (Ok(()), Err(Error::UploadUnknown)) => {}
            (Err(Error::DigestMismatch { .. }), Ok(11)) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(
            stored_blobs(&store).await.len(),
            usize::from(finished.is_ok())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_finished_twice_at_once_is_one_blob() {
    for seed in 0..100 {
        let store = super::store();
        let registry = registry(&Troubled::dawdling(&store, seed));
        let id = begin(&registry).await;
        append(&registry, &id, b"content").await.unwrap();
        let digest = sha256(b"content");
        let (one, other) = join(
            finish(&registry, &id, &digest),
            finish(&registry, &id, &digest),
        )
        .await;
        assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
        assert!(matches!(one.and(other), Err(Error::UploadUnknown)));
        assert_eq!(
            pull_blob(&registry, &name("a"), &digest).await.unwrap(),
            "content"
        );
    }
}

#[tokio::test]
async fn any_registry_goes_on_where_another_stopped() {
    let store = super::store();
    let id = begin(&registry(&store)).await;
    let chunks = [&b"one "[..], b"", b"two ", &[b'x'; 1000], b"three"];
    let mut size = 0;
    for chunk in chunks {
        size += chunk.len() as u64;
        assert_eq!(append(&registry(&store), &id, chunk).await.unwrap(), size);
    }
    let digest = sha256(&chunks.concat());
    finish(&registry(&store), &id, &digest).await.unwrap();
    let pulled = pull_blob(&registry(&store), &name("a"), &digest).await;
    assert_eq!(pulled.unwrap(), chunks.concat());
}

#[tokio::test]
async fn purging_takes_away_what_is_old_enough() {
    let store = super::store();
    let registry = registry(&store);
    for chunk in [&b""[..], b"content"] {
        let id = begin(&registry).await;
        append(&registry, &id, chunk).await.unwrap();
    }
    begin(&registry).await;
    for (age, expected) in [(3600, 0), (0, 3), (0, 0)] {
        let age = Duration::from_secs(age);
        let purged = registry.purge_uploads(age, false).await.unwrap();
        assert_eq!((purged.deleted, purged.errors), (expected, 0));
    }
    let left: Vec<String> = tree(&store).await.into_keys().collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_what_came() {
    let registry = registry(&super::store());
    let id = begin(&registry).await;
    let name = name("a");
    let mut upload = registry
        .repository(&name)
        .uploads()
        .open(&id)
        .await
        .unwrap();
    let broken = upload.append(broken(b"what came"), None).await;
    assert!(matches!(broken, Err(Error::BodyBroken(_))));
    upload.checkpoint().await.unwrap();
    drop(upload);
    assert_eq!(append(&registry, &id, b" and the rest").await.unwrap(), 22);
    finish(&registry, &id, &sha256(b"what came and the rest"))
        .await
        .unwrap();
}

#[tokio::test]
async fn bytes_that_no_state_was_kept_of_count_all_the_same() {
    for digest_of in [sha256, sha512] {
        let registry = registry(&super::store());
        let id = begin(&registry).await;
        append(&registry, &id, b"one").await.unwrap();
        let name = name("a");
        let mut upload = registry
            .repository(&name)
            .uploads()
            .open(&id)
            .await
            .unwrap();
        upload.append(body(b"two"), None).await.unwrap();
        drop(upload);
        // What was appended and not synced is kept or lost, as the driver likes.
        let content: &[u8] = match append(&registry, &id, b"three").await.unwrap() {
            11 => b"onetwothree",
            _ => b"onethree",
        };
        let digest = digest_of(content);
        finish(&registry, &id, &digest).await.unwrap();
        let pulled = pull_blob(&registry, &name, &digest).await;
        assert_eq!(pulled.unwrap(), content);
    }
}

#[tokio::test]
async fn bytes_with_another_digest_are_not_stored() {
    let store = super::store();
    let registry = registry(&store);
    for digest in [sha256(b"right"), sha512(b"right")] {
        for kept in [false, true] {
            let id = begin(&registry).await;
            if kept {
                append(&registry, &id, b"wrong").await.unwrap();
            }
            let name = name("a");
            let mut upload = registry
                .repository(&name)
                .uploads()
                .open(&id)
                .await
                .unwrap();
            upload
                .append(body(b"wrong"), Some(digest.algorithm()))
                .await
                .unwrap();
            let finished = upload.finish(&digest).await;
            assert!(
                matches!(finished, Err(Error::DigestMismatch { .. })),
                "{finished:?}"
            );
            assert!(matches!(
                append(&registry, &id, b"").await,
                Err(Error::UploadUnknown)
            ));
            assert_eq!(
                tree(&store).await.into_keys().collect::<Vec<_>>(),
                Vec::<String>::new()
            );
        }
    }
}

#[tokio::test]
async fn a_blob_can_be_pushed_by_its_sha512_in_chunks_and_at_once() {
    let content = vec![7; 100_000];
    let digest = sha512(&content);
    for pieces in [vec![&content[..]], content.chunks(30_000).collect()] {
        let store = super::store();
        let id = begin(&registry(&store)).await;
        for piece in pieces {
            append(&registry(&store), &id, piece).await.unwrap();
        }
        let registry = registry(&store);
        finish(&registry, &id, &digest).await.unwrap();
        for digest in [digest.clone(), sha256(&content)] {
            assert_eq!(
                pull_blob(&registry, &name("a"), &digest).await.unwrap(),
                content
            );
            let stat = registry.repository(&name("a")).blobs().stat(&digest).await;
            assert_eq!(stat.unwrap().size, 100_000);
        }
    }
}

#[tokio::test]
async fn a_blob_can_be_mounted_and_deleted_by_its_sha512() {
    let registry = registry(&super::store());
    let (a, digest) = (name("a"), sha512(b"content"));
    push_blob(&registry, &a, b"content", &digest).await.unwrap();
    for (to, from) in [("b", Some(&a)), ("c", None)] {
        let to = name(to);
        let blobs = registry.repository(&to).blobs();
        assert!(
            blobs
                .mount(&digest, from, &|_| true)
                .await
                .unwrap()
                .is_some()
        );
        assert_eq!(pull_blob(&registry, &to, &digest).await.unwrap(), "content");
        assert_eq!(
            pull_blob(&registry, &to, &sha256(b"content"))
                .await
                .unwrap(),
            "content"
        );
        blobs.delete(&digest).await.unwrap();
        for digest in [&digest, &sha256(b"content")] {
            let gone = pull_blob(&registry, &to, digest).await;
            assert!(matches!(gone, Err(Error::BlobUnknown(_))), "{gone:?}");
        }
    }
    assert_eq!(pull_blob(&registry, &a, &digest).await.unwrap(), "content");
}

#[tokio::test]
async fn a_manifest_can_name_all_by_sha512_and_be_named_by_it() {
    let registry = registry(&super::store());
    let a = name("a");
    let (config, layer) = (sha512(b"config"), sha512(b"layer"));
    push_blob(&registry, &a, b"config", &config).await.unwrap();
    push_blob(&registry, &a, b"layer", &layer).await.unwrap();
    let image = image(&config, &[layer], None);
    let reference = Reference::Digest(sha512(&image));
    push_manifest(&registry, &a, reference.clone(), &image)
        .await
        .unwrap();
    push_manifest(&registry, &a, tag("t"), &image)
        .await
        .unwrap();
    for reference in [reference, tag("t"), Reference::Digest(sha256(&image))] {
        assert_eq!(
            pull_manifest(&registry, &a, &reference).await.unwrap(),
            image
        );
    }
}

#[tokio::test]
async fn a_blob_may_be_empty() {
    for digest in [sha256(b""), sha512(b"")] {
        for chunks in 0..3 {
            let registry = registry(&super::store());
            let id = begin(&registry).await;
            for _ in 0..chunks {
                assert_eq!(append(&registry, &id, b"").await.unwrap(), 0);
            }
            finish(&registry, &id, &digest).await.unwrap();
            assert_eq!(pull_blob(&registry, &name("a"), &digest).await.unwrap(), "");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_blob_pushed_by_many_at_once_is_there_for_all() {
    for seed in 0..20 {
        let registry = registry(&Troubled::dawdling(&super::store(), seed));
        let names: Vec<_> = (0..6).map(|at| name(&format!("r{}", at % 3))).collect();
        for content in [&b"content"[..], b"", b"{}"] {
            let digest = sha256(content);
            let pushes = names
                .iter()
                .map(|name| push_blob(&registry, name, content, &digest));
            for pushed in join_all(pushes).await {
                pushed.unwrap();
            }
            for name in &names {
                assert_eq!(pull_blob(&registry, name, &digest).await.unwrap(), content);
            }
        }
    }
}
