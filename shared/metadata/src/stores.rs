//! The noun traits. Each method is one domain transaction, as atomic as the back end can make
//! it; after a crash in its middle, doing it again makes it whole. All are idempotent.

use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_oci::{Descriptor, Digest, Reference, RepositoryName, Tag};

use crate::{
    Adoption, Alias, Error, HashState, Linked, ManifestPush, ManifestRecord, Page, ReferrerQuery,
    Repositories, StoredBlob, UploadRemains, UploadSession,
};

/// Manifests of repositories.
#[async_trait]
pub trait ManifestStore: Send + Sync {
    /// The manifest that `reference` names in `repository`, by any digest it was pushed under.
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRecord>, Error>;

    /// The canonical digest of the manifest `digest` of `repository`, if it is there: cheaper
    /// than reading it.
    async fn revision(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error>;

    /// Stores a manifest with its tags and its edge. Durable on return; no reader sees a tag
    /// before its manifest. Of two pushes that make the same new tag a fixed one, in whatever
    /// processes, one has it.
    ///
    /// # Errors
    ///
    /// [`Error::TagTaken`] when a fixed tag points to another manifest. Nothing is stored then
    /// where the back end can do all at once; elsewhere the manifest may be, and other tags.
    async fn record(&self, push: &ManifestPush) -> Result<(), Error>;

    /// Removes the manifest with the canonical digest `digest`, every tag that points to it, and
    /// its edge to `subject`; the removed tags are returned.
    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<Vec<Tag>, Error>;

    /// Stores a manifest as [`ManifestStore::record`] does, if all is there that it relies on: at a
    /// moment from which on every sweep of the repository either waits for it or sees it. `false`
    /// when something is missing.
    ///
    /// What another push was told is stored stays then. Nothing of this one does where a back end
    /// keeps sweeps away meanwhile, or can tell what is its own; elsewhere the manifest may, without
    /// its tags.
    ///
    /// # Errors
    ///
    /// Those of [`ManifestStore::record`] and of [`Reliance::holds`]. What could not be looked at is
    /// not missing: what is stored of the push by then stays, as where a process ends there.
    async fn record_if(&self, push: &ManifestPush, reliance: &dyn Reliance) -> Result<bool, Error>;

    /// Begins to sweep `repository`: pushes into it have ended, and others wait until what is
    /// returned is dropped, as far as the back end can make them. One in which a push is seen at
    /// once, with its tags, need not.
    async fn sweep<'a>(
        &'a self,
        repository: &'a RepositoryName,
    ) -> Result<Box<dyn Sweep + 'a>, Error>;

    /// The repository's manifests in the order of their canonical digests, which are the page's
    /// names.
    async fn revisions(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error>;
}

/// What a push relies on, and what others may take away while it is recorded.
#[async_trait]
pub trait Reliance: Send + Sync {
    /// Whether all of it is there.
    ///
    /// # Errors
    ///
    /// It could not be looked at.
    async fn holds(&self) -> Result<bool, Error>;
}

/// A repository out of which things are being taken.
#[async_trait]
pub trait Sweep: Send + Sync {
    /// Removes the manifest with the canonical digest `digest`, for which no tag stands, with
    /// its edge to `subject` and all that remembers it; tags are left as they are. `false`, and
    /// nothing is removed, when it was pushed at `since` or later: what is pushed meanwhile stays,
    /// whichever process of the back end's reach pushes it.
    async fn manifest(
        &self,
        digest: &Digest,
        subject: Option<&Digest>,
        since: SystemTime,
    ) -> Result<bool, Error>;

    /// Does what [`ManifestStore::record`] does, for a manifest of this repository.
    async fn restore(&self, push: &ManifestPush) -> Result<(), Error>;

    /// Takes a blob out of the repository by its canonical digest, as [`LinkStore::unlink`] does. `false`, and it stays, when
    /// it was linked at `since` or later: its client was told that it is there. Where links can be
    /// made meanwhile, this holds as far as a look right before can tell.
    async fn unlink(&self, digest: &Digest, since: SystemTime) -> Result<bool, Error>;

    /// Does what [`LinkStore::link`] does, for a blob of this repository.
    async fn link(&self, digest: &Digest) -> Result<(), Error>;
}

/// Tags of repositories.
#[async_trait]
pub trait TagStore: Send + Sync {
    /// The canonical digest that `tag` points to.
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>, Error>;

    /// Tags in the order of their bytes; `None` when the repository is not known.
    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Option<Vec<Tag>>, Error>;

    /// Removes a tag, not its manifest; `false` when it is not there.
    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, Error>;
}

/// Which blobs are part of which repository.
#[async_trait]
pub trait LinkStore: Send + Sync {
    /// The canonical digest of the blob `digest` if it is part of `repository`.
    async fn linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error>;

    /// Makes the blob with the canonical digest `digest` part of `repository`, also under
    /// `alias`. Durable on return.
    async fn link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        alias: Option<&Digest>,
    ) -> Result<(), Error>;

    /// Removes the link, not the blob; `false` when it is not there.
    async fn unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error>;

    /// The repository's blobs in the order of their canonical digests, which are the page's
    /// names.
    async fn links(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error>;
}

/// Where the content of blobs lies.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// The storage key of the content with the canonical digest `digest`; that there is a key
    /// does not say that there is content.
    async fn location(&self, digest: &Digest) -> Result<Option<String>, Error>;

    /// Makes the committed bytes of an upload the content of its digest, in place of content that
    /// is there already, and part of the repository, and ends the upload. Durable on return; no
    /// byte is copied.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another process has ended the upload, other than by making it this
    /// blob.
    async fn adopt(&self, adoption: &Adoption<'_>) -> Result<(), Error>;

    /// Makes the bytes of an upload the content of `digest`, in place of content that is there
    /// already, where a digest has one place and bytes are put there. Durable on return. `false`,
    /// and nothing is done, in a back end that adopts bytes wherever they lie.
    async fn take_in(&self, digest: &Digest, upload: &mut dyn UploadBytes) -> Result<bool, Error> {
        let _adopted = (digest, upload);
        Ok(false)
    }

    /// Makes the content that lies at the storage key `location` that of `digest`, in place of
    /// content that is there already, and gives the key where it lies now: where a digest has
    /// one place only, it is moved there. Durable on return; no byte passes through. For moving
    /// between back ends, while nobody else writes.
    async fn place(&self, digest: &Digest, location: &str, size: u64) -> Result<String, Error>;

    /// The contents whose digests have the canonical algorithm, in order; the page's names are
    /// digests.
    async fn blobs(&self, page: Page<'_>) -> Result<Vec<StoredBlob>, Error>;

    /// Deletes the content of `digest`; `false` when there is none.
    async fn delete_blob(&self, digest: &Digest) -> Result<bool, Error>;

    /// Deletes the content of `digest` unless it was stored at `since` or later: what another
    /// request of this process stores meanwhile stays. `false` when nothing was deleted.
    ///
    /// A back end whose [`BlobStore::delete_blob`] deletes only the content that it finds first
    /// needs no more than that.
    async fn sweep_blob(&self, digest: &Digest, since: SystemTime) -> Result<bool, Error> {
        let _ = since;
        self.delete_blob(digest).await
    }
}

/// The bytes of an upload, whole and not content yet.
#[async_trait]
pub trait UploadBytes: Send {
    /// Makes them the content at the storage key `location`, in place of what is there. Durable
    /// on return.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another process has ended the upload or gone on with it.
    async fn commit_as(&mut self, location: &str) -> Result<(), Error>;
}

/// Edges from manifests to their subjects.
#[async_trait]
pub trait ReferrerStore: Send + Sync {
    /// The referrers of a subject in the order of their digests, also those that older
    /// registries and clients left behind.
    async fn referrers(
        &self,
        repository: &RepositoryName,
        query: ReferrerQuery<'_>,
    ) -> Result<Vec<Descriptor>, Error>;
}

/// Uploads under way.
#[async_trait]
pub trait UploadStore: Send + Sync {
    /// Records that an upload was begun.
    async fn begin(&self, session: &UploadSession) -> Result<(), Error>;

    /// The upload `id` of `repository`, if it was begun and not ended.
    async fn upload(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<UploadSession>, Error>;

    /// The storage key at which the upload's bytes grow.
    fn upload_location(&self, session: &UploadSession) -> String;

    /// Whether uploads have to become content apart from where they grow, at a key that is
    /// written once: where what is adopted is not moved.
    fn adopts_in_place(&self) -> bool {
        false
    }

    /// The storage key below which nothing lies but what this back end has put there, and where
    /// the storage driver may abandon what is left of uploads; `None` when the back end sees to
    /// that itself.
    fn upload_root(&self) -> Option<&'static str> {
        None
    }

    /// The storage key at which the bytes of the upload `id` grow, where the storage driver keeps
    /// the session and the state of its hash with them, as notes
    /// ([`UploadSession::note`], [`HashState::note`]): then they are to be read there, and an
    /// upload has ended when nothing is left at that key. `None` where this back end keeps them,
    /// or when there can be no such upload.
    fn noted_upload(&self, repository: &RepositoryName, id: &str) -> Option<String> {
        let _kept_here = (repository, id);
        None
    }

    /// Remembers a digest computed so far; only for bytes that are durable.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when another process has ended the upload, where the back end can tell.
    async fn save_hash_state(
        &self,
        session: &UploadSession,
        state: &HashState,
    ) -> Result<(), Error>;

    /// The state with the highest offset that is at most `size`, which is how many bytes the
    /// upload has. States beyond are forgotten: their bytes were lost, and others may come in
    /// their place. A back end may keep the last few only: bytes are seldom lost, and a digest
    /// can be computed again.
    async fn hash_state(
        &self,
        session: &UploadSession,
        size: u64,
    ) -> Result<Option<HashState>, Error>;

    /// Ends the upload `id`: its bytes go, unless they have become a blob, and can no more become
    /// one. Nothing of it remains but what [`UploadStore::uploads`] calls ended.
    async fn end(&self, repository: &RepositoryName, id: &str) -> Result<(), Error>;

    /// Ends the upload `id` if it has not ended, and removes all that is left of it, also what
    /// others wrote who had hold of it when it ended. For uploads so old that nobody has any more.
    async fn purge(&self, repository: &RepositoryName, id: &str) -> Result<(), Error> {
        self.end(repository, id).await
    }

    /// All uploads of a repository, torsos too.
    async fn uploads(&self, repository: &RepositoryName) -> Result<Vec<UploadRemains>, Error>;
}

/// Further digests, of other algorithms, under which a repository has content.
#[async_trait]
pub trait AliasStore: Send + Sync {
    /// Those of its manifests.
    async fn manifest_aliases(&self, repository: &RepositoryName) -> Result<Vec<Alias>, Error>;

    /// Those of its blobs.
    async fn blob_aliases(&self, repository: &RepositoryName) -> Result<Vec<Alias>, Error>;
}

/// Which repositories there are.
#[async_trait]
pub trait CatalogStore: Send + Sync {
    /// Repositories in the order of the bytes of their names.
    async fn repositories(
        &self,
        which: Repositories,
        page: Page<'_>,
    ) -> Result<Vec<RepositoryName>, Error>;

    /// Whether what holds repositories is there, also when there are none: `false` where a folder is
    /// missing, perhaps since a volume is not mounted.
    async fn has_place(&self) -> Result<bool, Error>;
}

/// All that is known about what a registry holds.
pub trait Metadata:
    ManifestStore
    + TagStore
    + LinkStore
    + BlobStore
    + AliasStore
    + ReferrerStore
    + UploadStore
    + CatalogStore
    + std::fmt::Debug
    + 'static
{
}

impl dyn Metadata {
    /// The next repositories after `after`, at most a thousand; none at the end.
    ///
    /// # Errors
    ///
    /// Those of [`CatalogStore::repositories`].
    pub async fn repositories_after(
        &self,
        after: Option<&RepositoryName>,
    ) -> Result<Vec<RepositoryName>, Error> {
        const LIMIT: usize = 1000;
        let page = Page {
            after: after.map(RepositoryName::as_str),
            limit: LIMIT,
        };
        self.repositories(Repositories::All, page).await
    }
}

impl<M> Metadata for M where
    M: ManifestStore
        + TagStore
        + LinkStore
        + BlobStore
        + AliasStore
        + ReferrerStore
        + UploadStore
        + CatalogStore
        + std::fmt::Debug
        + 'static
{
}
