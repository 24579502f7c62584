//! Blobs of a repository: pull, stat, delete, mount.

use std::time::SystemTime;

use roadstead_metadata::{Page, Repositories};
use roadstead_oci::{Algorithm, Digest, Digester, RepositoryName};
use roadstead_storage::{ByteRange, Content, ContentStat, DriverExt, Key, Recipient};

use crate::Error;
use crate::middleware::Change;
use crate::recent::{Found, Moment};
use crate::registry::{Parts, Repository};

/// The blobs of one repository.
#[derive(Clone, Copy, Debug)]
pub struct Blobs<'a>(pub(crate) Repository<'a>);

/// What is known of a blob without its bytes.
#[derive(Clone, Copy, Debug)]
pub struct BlobStat {
    /// Bytes.
    pub size: u64,
    /// When it was stored last.
    pub modified: SystemTime,
}

/// A blob that another repository has as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// That repository.
    pub from: RepositoryName,
    /// Bytes.
    pub size: u64,
}

/// A blob on its way to a client.
#[derive(Debug)]
pub enum Pull {
    /// The registry sends it.
    Content {
        /// The whole blob, whatever the range.
        stat: BlobStat,
        /// The bytes of the range.
        content: Content,
    },
    /// The client fetches it from this URL.
    Redirect(String),
}

impl Blobs<'_> {
    /// Size and age of a blob.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`] when the repository has no such blob.
    pub async fn stat(self, digest: &Digest) -> Result<BlobStat, Error> {
        let (mut found, since) = self.locate(digest).await?;
        if let Some(stat) = found.stat {
            return Ok(stat);
        }
        let parts = self.0.parts();
        let stat = parts.driver.try_stat(&found.key).await?;
        let stat = sound(&found.canonical, stat);
        let stat = stat.ok_or_else(|| Error::BlobUnknown(digest.clone()))?;
        found.stat = Some(stat);
        parts.recent.find(self.0.name, digest, &found, since);
        Ok(stat)
    }

    /// A part of a blob, or the URL to fetch it from.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`] when the repository has no such blob, [`Error::OutOfRange`] when
    /// the range begins at or beyond its end.
    pub async fn pull(self, digest: &Digest, range: ByteRange) -> Result<Pull, Error> {
        self.pull_for(&Recipient::default(), digest, range).await
    }

    /// Like [`Blobs::pull`]; a URL is one for this recipient.
    ///
    /// # Errors
    ///
    /// Those of [`Blobs::pull`].
    pub async fn pull_for(
        self,
        recipient: &Recipient,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<Pull, Error> {
        let (Found { canonical, key, .. }, _) = self.locate(digest).await?;
        let parts = self.0.parts();
        if let Some(url) = redirect(parts, &key, recipient).await? {
            return Ok(Pull::Redirect(url));
        }
        let object = match parts.driver.read(&key, range).await {
            Err(roadstead_storage::Error::NotFound(_)) => None,
            object => Some(object?),
        };
        let unknown = || Error::BlobUnknown(digest.clone());
        let object = object.ok_or_else(unknown)?;
        let stat = sound(&canonical, Some(object.stat)).ok_or_else(unknown)?;
        let content = object.content;
        Ok(Pull::Content { stat, content })
    }

    /// The URL by which this recipient gets at a blob, if recipients are sent to any.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`] when recipients are sent on, and the repository has no such blob.
    pub async fn url_for(
        self,
        recipient: &Recipient,
        digest: &Digest,
    ) -> Result<Option<String>, Error> {
        let parts = self.0.parts();
        if parts.signer.is_none() {
            return Ok(None);
        }
        let (Found { key, .. }, _) = self.locate(digest).await?;
        redirect(parts, &key, recipient).await
    }

    /// Takes a blob out of the repository; its bytes stay until garbage collection.
    ///
    /// # Errors
    ///
    /// [`Error::BlobUnknown`], [`Error::ReadOnly`], or [`Error::DeletionDisabled`].
    pub async fn delete(self, digest: &Digest) -> Result<(), Error> {
        let parts = self.0.parts();
        parts.policy.permit_delete()?;
        let _permit = self.0.permit(&Change::DeleteBlob(digest)).await?;
        let unlinked = parts.metadata.unlink(self.0.name, digest).await;
        parts.recent.forget(self.0.name);
        if unlinked? {
            return Ok(());
        }
        Err(Error::BlobUnknown(digest.clone()))
    }

    /// Makes a blob of another repository part of this one without its bytes being sent: of
    /// `from`, or when that is `None` of any that `may_read` permits. `None` when there is no such
    /// blob to be had.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] in a read-only registry.
    pub async fn mount(
        self,
        digest: &Digest,
        from: Option<&RepositoryName>,
        may_read: &(dyn Fn(&RepositoryName) -> bool + Send + Sync),
    ) -> Result<Option<Mounted>, Error> {
        let parts = self.0.parts();
        parts.policy.permit_write()?;
        let _permit = self.0.permit(&Change::Upload).await?;
        let may_read = &|name: &RepositoryName| self.0.registry().serves(name) && may_read(name);
        let found = match from {
            Some(from) if may_read(from) => {
                let found = self.found_in(from, digest).await?;
                found.map(|(canonical, size)| (canonical, mounted(from, size)))
            }
            Some(_) => None,
            None => self.found_anywhere(digest, may_read).await?,
        };
        match found {
            Some((_, found)) if found.from == *self.0.name => Ok(Some(found)),
            Some((canonical, found)) => {
                let is_linked = self.link_from(&found.from, &canonical, digest).await?;
                Ok(is_linked.then_some(found))
            }
            None => Ok(None),
        }
    }

    /// Links a blob that `from` has, and must still have afterwards: then garbage collection,
    /// which removes links before it looks at all of them again, keeps it. Otherwise the link stays,
    /// with bytes or without: another request may have made the same one and was told so.
    async fn link_from(
        self,
        from: &RepositoryName,
        canonical: &Digest,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let metadata = &self.0.parts().metadata;
        let alias = (canonical != digest).then_some(digest);
        let recent = &self.0.parts().recent;
        let since = recent.now();
        metadata.link(self.0.name, canonical, alias).await?;
        let Some((_, size)) = self.found_in(from, digest).await? else {
            return Ok(false);
        };
        recent.link_blob(self.0.name, [canonical, digest], size, since);
        Ok(true)
    }

    /// The canonical digest of a blob of `repository`, and how many bytes it has.
    async fn found_in(
        self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<(Digest, u64)>, Error> {
        let parts = self.0.parts();
        let Some(canonical) = parts.metadata.linked(repository, digest).await? else {
            return Ok(None);
        };
        let size = stored_size(parts, &canonical).await?;
        Ok(size.map(|size| (canonical, size)))
    }

    async fn found_anywhere(
        self,
        digest: &Digest,
        may_read: &(dyn Fn(&RepositoryName) -> bool + Send + Sync),
    ) -> Result<Option<(Digest, Mounted)>, Error> {
        /// How many repositories a search looks at: a bound on what one request costs.
        const MOST: usize = 1000;
        let parts = self.0.parts();
        if digest.algorithm() == Algorithm::Sha256 && !is_stored(parts, digest).await? {
            return Ok(None);
        }
        if let Some((canonical, size)) = self.found_in(self.0.name, digest).await? {
            return Ok(Some((canonical, mounted(self.0.name, size))));
        }
        let page = Page {
            after: None,
            limit: MOST,
        };
        let repositories = parts.metadata.repositories(Repositories::All, page).await?;
        for repository in repositories.iter().filter(|name| may_read(name)) {
            if let Some((canonical, size)) = self.found_in(repository, digest).await? {
                return Ok(Some((canonical, mounted(repository, size))));
            }
        }
        Ok(None)
    }

    /// Where a blob of this repository lies, and since when that is known.
    async fn locate(self, digest: &Digest) -> Result<(Found, Moment), Error> {
        let parts = self.0.parts();
        if let Some(found) = parts.recent.found(self.0.name, digest) {
            return Ok(found);
        }
        let since = parts.recent.now();
        let unknown = || Error::BlobUnknown(digest.clone());
        let linked = parts.metadata.linked(self.0.name, digest).await?;
        let canonical = linked.ok_or_else(unknown)?;
        let location = parts.metadata.location(&canonical).await?;
        let key = Key::new(&location.ok_or_else(unknown)?)?;
        let found = Found {
            canonical,
            key,
            stat: None,
        };
        parts.recent.find(self.0.name, digest, &found, since);
        Ok((found, since))
    }
}

fn mounted(from: &RepositoryName, size: u64) -> Mounted {
    let from = from.clone();
    Mounted { from, size }
}

/// Whether the content of a canonical digest is there.
pub(crate) async fn is_stored(parts: &Parts, digest: &Digest) -> Result<bool, Error> {
    Ok(stored_size(parts, digest).await?.is_some())
}

/// The size of the content of a canonical digest in bytes, if it is there.
pub(crate) async fn stored_size(parts: &Parts, digest: &Digest) -> Result<Option<u64>, Error> {
    let Some(location) = parts.metadata.location(digest).await? else {
        return Ok(None);
    };
    let stat = parts.driver.try_stat(&Key::new(&location)?).await?;
    Ok(sound(digest, stat).map(|stat| stat.size))
}

async fn redirect(
    parts: &Parts,
    key: &Key,
    recipient: &Recipient,
) -> Result<Option<String>, Error> {
    match &parts.signer {
        Some(signer) => Ok(signer.sign(key, recipient).await?),
        None => Ok(None),
    }
}

/// An empty file under the digest of something else is what a crash of a registry without
/// durable writes leaves; it is not the blob.
fn sound(digest: &Digest, stat: Option<ContentStat>) -> Option<BlobStat> {
    let stat = stat?;
    if stat.size == 0 && *digest != Digester::digest(digest.algorithm(), b"") {
        tracing::warn!(blob.digest = %digest, "passing over an empty file in place of a blob");
        return None;
    }
    Some(BlobStat {
        size: stat.size,
        modified: stat.modified,
    })
}
