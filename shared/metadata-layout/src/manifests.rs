//! Manifests: their bytes are blobs, a revision link makes them part of a repository.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::{
    Error, Linked, ManifestPush, ManifestRecord, ManifestStore, Page, Reliance, Sweep, TagStore,
};
use roadstead_oci::{Digest, Digester, Manifest, Reference, RepositoryName, Tag, media_type};
use roadstead_storage::{DriverExt, Key, ListOptions};
use serde::Deserialize;

use crate::layout::{Layout, unavailable};
use crate::paths;
use crate::sweep::LayoutSweep;

#[async_trait]
impl ManifestStore for Layout {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRecord>, Error> {
        match reference {
            Reference::Digest(digest) => self.by_digest(repository, digest).await,
            Reference::Tag(tag) => {
                let key = paths::tag_current(repository, tag).map_err(unavailable)?;
                match self.open_link(&key).await? {
                    // Whoever deletes a manifest removes the tags that point to it, so the tag is
                    // enough; registries before 2.7 leave theirs, and those alone are doubted.
                    Some(link) if link.is_own => self.content(&link.digest).await,
                    Some(link) => self.tagged(repository, &link.digest).await,
                    None => Ok(None),
                }
            }
        }
    }

    async fn revision(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let key = paths::revision_link(repository, digest).map_err(unavailable)?;
        let canonical = self.read_link(&key).await?;
        match canonical {
            Some(canonical) if canonical != *digest => {
                let key = paths::revision_link(repository, &canonical).map_err(unavailable)?;
                self.read_link(&key).await
            }
            canonical => Ok(canonical),
        }
    }

    async fn record(&self, push: &ManifestPush) -> Result<(), Error> {
        let _turn = self.push_turn(&push.repository).await?;
        self.write_push(push, None).await?;
        Ok(())
    }

    /// With locks nothing is swept between the look and the writes. Without them the look comes
    /// between the manifest, from which on a sweep brings back what it needs, and its tags. A
    /// manifest that lacks something stays then: another process may just have found it whole.
    async fn record_if(&self, push: &ManifestPush, reliance: &dyn Reliance) -> Result<bool, Error> {
        let (everywhere, _here) = self.push_turn(&push.repository).await?;
        match everywhere {
            Some(_turn) => Ok(reliance.holds().await? && self.write_push(push, None).await?),
            None => self.write_push(push, Some(reliance)).await,
        }
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<Vec<Tag>, Error> {
        let _turn = self.removal_turn(repository).await?;
        let tags = self.tags_of(repository, digest).await?;
        for tag in &tags {
            self.delete(&paths::tag(repository, tag).map_err(unavailable)?)
                .await?;
        }
        self.delete_edge(repository, digest, subject).await?;
        self.seen.remove(repository, digest);
        self.delete(&paths::revision(repository, digest).map_err(unavailable)?)
            .await?;
        Ok(tags)
    }

    /// Pushes of this process wait, and those of all where the driver has locks.
    async fn sweep<'a>(
        &'a self,
        repository: &'a RepositoryName,
    ) -> Result<Box<dyn Sweep + 'a>, Error> {
        let turn = self.removal_turn(repository).await?;
        Ok(Box::new(LayoutSweep {
            layout: self,
            repository,
            _turn: turn,
        }))
    }

    async fn revisions(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error> {
        let prefix = paths::revisions(repository).map_err(unavailable)?;
        self.linked_digests(&prefix, page).await
    }
}

impl Layout {
    /// The manifest `digest`, if the repository has it. Its bytes are not touched otherwise: they
    /// may be a blob of somebody else.
    async fn by_digest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Error> {
        match self.revision(repository, digest).await? {
            Some(canonical) => self.content(&canonical).await,
            None => Ok(None),
        }
    }

    /// The manifest `digest`, to which a tag points. Registries before 2.7 left the tags of what
    /// they deleted, and a crash of a later one may: without its revision a tag counts for nothing.
    async fn tagged(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<ManifestRecord>, Error> {
        if self.seen.has(repository, digest) {
            return self.content(digest).await;
        }
        let revision = self.revision(repository, digest);
        let (revision, record) = tokio::try_join!(revision, self.content(digest))?;
        match revision {
            Some(canonical) if canonical == *digest => {
                self.seen.insert(repository, digest);
                Ok(record)
            }
            Some(canonical) => self.content(&canonical).await,
            None => Ok(None),
        }
    }

    pub(crate) async fn delete_edge(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<(), Error> {
        if let Some(subject) = subject {
            let edge = paths::referrer(repository, subject, digest).map_err(unavailable)?;
            self.delete(&edge).await?;
        }
        Ok(())
    }

    /// The tags whose current digest is `digest`.
    async fn tags_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Tag>, Error> {
        let tags = self.tags(repository, Page::ALL).await?.unwrap_or_default();
        let pointing = stream::iter(tags).map(|tag| async move {
            let current = self.tag(repository, &tag).await?;
            Ok::<_, Error>((current.as_ref() == Some(digest)).then_some(tag))
        });
        let pointing = pointing.buffered(self.tag_concurrency);
        pointing
            .try_filter_map(async |tag| Ok(tag))
            .try_collect()
            .await
    }

    /// The digests that have a link below `prefix`, in the order of their names.
    pub(crate) async fn linked_digests(
        &self,
        prefix: &Key,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error> {
        let mut found = Vec::new();
        let mut after = page
            .after
            .map(|after| after.trim_start_matches("sha256:").to_owned());
        while found.len() < page.limit {
            let options = ListOptions {
                after: after.as_deref(),
                limit: (page.limit - found.len()).min(Self::LIST_AT_ONCE),
            };
            let names = self.names(prefix, options).await?;
            let Some(last) = names.last() else { break };
            after = Some(last.clone());
            for hex in names {
                found.extend(self.linked_digest(prefix, &hex).await?);
            }
        }
        Ok(found)
    }

    /// The digest `hex` below `prefix`, if there is a link and not just what is left of one.
    async fn linked_digest(&self, prefix: &Key, hex: &str) -> Result<Option<Linked>, Error> {
        let Ok(digest) = format!("sha256:{hex}").parse::<Digest>() else {
            return Ok(None);
        };
        let key = prefix.join(hex).and_then(|key| key.join("link"));
        let link = self
            .driver
            .try_stat(&key.map_err(unavailable)?)
            .await
            .map_err(unavailable)?;
        let link = link.filter(|link| link.size > 0);
        Ok(link.map(|link| Linked {
            digest,
            modified: link.modified,
        }))
    }

    /// How many names are listed in one go.
    const LIST_AT_ONCE: usize = 1000;
}

/// The record of stored manifest bytes, or `None` when they are not what the digest says.
///
/// The media type is the one that the bytes name, else that of their shape. Manifests of types
/// that are no longer accepted, such as Docker schema 1, are recognised as well.
pub(crate) fn recognize(digest: &Digest, bytes: Bytes) -> Option<ManifestRecord> {
    if Digester::digest(digest.algorithm(), &bytes) != *digest {
        tracing::error!(blob.digest = %digest, "stored manifest does not match its digest: it is not served");
        return None;
    }
    let media_type = match Manifest::read(&bytes) {
        Ok(manifest) => manifest.media_type,
        Err(_) => named_media_type(&bytes),
    };
    Some(ManifestRecord {
        digest: digest.clone(),
        media_type,
        bytes,
    })
}

fn named_media_type(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Named {
        media_type: Option<String>,
        schema_version: Option<i64>,
    }
    const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+json";
    let named: Option<Named> = serde_json::from_slice(bytes).ok();
    match named {
        Some(Named {
            media_type: Some(media_type),
            ..
        }) => media_type,
        Some(Named {
            schema_version: Some(1),
            ..
        }) => SCHEMA_1.to_owned(),
        _ => media_type::OCTET_STREAM.to_owned(),
    }
}
