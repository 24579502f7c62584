//! How many requests the operations of a registry make, over Distribution's layout: what the
//! layout and the core add to the driver's own requests.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "the counts are for reading")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use roadstead_metadata::Page;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digest, Digester, Reference, RepositoryName};
use roadstead_registry::{Memory, NewManifest, Policy, Pull, Purged, Registry};
use roadstead_storage::{ByteRange, Driver, Key, Write, WriteMode};
use roadstead_storage_s3::{Config, S3Driver};
use support::proxy::Proxy;
use support::{BUCKET, Folder};
use uuid::Uuid;

const MIB: usize = 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 3600);

struct Counted {
    folder: Folder,
    proxy: Proxy,
}

impl Counted {
    /// A registry that has nothing in memory but what it finds out about the store once.
    async fn registry(&self) -> Registry {
        let config = Config {
            endpoint: Some(self.proxy.url.clone()),
            ..self.folder.config()
        };
        let driver: Arc<dyn Driver> = Arc::new(S3Driver::new(config).unwrap());
        driver.write(&[first()]).await.unwrap();
        support::read_what_signs_memos(&*driver).await;
        self.proxy.requests();
        let layout = Layout::new(Arc::clone(&driver), Options::default());
        let policy = Policy {
            delete: true,
            ..Policy::default()
        };
        Registry::new(Arc::new(layout), driver, policy).with_memory(Memory {
            entries: 1000,
            grace: DAY,
            of_pulls: true,
        })
    }

    /// The objects of uploads under way.
    async fn uploads(&self) -> Vec<String> {
        let mut objects = self.folder.objects().await;
        objects.retain(|name| name.contains("/_uploads/"));
        objects.extend(self.folder.multiparts().await);
        objects
    }

    /// How many requests were made since the last call, and which.
    fn requests(&self) -> (usize, String) {
        let requests = self.proxy.requests();
        let mut counts = BTreeMap::new();
        for request in &requests {
            *counts.entry(request.as_str()).or_insert(0) += 1;
        }
        let counts = counts.iter().map(|(name, count)| format!("{count} {name}"));
        (requests.len(), counts.collect::<Vec<_>>().join(", "))
    }
}

/// A write before which the driver probes the store.
fn first() -> Write {
    Write {
        key: Key::new(&format!("first/{}", Uuid::new_v4())).unwrap(),
        content: Bytes::new(),
        mode: WriteMode::CreateNew,
    }
}

/// Pushes a blob in chunks; `commit` is the most requests of the `PUT` that ends the upload.
async fn push(
    s3: &Counted,
    registry: &Registry,
    name: &RepositoryName,
    chunks: &[Bytes],
    commit: usize,
) -> Digest {
    let uploads = registry.repository(name).uploads();
    let session = uploads.begin().await.unwrap();
    report("POST", s3.requests(), 1);
    let mut digester = Digester::new(Algorithm::Sha256);
    let mut memo = None;
    for chunk in chunks {
        digester.update(chunk);
        let mut upload = uploads.open(&session.id).await.unwrap();
        let body = stream::iter([Ok(chunk.clone())]);
        upload.append(body, None).await.unwrap();
        upload.checkpoint().await.unwrap();
        memo = upload.memo().await;
        drop(upload);
        match chunk.len() <= MIB {
            true => report("small PATCH", s3.requests(), 3),
            // One for each part and for what is left, two to begin, and the two of a small one.
            false => report(
                "large PATCH",
                s3.requests(),
                5 + chunk.len().div_ceil(10 * MIB),
            ),
        }
    }
    let digest = digester.finish();
    let finished = match &memo {
        Some(memo) => uploads.finish_by_memo(&session.id, memo, &digest).await,
        None => Ok(false),
    };
    if !finished.unwrap() {
        let upload = uploads.open(&session.id).await.unwrap();
        upload.finish(&digest).await.unwrap();
    }
    report("PUT that commits", s3.requests(), commit);
    assert_eq!(s3.uploads().await, [""; 0], "an upload has left something");
    digest
}

/// Says what was counted; more than `most` is a step back.
fn report(operation: &str, (count, requests): (usize, String), most: usize) {
    println!("{operation}: {count} ({requests})");
    assert!(
        count <= most,
        "{operation} made {count} requests: {requests}"
    );
}

#[tokio::test]
async fn requests_of_a_registry() {
    let Some(folder) = Folder::new().await else {
        return;
    };
    let proxy = Proxy::new(folder.url).await;
    let s3 = Counted { folder, proxy };
    let registry = s3.registry().await;
    let name: RepositoryName = "a/b".parse().unwrap();
    let repository = registry.repository(&name);
    let chunks = ["some ", "small ", "layer"].map(Bytes::from);
    let layer = push(&s3, &registry, &name, &chunks, 4).await;
    let config = push(&s3, &registry, &name, &["{}".into()], 4).await;

    let other = s3.registry().await;
    let other = other.repository(&name);
    let pull = other.blobs().pull(&layer, ByteRange::ALL).await.unwrap();
    assert!(matches!(pull, Pull::Redirect(_)));
    report("blob GET", s3.requests(), 1);
    other.blobs().stat(&layer).await.unwrap();
    report("blob HEAD after it", s3.requests(), 1);
    other.blobs().stat(&config).await.unwrap();
    report("blob HEAD", s3.requests(), 2);
    for digest in [&layer, &config] {
        other.blobs().stat(digest).await.unwrap();
        other.blobs().pull(digest, ByteRange::ALL).await.unwrap();
        report("blob HEAD and GET, in memory", s3.requests(), 0);
    }

    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":16}}]}}"#
    );
    let manifest = NewManifest {
        reference: "latest".parse().unwrap(),
        tags: Vec::new(),
        content_type: None,
        bytes: manifest.into(),
    };
    repository.manifests().push(manifest.clone()).await.unwrap();
    report("manifest PUT", s3.requests(), 4);
    let elsewhere = s3.registry().await;
    let elsewhere = elsewhere.repository(&name).manifests();
    elsewhere.push(manifest).await.unwrap();
    report(
        "manifest PUT of what others have linked",
        s3.requests(),
        4 + 2 * 3,
    );
    let latest: Reference = "latest".parse().unwrap();
    repository.manifests().pull(&latest).await.unwrap();
    report("manifest GET", s3.requests(), 1);
    let cold = s3.registry().await;
    let cold = cold.repository(&name);
    let pulled = cold.manifests().pull(&latest).await.unwrap();
    report("manifest GET, nothing in memory", s3.requests(), 2);
    let digest = Reference::Digest(pulled.digest);
    for again in [&latest, &digest] {
        cold.manifests().pull(again).await.unwrap();
        report("manifest GET, in memory", s3.requests(), 1);
    }
    let cold = s3.registry().await;
    let cold = cold.repository(&name);
    cold.manifests().pull(&digest).await.unwrap();
    report(
        "manifest GET by digest, nothing in memory",
        s3.requests(),
        2,
    );
    let page = Page {
        after: None,
        limit: 100,
    };
    cold.tags().list(page).await.unwrap();
    report("tags", s3.requests(), 1);
    registry.catalog(page).await.unwrap();
    report("catalog", s3.requests(), 6);
}

/// An upload in parts has its object where it was begun, since S3 knows no other way to join them,
/// and S3 cannot rename: the copy is a request more than a small one makes, and asking for the
/// upload is one less. Above `multipartcopythresholdsize` the copy is in parts itself.
#[tokio::test]
async fn requests_of_an_upload_in_parts() {
    let Some(folder) = Folder::new().await else {
        return;
    };
    let proxy = Proxy::new(folder.url).await;
    let s3 = Counted { folder, proxy };
    let registry = s3.registry().await;
    let name: RepositoryName = "a/b".parse().unwrap();
    let bytes = |size: usize, seed: usize| (0..size).map(move |at| (at ^ seed ^ (at >> 9)) as u8);
    let large: Bytes = bytes(23 * MIB, 1).collect();
    push(&s3, &registry, &name, &[large], 4).await;
    let middling: Bytes = bytes(6 * MIB, 2).collect();
    push(&s3, &registry, &name, std::slice::from_ref(&middling), 4).await;
    let chunks = [middling.clone(), "small".into(), middling, "small".into()];
    let digest = push(&s3, &registry, &name, &chunks, 4).await;
    let blobs = registry.repository(&name).blobs();
    assert_eq!(
        blobs.stat(&digest).await.unwrap().size,
        12 * MIB as u64 + 10
    );
}

#[tokio::test]
async fn purging_aborts_what_a_crash_has_left_where_no_upload_shows_it() {
    let Some(folder) = Folder::new().await else {
        return;
    };
    let driver: Arc<dyn Driver> = Arc::new(folder.driver());
    let layout = Layout::new(Arc::clone(&driver), Options::default());
    let registry = Registry::new(Arc::new(layout), driver, Policy::default());
    let of_others = format!("{}/backups/data", folder.name);
    for object in [
        format!(
            "{}/docker/registry/v2/blobs/sha256/ab/abcd/data",
            folder.name
        ),
        of_others.clone(),
    ] {
        let client = folder.client();
        let create = client.create_multipart_upload().bucket(BUCKET);
        create.key(object).send().await.unwrap();
    }
    for (age, dry_run, left) in [
        (DAY, false, 2),
        (Duration::ZERO, true, 2),
        (Duration::ZERO, false, 1),
    ] {
        let purged = registry.purge_uploads(age, dry_run).await.unwrap();
        assert_eq!(purged, Purged::default());
        assert_eq!(folder.multiparts().await.len(), left);
    }
    assert_eq!(folder.multiparts().await, [of_others]);
    folder.driver().delete(&Key::root()).await.unwrap();
}
