//! Sweeping a repository: in a turn that pushes wait for.

use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_metadata::{Error, LinkStore, ManifestPush, Page, Sweep, TagStore};
use roadstead_oci::{Digest, RepositoryName};
use roadstead_storage::DriverExt;

use crate::layout::{Layout, RemovalTurn, unavailable};
use crate::paths;

/// Has the repository's turn alone.
pub(crate) struct LayoutSweep<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) _turn: RemovalTurn<'a>,
}

#[async_trait]
impl Sweep for LayoutSweep<'_> {
    async fn manifest(
        &self,
        digest: &Digest,
        subject: Option<&Digest>,
        since: SystemTime,
    ) -> Result<bool, Error> {
        let Self {
            layout, repository, ..
        } = self;
        let link = paths::revision_link(repository, digest).map_err(unavailable)?;
        let link = layout.driver.try_stat(&link).await.map_err(unavailable)?;
        if link.is_some_and(|link| link.modified >= since) {
            return Ok(false);
        }
        layout.delete_edge(repository, digest, subject).await?;
        let tags = layout.tags(repository, Page::ALL).await?;
        for tag in tags.unwrap_or_default() {
            let index = paths::tag_index(repository, &tag, digest).map_err(unavailable)?;
            layout.delete(&index.parent().unwrap_or(index)).await?;
        }
        let revision = paths::revision(repository, digest).map_err(unavailable)?;
        layout.seen.remove(repository, digest);
        layout.delete(&revision).await
    }

    async fn restore(&self, push: &ManifestPush) -> Result<(), Error> {
        self.layout.write_push(push, None).await?;
        Ok(())
    }

    async fn unlink(&self, digest: &Digest, since: SystemTime) -> Result<bool, Error> {
        let Self {
            layout, repository, ..
        } = self;
        let is_young = layout.is_linked_since(repository, digest, since).await?;
        Ok(!is_young && layout.unlink(repository, digest).await?)
    }

    async fn link(&self, digest: &Digest) -> Result<(), Error> {
        self.layout.write_link(self.repository, digest, None).await
    }
}
