//! Registries, things to push, and what must hold of every store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use roadstead_metadata::Page;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digest, Digester, Manifest, Reference, RepositoryName};
use roadstead_registry::{
    CollectOptions, Error, Finding, NewManifest, Policy, Pull, Registry, TransportError,
};
use roadstead_storage::{
    ByteRange, Content, Driver, DriverExt, EntryKind, Key, ListOptions, MemoryDriver,
};
use serde_json::{Value, json};

/// A registry that permits everything; each is one process more on the same store.
pub(crate) fn registry(driver: &(impl Driver + Clone)) -> Registry {
    let driver: Arc<dyn Driver> = Arc::new(driver.clone());
    let options = Options {
        cached_manifests: 0,
        ..Options::default()
    };
    let layout = Layout::new(Arc::clone(&driver), options);
    let policy = Policy {
        delete: true,
        ..Policy::default()
    };
    Registry::new(Arc::new(layout), driver, policy)
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().unwrap())
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, bytes)
}

pub(crate) fn sha512(bytes: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha512, bytes)
}

/// A body that comes whole.
pub(crate) fn body(
    bytes: &[u8],
) -> impl Stream<Item = Result<Bytes, TransportError>> + Send + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(bytes))])
}

/// A body that breaks off.
pub(crate) fn broken(
    bytes: &[u8],
) -> impl Stream<Item = Result<Bytes, TransportError>> + Send + use<> {
    stream::iter([Ok(Bytes::copy_from_slice(bytes)), Err("gone".into())])
}

/// Pushes a blob in one request.
pub(crate) async fn push_blob(
    registry: &Registry,
    name: &RepositoryName,
    bytes: &[u8],
    digest: &Digest,
) -> Result<(), Error> {
    let uploads = registry.repository(name).uploads();
    let session = uploads.begin().await?;
    let mut upload = uploads.open(&session.id).await?;
    upload.append(body(bytes), Some(digest.algorithm())).await?;
    upload.finish(digest).await
}

pub(crate) fn image(config: &Digest, layers: &[Digest], subject: Option<&Digest>) -> Bytes {
    let descriptor = |digest: &Digest| json!({ "mediaType": "a/b", "digest": digest, "size": 0 });
    let layers: Vec<Value> = layers.iter().map(descriptor).collect();
    let mut image = json!({ "schemaVersion": 2, "config": descriptor(config), "layers": layers });
    if let Some(subject) = subject {
        image["subject"] = descriptor(subject);
    }
    image.to_string().into()
}

pub(crate) fn index(children: &[Digest]) -> Bytes {
    let descriptor = |digest: &Digest| json!({ "mediaType": "a/b", "digest": digest, "size": 0 });
    let children: Vec<Value> = children.iter().map(descriptor).collect();
    json!({ "schemaVersion": 2, "manifests": children })
        .to_string()
        .into()
}

pub(crate) async fn push_manifest(
    registry: &Registry,
    name: &RepositoryName,
    reference: Reference,
    bytes: &Bytes,
) -> Result<Digest, Error> {
    let new = NewManifest {
        reference,
        tags: Vec::new(),
        content_type: None,
        bytes: bytes.clone(),
    };
    Ok(registry
        .repository(name)
        .manifests()
        .push(new)
        .await?
        .digest)
}

/// Pushes a manifest without a tag.
pub(crate) async fn push_untagged(
    registry: &Registry,
    name: &RepositoryName,
    bytes: &Bytes,
) -> Result<Digest, Error> {
    push_manifest(registry, name, Reference::Digest(sha256(bytes)), bytes).await
}

pub(crate) async fn pull_blob(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Bytes, Error> {
    let pull = registry
        .repository(name)
        .blobs()
        .pull(digest, ByteRange::ALL)
        .await?;
    match pull {
        Pull::Content {
            content: Content::Bytes(bytes),
            ..
        } => Ok(bytes),
        other => panic!("not bytes: {other:?}"),
    }
}

pub(crate) async fn pull_manifest(
    registry: &Registry,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Bytes, Error> {
    Ok(registry
        .repository(name)
        .manifests()
        .pull(reference)
        .await?
        .bytes)
}

/// Pulls a manifest with all that it is made of, children too; panics on what is not there.
pub(crate) async fn pull_whole(registry: &Registry, name: &RepositoryName, reference: Reference) {
    let mut to_pull = vec![reference];
    while let Some(reference) = to_pull.pop() {
        let bytes = pull_manifest(registry, name, &reference).await;
        let bytes = bytes.unwrap_or_else(|error| panic!("{name} {reference}: {error}"));
        let manifest = Manifest::parse(&bytes, None).unwrap();
        for blob in manifest.config.iter().chain(&manifest.layers) {
            let content = pull_blob(registry, name, &blob.digest).await;
            let content = content.unwrap_or_else(|error| panic!("{name} {reference}: {error}"));
            assert_eq!(
                Digester::digest(blob.digest.algorithm(), &content),
                blob.digest
            );
        }
        let children = manifest.manifests.into_iter();
        to_pull.extend(children.map(|child| Reference::Digest(child.digest)));
    }
}

pub(crate) async fn collect(
    registry: &Registry,
    delete_untagged: bool,
) -> Result<Vec<Finding>, Error> {
    collect_older(registry, delete_untagged, Duration::ZERO).await
}

pub(crate) async fn collect_older(
    registry: &Registry,
    delete_untagged: bool,
    grace: Duration,
) -> Result<Vec<Finding>, Error> {
    let options = CollectOptions {
        dry_run: false,
        delete_untagged,
        grace,
    };
    let mut findings = Vec::new();
    registry
        .collect_garbage(options, &mut |finding| findings.push(finding))
        .await?;
    Ok(findings)
}

/// Every key of a store, with its content.
pub(crate) async fn tree(driver: &MemoryDriver) -> BTreeMap<String, Bytes> {
    let mut tree = BTreeMap::new();
    let mut prefixes = vec![Key::root()];
    while let Some(prefix) = prefixes.pop() {
        for entry in driver.list(&prefix, ListOptions::ALL).await.unwrap() {
            let key = prefix.join(&entry.name).unwrap();
            match entry.kind {
                EntryKind::Prefix => prefixes.push(key),
                EntryKind::Content => {
                    let content = driver.get(&key, u64::MAX).await.unwrap();
                    tree.insert(key.to_string(), content);
                }
            }
        }
    }
    tree
}

/// The digests of all stored blobs; each of them has the right bytes.
pub(crate) async fn stored_blobs(driver: &MemoryDriver) -> Vec<Digest> {
    let mut digests = Vec::new();
    for (key, content) in tree(driver).await {
        if let Some(path) = key.strip_prefix("docker/registry/v2/blobs/sha256/") {
            let hex = path.split('/').nth(1).unwrap();
            let digest: Digest = format!("sha256:{hex}").parse().unwrap();
            assert_eq!(sha256(&content), digest, "a blob with wrong bytes");
            digests.push(digest);
        }
    }
    digests
}

/// No blob has wrong bytes, no tag points to nothing, no manifest lacks a part.
pub(crate) async fn assert_sound(driver: &MemoryDriver) {
    assert_tags_sound(driver).await;
    let registry = registry(driver);
    for key in tree(driver).await.into_keys() {
        let key = key.trim_start_matches("docker/registry/v2/repositories/");
        if let Some((repository, digest)) = key.split_once("/_manifests/revisions/") {
            let digest = digest.trim_end_matches("/link").replace('/', ":");
            let reference = Reference::Digest(digest.parse().unwrap());
            pull_whole(&registry, &name(repository), reference).await;
        }
    }
}

/// No blob has wrong bytes, and all that a tag leads to is there.
pub(crate) async fn assert_tags_sound(driver: &MemoryDriver) {
    stored_blobs(driver).await;
    let registry = registry(driver);
    for name in registry.catalog(Page::ALL).await.unwrap() {
        let repository = registry.repository(&name);
        for tag in repository.tags().list(Page::ALL).await.unwrap() {
            pull_whole(&registry, &name, Reference::Tag(tag)).await;
        }
    }
}
