//! Things to push, and what must hold of every table.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use roadstead_metadata::testkit::Store;
use roadstead_metadata::{
    Adoption, BlobStore, Error, ManifestPush, ManifestRecord, ManifestStore, Metadata, Page,
    Referrer, Repositories, UploadSession, UploadStore,
};
use roadstead_metadata_dynamodb::DynamoDb;
use roadstead_oci::{Algorithm, Digest, Digester, Manifest, Reference, RepositoryName, Tag};
use time::OffsetDateTime;

use crate::store::Table;

pub(crate) fn app() -> RepositoryName {
    "app".parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(crate) fn sha256(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, content)
}

pub(crate) fn sha512(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha512, content)
}

/// A manifest of at least `size` bytes that refers to `subject`.
pub(crate) fn manifest(seed: &str, size: usize) -> ManifestRecord {
    let filling = "x".repeat(size);
    let (config, subject) = (sha256(seed.as_bytes()), subject());
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"a/b","digest":"{config}","size":2}},"layers":[],"subject":{{"mediaType":"a/b","digest":"{subject}","size":2}},"annotations":{{"a":"{filling}"}}}}"#
    );
    let bytes = Bytes::from(json);
    ManifestRecord {
        digest: sha256(&bytes),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        bytes,
    }
}

pub(crate) fn subject() -> Digest {
    sha256(b"subject")
}

pub(crate) fn push(record: &ManifestRecord, tags: &[&str]) -> ManifestPush {
    let manifest = Manifest::parse(&record.bytes, None).unwrap();
    ManifestPush {
        repository: app(),
        manifest: record.clone(),
        alias: Some(sha512(&record.bytes)),
        tags: tags.iter().map(|text| tag(text)).collect(),
        fixed: BTreeSet::new(),
        referrer: Referrer::of(&manifest, record),
    }
}

/// `prefix` followed by each of so many numbers.
pub(crate) fn many(prefix: &str, number: usize) -> Vec<String> {
    (0..number)
        .map(|number| format!("{prefix}{number:03}"))
        .collect()
}

pub(crate) fn session(id: &str) -> UploadSession {
    UploadSession {
        repository: app(),
        id: id.to_owned(),
        started_at: OffsetDateTime::now_utc().truncate_to_second(),
    }
}

/// Begins an upload whose bytes are there.
pub(crate) async fn begin(table: &Table, back_end: &DynamoDb, id: &str) -> Result<(), Error> {
    let session = session(id);
    back_end.begin(&session).await?;
    table
        .put(&back_end.upload_location(&session), "content".into())
        .await;
    Ok(())
}

pub(crate) async fn adopt(back_end: &DynamoDb, id: &str) -> Result<(), Error> {
    let location = back_end.upload_location(&session(id));
    adopt_at(back_end, id, &location, "content").await
}

/// Makes what lies at `location` of an upload the blob with this content.
pub(crate) async fn adopt_at(
    back_end: &DynamoDb,
    id: &str,
    location: &str,
    content: &str,
) -> Result<(), Error> {
    let adoption = Adoption {
        session: &session(id),
        location,
        digest: &sha256(content.as_bytes()),
        alias: None,
        size: content.len() as u64,
    };
    back_end.adopt(&adoption).await
}

/// All that can be asked agrees, and no content is forgotten.
pub(crate) async fn assert_sound(table: &Table) {
    let metadata = table.metadata();
    for name in metadata
        .repositories(Repositories::All, Page::ALL)
        .await
        .unwrap()
    {
        assert_tags(&*metadata, &name).await;
        assert_manifests(table, &name).await;
    }
    assert_contents(table).await;
}

/// Each tag leads to a manifest of the repository, by both of its rows.
async fn assert_tags(metadata: &dyn Metadata, name: &RepositoryName) {
    for tag in metadata
        .tags(name, Page::ALL)
        .await
        .unwrap()
        .unwrap_or_default()
    {
        let digest = metadata.tag(name, &tag).await.unwrap().unwrap();
        let revision = metadata.revision(name, &digest).await.unwrap();
        assert_eq!(revision.as_ref(), Some(&digest), "{tag} points to nothing");
        let reference = Reference::Tag(tag);
        let found = metadata.manifest(name, &reference).await.unwrap();
        assert_eq!(found.map(|found| found.digest), Some(digest), "{reference}");
    }
}

/// Rows of a repository come in groups: revisions and references, tags and references.
async fn assert_manifests(table: &Table, name: &RepositoryName) {
    let rows = table.rows().await;
    let of = |partition: String| -> BTreeSet<String> {
        let rows = rows.iter().filter(|(pk, _)| *pk == partition);
        rows.map(|(_, sk)| sk.clone()).collect()
    };
    let (revisions, tags) = (of(format!("revision#{name}")), of(format!("tag#{name}")));
    let both: BTreeSet<String> = revisions.union(&tags).cloned().collect();
    assert_eq!(both, of(format!("reference#{name}")), "of {name}");
    let edges = of(format!("referrer#{name}#{}", subject()));
    assert!(edges.is_subset(&revisions), "edges of {name}");
    for digest in revisions {
        let reference = Reference::Digest(digest.parse().unwrap());
        let found = table.back_end().manifest(name, &reference).await.unwrap();
        assert!(found.is_some(), "{digest} is not whole");
    }
}

/// Each blob has its content, and each content a blob, an upload or a note that it can go.
async fn assert_contents(table: &Table) {
    let blobs = blobs(&table.back_end()).await;
    let contents: BTreeSet<String> = table.contents().await.into_iter().collect();
    let known: BTreeSet<&String> = blobs.values().collect();
    for (digest, key) in &blobs {
        assert!(contents.contains(key), "the content of {digest} is gone");
    }
    let rows = table.rows().await;
    for key in &contents {
        let is_of = |id: &str| rows.contains(&("upload#app".to_owned(), id.to_owned()));
        let is_upload = key.split('/').any(is_of);
        let is_orphan = rows.contains(&("orphan".to_owned(), key.clone()));
        assert!(
            known.contains(key) || is_upload || is_orphan,
            "{key} is forgotten"
        );
        assert!(!(known.contains(key) && is_orphan), "{key} will be deleted");
    }
}

/// Where each blob lies.
pub(crate) async fn blobs(back_end: &DynamoDb) -> BTreeMap<String, String> {
    let blobs = back_end.blobs(Page::ALL).await.unwrap();
    let entry = |blob: roadstead_metadata::StoredBlob| (blob.digest.to_string(), blob.location);
    blobs.into_iter().map(entry).collect()
}
