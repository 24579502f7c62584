//! What the stores exchange.

use std::collections::BTreeSet;
use std::time::SystemTime;

use bytes::Bytes;
use roadstead_oci::{Descriptor, Digest, Manifest, RepositoryName, Sha256State, Tag};
use time::OffsetDateTime;

/// A manifest as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRecord {
    /// The canonical digest of the bytes.
    pub digest: Digest,
    /// What it is served as.
    pub media_type: String,
    /// The bytes that were pushed.
    pub bytes: Bytes,
}

/// One push of a manifest: everything that has to become true together.
#[derive(Clone, Debug)]
pub struct ManifestPush {
    /// Into which repository.
    pub repository: RepositoryName,
    /// What.
    pub manifest: ManifestRecord,
    /// A further digest of the same bytes under which it can be pulled.
    pub alias: Option<Digest>,
    /// Tags that point to it from now on.
    pub tags: Vec<Tag>,
    /// Those of the tags that are not to be moved: they must be new, or point to it already.
    pub fixed: BTreeSet<Tag>,
    /// The edge to its subject, if it has one.
    pub referrer: Option<Referrer>,
}

/// An edge from a manifest to its subject.
#[derive(Clone, Debug)]
pub struct Referrer {
    /// The manifest referred to, which need not exist.
    pub subject: Digest,
    /// How the referring manifest is listed: type, digest, size, artifact type, annotations.
    pub descriptor: Descriptor,
}

impl Referrer {
    /// The edge that `manifest`, stored as `record`, has to its subject, if it has one: listed
    /// with its artifact type and annotations (specification, "Listing Referrers").
    pub fn of(manifest: &Manifest, record: &ManifestRecord) -> Option<Self> {
        let subject = manifest.subject.as_ref()?.digest.clone();
        let descriptor = Descriptor {
            media_type: record.media_type.clone(),
            digest: record.digest.clone(),
            size: record.bytes.len() as u64,
            urls: None,
            data: None,
            platform: None,
            artifact_type: manifest.referrer_type().map(str::to_owned),
            annotations: (!manifest.annotations.is_empty()).then(|| manifest.annotations.clone()),
        };
        Some(Self {
            subject,
            descriptor,
        })
    }
}

/// Which referrers to list.
#[derive(Clone, Copy, Debug)]
pub struct ReferrerQuery<'a> {
    /// Of which manifest.
    pub subject: &'a Digest,
    /// Only those of this artifact type.
    pub artifact_type: Option<&'a str>,
    /// Which part of the list; the names are digests.
    pub page: Page<'a>,
}

/// A part of a list in the order of the bytes of its names.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// Only names after this one, which need not exist.
    pub after: Option<&'a str>,
    /// At most this many.
    pub limit: usize,
}

impl Page<'_> {
    /// The whole list.
    pub const ALL: Self = Page {
        after: None,
        limit: usize::MAX,
    };
}

/// Which repositories to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repositories {
    /// Those with a manifest: the catalog.
    WithManifests,
    /// Also those that only have blobs or unfinished uploads.
    All,
}

/// An upload that was begun and not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadSession {
    /// Into which repository.
    pub repository: RepositoryName,
    /// Which one; a UUID.
    pub id: String,
    /// When it was begun.
    pub started_at: OffsetDateTime,
}

/// A digest computed up to some byte.
#[derive(Clone, Debug)]
pub struct HashState {
    /// How many bytes went in.
    pub offset: u64,
    /// The state after them.
    pub state: Sha256State,
    /// What those bytes can be told from others by, where more than one process can write them;
    /// `None` also where the back end does not keep it.
    pub identity: Option<String>,
}

/// The end of an upload: everything that has to become true together.
#[derive(Clone, Copy, Debug)]
pub struct Adoption<'a> {
    /// Which upload.
    pub session: &'a UploadSession,
    /// The storage key at which its bytes were committed.
    pub location: &'a str,
    /// Their canonical digest.
    pub digest: &'a Digest,
    /// A further digest under which the repository has them.
    pub alias: Option<&'a Digest>,
    /// How many they are.
    pub size: u64,
}

/// An upload as maintenance finds it, which may be a torso.
#[derive(Clone, Debug)]
pub struct UploadRemains {
    /// Its name.
    pub id: String,
    /// When it was begun, or where that is not known when it was last written.
    pub started_at: Option<SystemTime>,
    /// Whether it has ended, and only what others may have left of it is to be looked for.
    pub is_ended: bool,
}

/// A manifest or a blob that is part of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// Its canonical digest.
    pub digest: Digest,
    /// When it became, or was made again, part of the repository.
    pub modified: SystemTime,
}

/// A further digest of the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The further digest.
    pub alias: Digest,
    /// The canonical digest.
    pub digest: Digest,
}

/// A blob as maintenance finds it.
#[derive(Clone, Debug)]
pub struct StoredBlob {
    /// Its canonical digest.
    pub digest: Digest,
    /// When its content was stored last.
    pub modified: SystemTime,
    /// Where its content lies, for people.
    pub location: String,
}
