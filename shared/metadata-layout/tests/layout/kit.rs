//! A layout in memory, and things to put into it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use roadstead_metadata::{
    Adoption, BlobStore, Error, ManifestPush, ManifestRecord, ManifestStore, Referrer,
    UploadSession,
};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digest, Digester, Manifest, RepositoryName};
use roadstead_storage::{Driver, DriverExt, EntryKind, Key, ListOptions, MemoryDriver};
use serde_json::json;
use time::OffsetDateTime;

pub(crate) const ROOT: &str = "docker/registry/v2";

pub(crate) fn layout(driver: &MemoryDriver) -> Layout {
    let options = Options {
        cached_manifests: 0,
        ..Options::default()
    };
    Layout::new(Arc::new(driver.clone()), options)
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, bytes)
}

pub(crate) fn image(what: &str, subject: Option<&Digest>) -> Bytes {
    let config =
        json!({ "mediaType": "a/config", "digest": sha256(what.as_bytes()), "size": what.len() });
    let mut image = json!({ "schemaVersion": 2, "config": config, "layers": [] });
    if let Some(subject) = subject {
        image["subject"] = json!({ "mediaType": "a/b", "digest": subject, "size": 0 });
    }
    image.to_string().into()
}

pub(crate) fn push_of(name: &RepositoryName, bytes: &Bytes, tags: &[&str]) -> ManifestPush {
    let manifest = Manifest::parse(bytes, None).unwrap();
    let record = ManifestRecord {
        digest: sha256(bytes),
        media_type: manifest.media_type.clone(),
        bytes: bytes.clone(),
    };
    ManifestPush {
        repository: name.clone(),
        fixed: Default::default(),
        referrer: Referrer::of(&manifest, &record),
        manifest: record,
        alias: None,
        tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
    }
}

/// Stores a manifest as this registry does.
pub(crate) async fn record(
    layout: &Layout,
    name: &RepositoryName,
    bytes: &Bytes,
    tags: &[&str],
) -> Digest {
    let push = push_of(name, bytes, tags);
    layout.record(&push).await.unwrap();
    push.manifest.digest
}

/// Stores a blob as this registry does.
pub(crate) async fn push_blob(
    driver: &MemoryDriver,
    layout: &Layout,
    session: &UploadSession,
    bytes: &'static [u8],
    alias: Option<&Digest>,
) -> Result<Digest, Error> {
    use roadstead_metadata::UploadStore;
    let digest = sha256(bytes);
    layout.begin(session).await?;
    let key = Key::new(&layout.upload_location(session)).unwrap();
    let mut upload = driver.upload(&key).await.unwrap();
    upload.append(&[Bytes::from_static(bytes)]).await.unwrap();
    upload.commit().await.unwrap();
    let adoption = Adoption {
        session,
        location: key.as_str(),
        digest: &digest,
        alias,
        size: bytes.len() as u64,
    };
    layout.adopt(&adoption).await?;
    Ok(digest)
}

pub(crate) fn session(name: &RepositoryName, id: &str) -> UploadSession {
    UploadSession {
        repository: name.clone(),
        id: id.to_owned(),
        started_at: OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap(),
    }
}

pub(crate) async fn put(driver: &MemoryDriver, path: &str, content: impl Into<Bytes>) {
    let key = Key::new(&format!("{ROOT}/{path}")).unwrap();
    driver.put(&key, content.into()).await.unwrap();
}

/// Stores a manifest as Distribution does: bytes and links, and nothing else.
pub(crate) async fn put_manifest(
    driver: &MemoryDriver,
    name: &str,
    bytes: &Bytes,
    tag: Option<&str>,
) -> Digest {
    let digest = sha256(bytes);
    let hex = digest.hex();
    put(
        driver,
        &format!("blobs/sha256/{}/{hex}/data", &hex[..2]),
        bytes.clone(),
    )
    .await;
    let manifests = format!("repositories/{name}/_manifests");
    let link = || digest.as_str().to_owned();
    put(
        driver,
        &format!("{manifests}/revisions/sha256/{hex}/link"),
        link(),
    )
    .await;
    if let Some(tag) = tag {
        put(
            driver,
            &format!("{manifests}/tags/{tag}/index/sha256/{hex}/link"),
            link(),
        )
        .await;
        put(
            driver,
            &format!("{manifests}/tags/{tag}/current/link"),
            link(),
        )
        .await;
    }
    digest
}

/// Every key below the root of the layout, with its content.
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
                    let path = key.as_str().strip_prefix(ROOT).unwrap();
                    tree.insert(path.trim_start_matches('/').to_owned(), content);
                }
            }
        }
    }
    tree
}
