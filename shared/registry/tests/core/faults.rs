//! A store that fails once, at any moment: nobody is told a falsehood, and trying again mends all.

use roadstead_metadata::{Page, ReferrerQuery};
use roadstead_oci::ErrorCode;
use roadstead_registry::{Error, Registry};
use roadstead_storage::ByteRange;

use crate::drivers::{Troubled, When};
use crate::kit::{
    assert_sound, body, collect, image, name, pull_blob, pull_whole, push_blob, push_manifest,
    push_untagged, registry, sha256, sha512, stored_blobs, tag, tree,
};

const POINTS: [When; 3] = [When::Before, When::Midway, When::After];
const CONTENT: &[u8] = b"some content in chunks";
/// More operations than any of the flows has.
const MANY: usize = 200;

/// Pushes an image as a client does, its layer in chunks.
async fn push(registry: &Registry) -> Result<(), Error> {
    let a = name("a");
    push_blob(registry, &a, b"config", &sha512(b"config")).await?;
    push_in_chunks(registry).await?;
    let subject = sha256(b"subject");
    let image = image(&sha512(b"config"), &[sha256(b"a layer")], Some(&subject));
    push_manifest(registry, &a, tag("t"), &image).await?;
    Ok(())
}

async fn push_in_chunks(registry: &Registry) -> Result<(), Error> {
    let a = name("a");
    let uploads = registry.repository(&a).uploads();
    let id = uploads.begin().await?.id;
    for chunk in [&b"a "[..], b"layer"] {
        let mut upload = uploads.open(&id).await?;
        upload.append(body(chunk), None).await?;
        upload.checkpoint().await?;
    }
    uploads.open(&id).await?.finish(&sha256(b"a layer")).await
}

fn assert_outage<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        assert_eq!(error.code(), ErrorCode::Unavailable, "{error:?}");
    }
}

#[tokio::test]
async fn a_push_that_fails_anywhere_leaves_nothing_unsound_and_can_be_repeated() {
    for when in POINTS {
        let mut failures = 0;
        for at in 1..MANY {
            let store = super::store();
            let pushed = push(&registry(&Troubled::failing(&store, at, when))).await;
            failures += usize::from(pushed.is_err());
            assert_outage(pushed);
            assert_sound(&store).await;
            let registry = registry(&store);
            push(&registry).await.unwrap();
            pull_whole(&registry, &name("a"), tag("t")).await;
            assert_sound(&store).await;
        }
        assert!((10..MANY - 1).contains(&failures), "{failures} failures");
    }
}

#[tokio::test]
async fn a_push_that_fails_spoils_nothing_that_was_there() {
    for when in POINTS {
        for at in 1..MANY {
            let store = super::store();
            push(&registry(&store)).await.unwrap();
            assert_outage(push(&registry(&Troubled::failing(&store, at, when))).await);
            pull_whole(&registry(&store), &name("a"), tag("t")).await;
            assert_sound(&store).await;
        }
    }
}

#[tokio::test]
async fn an_upload_goes_on_after_a_failure_or_is_known_to_be_gone() {
    for when in POINTS {
        for at in 1..MANY {
            let store = super::store();
            let a = name("a");
            let whole = registry(&store);
            let uploads = whole.repository(&a).uploads();
            let id = uploads.begin().await.unwrap().id;
            let failing = registry(&Troubled::failing(&store, at, when));
            assert_outage(send_and_finish(&failing, &id).await);
            match send_and_finish(&whole, &id).await {
                Ok(()) | Err(Error::UploadUnknown) => {}
                Err(error) => panic!("{when:?} at {at}: {error:?}"),
            }
            assert_sound(&store).await;
        }
    }
}

/// Sends what the registry says is still missing.
async fn send_and_finish(registry: &Registry, id: &str) -> Result<(), Error> {
    let a = name("a");
    let uploads = registry.repository(&a).uploads();
    loop {
        let mut upload = uploads.open(id).await?;
        let size = upload.size() as usize;
        if size == CONTENT.len() {
            return upload.finish(&sha256(CONTENT)).await;
        }
        let chunk = &CONTENT[size..CONTENT.len().min(size + 8)];
        upload.append(body(chunk), None).await?;
        upload.checkpoint().await?;
    }
}

#[tokio::test]
async fn a_digest_of_bytes_that_were_lost_is_never_taken_for_that_of_others() {
    const OTHER: &[u8] = b"other bytes, and more of them";
    for (when, lost) in POINTS
        .iter()
        .flat_map(|when| [8, 16, 22].map(|lost| (*when, lost)))
    {
        for at in 1..40 {
            let store = super::store();
            let a = name("a");
            let whole = registry(&store);
            let uploads = whole.repository(&a).uploads();
            let id = uploads.begin().await.unwrap().id;
            let failing = registry(&Troubled::failing(&store, at, when));
            match lost {
                8 => assert_outage(send_and_cancel(&failing, &id).await),
                _ => assert_outage(send_and_finish(&failing, &id).await),
            }
            let Ok(mut upload) = uploads.open(&id).await else {
                continue;
            };
            upload.append(body(OTHER), None).await.unwrap();
            drop(upload);
            let mixed = [&CONTENT[..lost], &OTHER[lost..]].concat();
            let finished = uploads
                .open(&id)
                .await
                .unwrap()
                .finish(&sha256(&mixed))
                .await;
            assert!(finished.is_err(), "{when:?} at {at}");
            stored_blobs(&store).await;
        }
    }
}

async fn send_and_cancel(registry: &Registry, id: &str) -> Result<(), Error> {
    let a = name("a");
    let uploads = registry.repository(&a).uploads();
    let mut upload = uploads.open(id).await?;
    upload.append(body(&CONTENT[..8]), None).await?;
    upload.checkpoint().await?;
    upload.cancel().await
}

#[tokio::test]
async fn an_outage_is_never_taken_for_something_that_is_not_there() {
    let store = super::store();
    push(&registry(&store)).await.unwrap();
    let (a, b) = (name("a"), name("b"));
    let config = sha512(b"config");
    let subject = sha256(b"subject");
    let query = ReferrerQuery {
        subject: &subject,
        artifact_type: None,
        page: Page::ALL,
    };
    for at in 1..30 {
        let registry = || registry(&Troubled::failing(&store, at, When::Before));
        let outage = |found: Result<bool, Error>| match found {
            Ok(found) => assert!(found, "an outage at {at} hid something"),
            failed => assert_outage(failed),
        };
        let repository = registry();
        let blobs = repository.repository(&a).blobs();
        outage(blobs.stat(&config).await.map(|stat| stat.size == 6));
        let repository = registry();
        let blobs = repository.repository(&a).blobs();
        outage(blobs.pull(&config, ByteRange::ALL).await.map(|_| true));
        let repository = registry();
        let manifests = repository.repository(&a).manifests();
        outage(manifests.pull(&tag("t")).await.map(|_| true));
        let repository = registry();
        let tags = repository.repository(&a).tags().list(Page::ALL).await;
        outage(tags.map(|tags| tags.len() == 1));
        let repository = registry();
        let referrers = repository.repository(&a).referrers().list(query).await;
        outage(referrers.map(|referrers| referrers.len() == 1));
        outage(
            registry()
                .catalog(Page::ALL)
                .await
                .map(|names| names == [a.clone()]),
        );
        for from in [Some(&a), None] {
            let repository = registry();
            let blobs = repository.repository(&b).blobs();
            let mounted = blobs.mount(&config, from, &|_| true).await;
            outage(mounted.map(|mounted| mounted.is_some()));
        }
        let repository = registry();
        outage(push(&repository).await.map(|()| true));
    }
}

#[tokio::test]
async fn a_deletion_that_fails_anywhere_leaves_nothing_unsound_and_can_be_repeated() {
    for when in POINTS {
        for at in 1..40 {
            let store = super::store();
            push(&registry(&store)).await.unwrap();
            let a = name("a");
            let digest = {
                let registry = registry(&store);
                registry
                    .repository(&a)
                    .manifests()
                    .pull(&tag("t"))
                    .await
                    .unwrap()
                    .digest
            };
            let failing = registry(&Troubled::failing(&store, at, when));
            let deleted = failing.repository(&a).manifests().delete(&digest).await;
            assert_outage(deleted);
            assert_sound(&store).await;
            let registry = registry(&store);
            match registry.repository(&a).manifests().delete(&digest).await {
                Ok(_) | Err(Error::ManifestUnknown(..)) => {}
                Err(error) => panic!("{error:?}"),
            }
            let left = tree(&store)
                .await
                .into_keys()
                .find(|key| key.contains("_manifests/"));
            assert_eq!(left, None);
            assert_eq!(
                pull_blob(&registry, &a, &sha256(b"a layer")).await.unwrap(),
                "a layer"
            );
        }
    }
}

#[tokio::test]
async fn a_collection_that_fails_anywhere_loses_nothing_and_the_next_one_completes_it() {
    for when in POINTS {
        let mut failures = 0;
        for at in 1..MANY {
            let store = super::store();
            let whole = registry(&store);
            push(&whole).await.unwrap();
            let a = name("a");
            let untagged = image(&sha512(b"config"), &[sha256(b"lost")], None);
            push_blob(&whole, &a, b"lost", &sha256(b"lost"))
                .await
                .unwrap();
            push_untagged(&whole, &a, &untagged).await.unwrap();
            push_blob(&whole, &name("b"), b"unused", &sha256(b"unused"))
                .await
                .unwrap();
            let collected = collect(&registry(&Troubled::failing(&store, at, when)), true).await;
            failures += usize::from(collected.is_err());
            assert_outage(collected);
            pull_whole(&whole, &a, tag("t")).await;
            collect(&whole, true).await.unwrap();
            pull_whole(&whole, &a, tag("t")).await;
            assert_eq!(stored_blobs(&store).await.len(), 3);
            assert_sound(&store).await;
        }
        assert!((10..MANY - 1).contains(&failures), "{failures} failures");
    }
}
