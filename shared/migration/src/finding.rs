//! What a migration tells while it runs.

use roadstead_oci::{Digest, RepositoryName, Tag};

/// One thing that happened, or was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// So many blobs have been looked at.
    Blobs(u64),
    /// A repository is as it should be.
    Repository(RepositoryName, Summary),
    /// There is no content where the blob should lie: it is left out.
    BlobMissing(Digest),
    /// The manifest cannot be read: it is left out, with its tags.
    ManifestUnreadable(RepositoryName, Digest),
    /// The tag points to no manifest: it is left out.
    TagDangling(RepositoryName, Tag),
    /// The target says something else, or more, and is left as it is.
    Kept(RepositoryName, Part),
    /// The target said more, and what was too much is removed.
    Removed(RepositoryName, Part),
}

/// A part of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A tag.
    Tag(Tag),
    /// A manifest.
    Manifest(Digest),
    /// A link to a blob.
    Blob(Digest),
}

/// How much there was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Contents of blobs, wherever they are linked.
    pub contents: u64,
    /// Contents that the target did not have.
    pub contents_added: u64,
    /// Repositories.
    pub repositories: u64,
    /// Manifests.
    pub manifests: u64,
    /// Manifests that the target did not have.
    pub manifests_added: u64,
    /// Tags.
    pub tags: u64,
    /// Tags that the target did not have, or had for other manifests.
    pub tags_added: u64,
    /// Links to blobs.
    pub links: u64,
    /// Links that the target did not have.
    pub links_added: u64,
    /// What was left out, as it is missing, unreadable or dangling.
    pub left_out: u64,
    /// What the target says otherwise, or more, and was left.
    pub kept: u64,
    /// What the target said more and was removed.
    pub removed: u64,
}

impl Summary {
    pub(crate) fn add(&mut self, other: &Self) {
        self.contents += other.contents;
        self.contents_added += other.contents_added;
        self.repositories += other.repositories;
        self.manifests += other.manifests;
        self.manifests_added += other.manifests_added;
        self.tags += other.tags;
        self.tags_added += other.tags_added;
        self.links += other.links;
        self.links_added += other.links_added;
        self.left_out += other.left_out;
        self.kept += other.kept;
        self.removed += other.removed;
    }
}
