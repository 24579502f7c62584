//! Manifests of a repository: pull, push, delete.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::{ManifestPush, ManifestRecord, Referrer, Reliance};
use roadstead_oci::{
    Algorithm, Descriptor, Digest, Digester, MAX_MANIFEST_SIZE, Manifest, Reference, Role, Tag,
};
use roadstead_storage::{ByteRange, Key};

use crate::blobs::stored_size;
use crate::ingest::Hashes;
use crate::middleware::{Change, Permit};
use crate::registry::Repository;
use crate::uploads::hashed;
use crate::{Error, Policy};

/// The manifests of one repository.
#[derive(Clone, Copy, Debug)]
pub struct Manifests<'a>(pub(crate) Repository<'a>);

/// A manifest that a client wants to push.
#[derive(Clone, Debug)]
pub struct NewManifest {
    /// The tag or digest that it was sent to.
    pub reference: Reference,
    /// Further tags.
    pub tags: Vec<Tag>,
    /// The type that it was sent as.
    pub content_type: Option<String>,
    /// The manifest.
    pub bytes: Bytes,
}

/// How closely references are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// Whether they are linked, and what is linked is there and whole.
    AtContent,
    /// Whether they are still linked: garbage collection removes links first.
    AtLinks,
}

/// What a push has brought about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The digest by which the client knows the manifest.
    pub digest: Digest,
    /// The manifest's subject, which now lists it.
    pub subject: Option<Digest>,
    /// All tags that point to it by this push, in no order.
    pub tags: Vec<Tag>,
    /// The manifest as it is stored.
    pub record: ManifestRecord,
}

impl Manifests<'_> {
    /// The manifest that `reference` names.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when the repository has none.
    pub async fn pull(self, reference: &Reference) -> Result<ManifestRecord, Error> {
        let repository = self.0;
        let metadata = &repository.parts().metadata;
        let record = metadata.manifest(repository.name, reference).await?;
        record.ok_or_else(|| Error::ManifestUnknown(repository.name.clone(), reference.clone()))
    }

    /// Stores a manifest, byte for byte, with its tags and its edge to a subject. Durable on
    /// return.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestInvalid`] and [`Error::ManifestRefused`] for what is no manifest or
    /// breaks a rule, [`Error::DigestMismatch`], [`Error::ReferencesUnknown`], and
    /// [`Error::ReadOnly`] in a read-only registry. Nothing is stored then, but what
    /// [`ManifestStore::record_if`](roadstead_metadata::ManifestStore::record_if) may leave when
    /// garbage collection takes a reference away meanwhile, or when a back end fails.
    pub async fn push(self, new: NewManifest) -> Result<Pushed, Error> {
        let parts = self.0.parts();
        parts.policy.permit_write()?;
        if new.bytes.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(Error::ManifestTooLarge(MAX_MANIFEST_SIZE));
        }
        let manifest = Manifest::parse(&new.bytes, new.content_type.as_deref())?;
        let canonical = Digester::digest(Algorithm::Sha256, &new.bytes);
        let digest = name(&new.reference, &canonical, &new.bytes)?;
        check_data(&manifest)?;
        let mut tags = new.tags;
        if let Reference::Tag(tag) = new.reference {
            tags.push(tag);
        }
        let change = Change::Push {
            digest: &canonical,
            tags: &tags,
        };
        let permits = self.0.permit(&change).await?;
        self.check_references(&manifest, Look::AtContent).await?;
        let record = ManifestRecord {
            digest: canonical.clone(),
            media_type: manifest.media_type.clone(),
            bytes: new.bytes,
        };
        let referrer = Referrer::of(&manifest, &record);
        let subject = referrer.as_ref().map(|referrer| referrer.subject.clone());
        let push = ManifestPush {
            repository: self.0.name.clone(),
            manifest: record,
            alias: (digest != canonical).then(|| digest.clone()),
            tags,
            fixed: permits.iter().flat_map(Permit::fixed).cloned().collect(),
            referrer,
        };
        let since = parts.recent.now();
        let references = References::of(self, &manifest);
        if !parts.metadata.record_if(&push, &references).await? {
            return Err(references.refusal());
        }
        let digests = [&canonical, &digest];
        parts.recent.link_manifest(self.0.name, digests, since);
        Ok(Pushed {
            digest,
            subject,
            tags: push.tags,
            record: push.manifest,
        })
    }

    /// Takes a manifest out of the repository, with every tag that points to it; gives these tags.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`], [`Error::ReadOnly`], or [`Error::DeletionDisabled`].
    pub async fn delete(self, digest: &Digest) -> Result<Vec<Tag>, Error> {
        let repository = self.0;
        let parts = repository.parts();
        parts.policy.permit_delete()?;
        let metadata = &parts.metadata;
        let reference = Reference::Digest(digest.clone());
        let Some(canonical) = metadata.revision(repository.name, digest).await? else {
            return Err(Error::ManifestUnknown(repository.name.clone(), reference));
        };
        let change = Change::DeleteManifest(&canonical);
        let _permit = repository.permit(&change).await?;
        let record = metadata.manifest(repository.name, &reference).await?;
        let manifest = record.and_then(|record| Manifest::read(&record.bytes).ok());
        let subject = manifest.and_then(|manifest| manifest.subject);
        let subject = subject.as_ref().map(|subject| &subject.digest);
        let deleted = metadata.delete_manifest(repository.name, &canonical, subject);
        let deleted = deleted.await;
        parts.recent.forget(repository.name);
        Ok(deleted?)
    }

    /// Every blob and manifest that the manifest is made of must be in the repository.
    async fn check_references(self, manifest: &Manifest, look: Look) -> Result<(), Error> {
        /// How many are looked up at once.
        const AT_ONCE: usize = 16;
        let required = required(manifest, &self.0.parts().policy)?;
        let missing = stream::iter(required).map(|(digest, (role, size))| async move {
            let is_there = match role {
                Role::Config | Role::Layer => self.has_blob(&digest, size, look).await?,
                Role::Child => self.has_child(&digest, size, look).await?,
            };
            Ok::<_, Error>((!is_there).then_some(digest))
        });
        let missing = missing
            .buffered(AT_ONCE)
            .try_filter_map(async |missing| Ok(missing));
        let missing: Vec<Digest> = missing.try_collect().await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(Error::ReferencesUnknown(missing))
    }

    /// An index may list blobs as well: build caches do.
    async fn has_child(self, digest: &Digest, size: u64, look: Look) -> Result<bool, Error> {
        let parts = self.0.parts();
        if parts.recent.has_manifest(self.0.name, digest) {
            return Ok(true);
        }
        if parts.recent.blob(self.0.name, digest) == Some(size) {
            return Ok(true);
        }
        let revision = parts.metadata.revision(self.0.name, digest).await?;
        Ok(revision.is_some() || self.has_blob(digest, size, look).await?)
    }

    async fn has_blob(self, digest: &Digest, size: u64, look: Look) -> Result<bool, Error> {
        let parts = self.0.parts();
        let recent = parts.recent.blob(self.0.name, digest);
        if recent.is_some_and(|stored| stored == size || size == 0) {
            return Ok(true);
        }
        let Some(canonical) = parts.metadata.linked(self.0.name, digest).await? else {
            return Ok(false);
        };
        if look == Look::AtLinks {
            return Ok(true);
        }
        match stored_size(parts, &canonical).await? {
            None => Ok(false),
            Some(stored) if stored == size || size == 0 => Ok(true),
            Some(stored) => self.is_sound(&canonical, stored).await,
        }
    }

    /// Whether a blob is what its digest says, asked when its size is not what a manifest says:
    /// either the manifest is wrong about the size, which is the client's business, or the file
    /// was damaged by a crash. A damaged one is deleted, so that the next push brings it back.
    async fn is_sound(self, digest: &Digest, size: u64) -> Result<bool, Error> {
        const STEP: u64 = 4 * 1024 * 1024;
        let parts = self.0.parts();
        let Some(location) = parts.metadata.location(digest).await? else {
            return Ok(false);
        };
        let key = Key::new(&location)?;
        let mut hashes = Hashes::new(None);
        let mut offset = 0;
        while offset < size {
            let length = Some(STEP);
            let object = parts
                .driver
                .read(&key, ByteRange { offset, length })
                .await?;
            hashes = hashed(hashes, object.content).await?;
            offset += STEP;
        }
        if hashes.finish().0 == *digest {
            return Ok(true);
        }
        tracing::error!(blob.digest = %digest, "deleting a damaged blob, to be pushed again");
        parts.metadata.delete_blob(digest).await?;
        parts.recent.forget(self.0.name);
        Ok(false)
    }
}

/// What a manifest is made of, to be looked at once more while it is stored: garbage collection may
/// have removed a link since the first look. It removes links before it looks at manifests again
/// and deletes bytes; so what is still linked stays.
struct References<'a> {
    manifests: Manifests<'a>,
    manifest: &'a Manifest,
    /// Those that are gone.
    missing: Mutex<Vec<Digest>>,
}

#[async_trait]
impl Reliance for References<'_> {
    async fn holds(&self) -> Result<bool, roadstead_metadata::Error> {
        let checked = self
            .manifests
            .check_references(self.manifest, Look::AtLinks);
        match checked.await {
            Ok(()) => Ok(true),
            Err(Error::ReferencesUnknown(missing)) => {
                *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = missing;
                Ok(false)
            }
            // What cannot be looked at is not gone.
            Err(Error::Unavailable(source)) => Err(roadstead_metadata::Error::Unavailable(source)),
            Err(error) => Err(roadstead_metadata::Error::Unavailable(Box::new(error))),
        }
    }
}

impl<'a> References<'a> {
    fn of(manifests: Manifests<'a>, manifest: &'a Manifest) -> Self {
        Self {
            manifests,
            manifest,
            missing: Mutex::default(),
        }
    }

    fn refusal(self) -> Error {
        let missing = self.missing.into_inner();
        Error::ReferencesUnknown(missing.unwrap_or_else(PoisonError::into_inner))
    }
}

/// The digest by which the client knows the manifest: the one it was sent to, if that is right.
fn name(reference: &Reference, canonical: &Digest, bytes: &[u8]) -> Result<Digest, Error> {
    let Reference::Digest(expected) = reference else {
        return Ok(canonical.clone());
    };
    let actual = match expected.algorithm() {
        Algorithm::Sha256 => canonical.clone(),
        algorithm => Digester::digest(algorithm, bytes),
    };
    if actual != *expected {
        let expected = expected.clone();
        return Err(Error::DigestMismatch { expected, actual });
    }
    Ok(actual)
}

/// What must be there, each digest once, with its role and the size that the manifest says.
fn required(manifest: &Manifest, policy: &Policy) -> Result<BTreeMap<Digest, (Role, u64)>, Error> {
    let mut required = BTreeMap::new();
    for (role, descriptor) in manifest.references() {
        let needed = match role {
            Role::Config => true,
            Role::Layer => !is_foreign(descriptor, policy)?,
            Role::Child => policy.platforms.requires(descriptor.platform.as_ref()),
        };
        if needed {
            required.insert(descriptor.digest.clone(), (role, descriptor.size));
        }
    }
    Ok(required)
}

/// Whether a layer is to be fetched from elsewhere, by URLs that the policy permits.
fn is_foreign(layer: &Descriptor, policy: &Policy) -> Result<bool, Error> {
    let urls = layer.urls.as_deref().unwrap_or_default();
    match urls.iter().find(|url| !is_permitted(url, policy)) {
        Some(url) => Err(Error::ManifestRefused(format!(
            "invalid URL on layer: {url}"
        ))),
        None => Ok(!urls.is_empty()),
    }
}

fn is_permitted(url: &str, policy: &Policy) -> bool {
    let scheme = url
        .split_once("://")
        .map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https")) && policy.urls.permits(url)
}

/// Embedded content must be what its descriptor says (image specification, "Embedded Content").
fn check_data(manifest: &Manifest) -> Result<(), Error> {
    let subject = manifest.subject.iter();
    let all = manifest
        .references()
        .map(|(_, descriptor)| descriptor)
        .chain(subject);
    for descriptor in all {
        let Some(data) = &descriptor.data else {
            continue;
        };
        let is_right = STANDARD.decode(data).is_ok_and(|data| {
            data.len() as u64 == descriptor.size
                && Digester::digest(descriptor.digest.algorithm(), &data) == descriptor.digest
        });
        if !is_right {
            let digest = &descriptor.digest;
            return Err(Error::ManifestRefused(format!(
                "the embedded data of {digest} does not match its descriptor"
            )));
        }
    }
    Ok(())
}
