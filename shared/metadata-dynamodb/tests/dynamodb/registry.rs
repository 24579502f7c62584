//! The core over this back end: pushes, pulls, garbage collection and purging.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use roadstead_metadata::{ManifestStore, Page, Reliance};
use roadstead_metadata_dynamodb::sdk::config::retry::RetryConfig;
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{
    CollectOptions, Error, NewManifest, Policy, Purged, Registry, TransportError,
};
use tokio::sync::Notify;

use crate::kit::{app, assert_sound, manifest, push, sha256, sha512, tag};
use crate::proxy::{Fault, Proxy};
use crate::store::{Table, client};

pub(crate) fn registry(table: &Table) -> Registry {
    let policy = Policy {
        delete: true,
        ..Policy::default()
    };
    let driver = Arc::new(table.driver.clone());
    Registry::new(Arc::new(table.back_end()), driver, policy)
}

async fn push_blob(
    registry: &Registry,
    name: &RepositoryName,
    content: &[u8],
    digest: &Digest,
) -> Result<(), Error> {
    let uploads = registry.repository(name).uploads();
    let session = uploads.begin().await?;
    let mut upload = uploads.open(&session.id).await?;
    let (first, second) = content.split_at(content.len() / 2);
    upload.append(body(first), Some(digest.algorithm())).await?;
    upload.checkpoint().await?;
    upload.append(body(second), None).await?;
    upload.finish(digest).await
}

fn body(bytes: &[u8]) -> impl stream::Stream<Item = Result<Bytes, TransportError>> + Send + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(bytes))])
}

fn image(layer: &Digest) -> Bytes {
    let descriptor = |digest| format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":0}}"#);
    let config = descriptor(sha256(b"config"));
    let layer = descriptor(layer.clone());
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#).into()
}

async fn push_image(registry: &Registry, bytes: &Bytes, tags: &[&str]) -> Result<Digest, Error> {
    let new = NewManifest {
        reference: Reference::Digest(sha256(bytes)),
        tags: tags.iter().map(|text| tag(text)).collect(),
        content_type: None,
        bytes: bytes.clone(),
    };
    Ok(registry
        .repository(&app())
        .manifests()
        .push(new)
        .await?
        .digest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_collected_and_images_stay() {
    let Some(mut table) = Table::new().await else {
        return;
    };
    table.options.orphan_age = Duration::ZERO;
    let pushing = registry(&table);
    for content in [
        &b"config"[..],
        b"kept layer",
        b"doomed layer",
        b"unused",
        b"config",
    ] {
        push_blob(&pushing, &app(), content, &sha256(content))
            .await
            .unwrap();
    }
    let alias = sha512(b"by another digest");
    push_blob(&pushing, &app(), b"by another digest", &alias)
        .await
        .unwrap();
    let kept = push_image(&pushing, &image(&sha256(b"kept layer")), &["latest"])
        .await
        .unwrap();
    let doomed = push_image(&pushing, &image(&sha256(b"doomed layer")), &[])
        .await
        .unwrap();
    push_image(&pushing, &image(&alias), &["alias"])
        .await
        .unwrap();
    assert_eq!(pushing.catalog(Page::ALL).await.unwrap(), [app()]);

    let (registry, app) = (registry(&table), app());
    let options = CollectOptions {
        dry_run: false,
        delete_untagged: true,
        grace: Duration::ZERO,
    };
    for _ in 0..2 {
        registry
            .collect_garbage(options, &mut |_| ())
            .await
            .unwrap();
        assert_sound(&table).await;
        let repository = registry.repository(&app);
        let found = repository
            .manifests()
            .pull(&Reference::Tag(tag("latest")))
            .await
            .unwrap();
        assert_eq!(found.digest, kept);
        let gone = repository
            .manifests()
            .pull(&Reference::Digest(doomed.clone()))
            .await;
        assert!(matches!(gone, Err(Error::ManifestUnknown(..))));
        for there in [sha256(b"config"), sha256(b"kept layer")] {
            assert!(repository.blobs().stat(&there).await.is_ok(), "{there}");
        }
        for gone in [sha256(b"doomed layer"), sha256(b"unused")] {
            let stat = repository.blobs().stat(&gone).await;
            assert!(matches!(stat, Err(Error::BlobUnknown(_))), "{gone}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_nobody_finishes_are_purged() {
    let Some(table) = Table::new().await else {
        return;
    };
    let (registry, app) = (registry(&table), app());
    let uploads = registry.repository(&app).uploads();
    let session = uploads.begin().await.unwrap();
    let mut upload = uploads.open(&session.id).await.unwrap();
    upload.append(body(b"half"), None).await.unwrap();
    upload.checkpoint().await.unwrap();
    drop(upload);
    let purged = registry
        .purge_uploads(Duration::from_secs(60), false)
        .await
        .unwrap();
    assert_eq!(purged.deleted, 0);
    let purged = registry.purge_uploads(Duration::ZERO, false).await.unwrap();
    assert_eq!(purged.deleted, 1);
    let opened = uploads.open(&session.id).await;
    assert!(matches!(opened, Err(Error::UploadUnknown)));
    assert_eq!(table.rows().await.len(), 1, "only the repository is known");
}

/// Between any two calls of the collection, by another process. Either the push is refused, as
/// what it refers to is gone, or its manifest stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_untagged_manifest_is_pushed_again_while_it_is_collected() {
    for at in 1.. {
        let Some(table) = Table::new().await else {
            return;
        };
        let pushing = registry(&table);
        for content in [&b"config"[..], b"layer"] {
            let digest = sha256(content);
            push_blob(&pushing, &app(), content, &digest).await.unwrap();
        }
        let image = image(&sha256(b"layer"));
        push_image(&pushing, &image, &[]).await.unwrap();
        let proxy = Proxy::new(table.address).await;
        let back_end = table.back_end_over(client(proxy.address, RetryConfig::standard()));
        let driver = Arc::new(table.driver.clone());
        let collecting = Registry::new(Arc::new(back_end), driver, Policy::default());
        proxy.plan(at, Fault::Held);
        let options = CollectOptions {
            dry_run: false,
            delete_untagged: true,
            grace: Duration::ZERO,
        };
        let mut pushed = None;
        let pushing_again = async {
            proxy.arrival().await;
            pushed = Some(push_image(&pushing, &image, &[]).await);
            proxy.release();
            std::future::pending::<()>().await
        };
        let mut report = |_| ();
        tokio::select! {
            collected = collecting.collect_garbage(options, &mut report) => drop(collected.unwrap()),
            () = pushing_again => unreachable!("it holds for ever"),
        }
        let Some(pushed) = pushed else {
            assert!(at > 20, "it was held at each call");
            return;
        };
        let app = app();
        let repository = pushing.repository(&app);
        match pushed {
            Ok(digest) => {
                let reference = Reference::Digest(digest);
                let pulled = repository.manifests().pull(&reference).await;
                assert_eq!(pulled.unwrap().bytes, image, "held at call {at}");
                for content in [&b"config"[..], b"layer"] {
                    let stat = repository.blobs().stat(&sha256(content)).await;
                    assert!(stat.is_ok(), "held at call {at}: {stat:?}");
                }
            }
            Err(Error::ReferencesUnknown(_)) => {}
            Err(error) => panic!("held at call {at}: {error:?}"),
        }
        assert_sound(&table).await;
    }
}

/// At any of its calls: the tag leads to the manifest that it did, or to the new one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_an_outage_ends_takes_no_tag_away() {
    for at in 1.. {
        let Some(table) = Table::new().await else {
            return;
        };
        let pushing = registry(&table);
        for content in [&b"config"[..], b"old layer", b"new layer"] {
            let digest = sha256(content);
            push_blob(&pushing, &app(), content, &digest).await.unwrap();
        }
        let [old, new] = [&b"old layer"[..], b"new layer"].map(|layer| image(&sha256(layer)));
        push_image(&pushing, &old, &["latest"]).await.unwrap();
        let proxy = Proxy::new(table.address).await;
        let back_end = table.back_end_over(client(proxy.address, RetryConfig::disabled()));
        let driver = Arc::new(table.driver.clone());
        let failing = Registry::new(Arc::new(back_end), driver, Policy::default());
        proxy.plan(at, Fault::LostRequest);
        let pushed = push_image(&failing, &new, &["latest"]).await;
        let has_failed = proxy.calls().len() >= at;
        let app = app();
        let manifests = pushing.repository(&app).manifests();
        let tagged = manifests.pull(&Reference::Tag(tag("latest"))).await;
        let tagged = tagged.unwrap_or_else(|error| panic!("failed at call {at}: {error:?}"));
        assert_sound(&table).await;
        if !has_failed {
            assert_eq!(pushed.unwrap(), tagged.digest);
            assert!(at > 5, "it failed at each call");
            return;
        }
        assert!(matches!(pushed, Err(Error::Unavailable(_))), "{pushed:?}");
        assert!([old, new].contains(&tagged.bytes), "failed at call {at}");
    }
}

/// Refuses once a collection has come to its call that is held, or to its end.
struct Collecting<'a> {
    proxy: &'a Proxy,
    begun: &'a Notify,
    ended: &'a Notify,
}

#[async_trait]
impl Reliance for Collecting<'_> {
    async fn holds(&self) -> Result<bool, roadstead_metadata::Error> {
        self.begun.notify_one();
        tokio::select! {
            () = self.proxy.arrival() => {}
            () = self.ended.notified() => {}
        }
        Ok(false)
    }
}

/// At every second call of a collection that has found the manifest without a tag. Either the
/// manifest was gone by then, and the tag is too, or it is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_goes_back_to_its_manifest_while_that_is_collected() {
    let mut came_back = 0;
    for at in (1..).step_by(2) {
        let Some(table) = Table::new().await else {
            return;
        };
        let registry = registry(&table);
        for content in [&b"config"[..], b"layer"] {
            let digest = sha256(content);
            push_blob(&registry, &app(), content, &digest)
                .await
                .unwrap();
        }
        let image = image(&sha256(b"layer"));
        push_image(&registry, &image, &["latest"]).await.unwrap();
        let proxy = Proxy::new(table.address).await;
        let back_end = table.back_end_over(client(proxy.address, RetryConfig::standard()));
        let driver = Arc::new(table.driver.clone());
        let collecting = Registry::new(Arc::new(back_end), driver, Policy::default());
        proxy.plan(at, Fault::Held);
        let (begun, ended) = (Notify::new(), Notify::new());
        let collect = async {
            begun.notified().await;
            let options = CollectOptions {
                dry_run: false,
                delete_untagged: true,
                grace: Duration::ZERO,
            };
            let collected = collecting.collect_garbage(options, &mut |_| ()).await;
            collected.unwrap();
            ended.notify_one();
        };
        let refused = async {
            let refusing = Collecting {
                proxy: &proxy,
                begun: &begun,
                ended: &ended,
            };
            let push = push(&manifest("other", 1), &["latest"]);
            let is_taken = table.back_end().record_if(&push, &refusing).await;
            assert!(!is_taken.unwrap());
            proxy.release();
        };
        tokio::join!(collect, refused);
        assert_sound(&table).await;
        let app = app();
        let repository = registry.repository(&app);
        let latest = Reference::Tag(tag("latest"));
        match repository.manifests().pull(&latest).await {
            Ok(found) => {
                came_back += 1;
                assert_eq!(found.bytes, image, "held at call {at}");
                for content in [&b"config"[..], b"layer"] {
                    let stat = repository.blobs().stat(&sha256(content)).await;
                    assert!(stat.is_ok(), "held at call {at}: {stat:?}");
                }
            }
            Err(Error::ManifestUnknown(..)) => {}
            Err(error) => panic!("held at call {at}: {error:?}"),
        }
        if proxy.calls().len() < at {
            assert!(came_back > 5, "it came back {came_back} times");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_digest_leaves_nothing() {
    let Some(table) = Table::new().await else {
        return;
    };
    let registry = registry(&table);
    let pushed = push_blob(&registry, &app(), b"content", &sha256(b"other")).await;
    assert!(matches!(pushed, Err(Error::DigestMismatch { .. })));
    assert_eq!(table.contents().await, Vec::<String>::new());
    let purged = registry.purge_uploads(Duration::ZERO, false).await.unwrap();
    assert_eq!(purged, Purged::default(), "the client has been told");
    assert_eq!(table.rows().await.len(), 1, "only the repository is known");
}
