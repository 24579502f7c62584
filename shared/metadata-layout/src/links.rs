//! Which blobs a repository has.

use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_metadata::{Error, LinkStore, Linked, Page};
use roadstead_oci::{Digest, RepositoryName};
use roadstead_storage::DriverExt;

use crate::layout::{Layout, link, unavailable};
use crate::paths;

#[async_trait]
impl LinkStore for Layout {
    async fn linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let key = paths::layer_link(repository, digest).map_err(unavailable)?;
        let canonical = self.read_link(&key).await?;
        match canonical {
            Some(canonical) if canonical != *digest => {
                let key = paths::layer_link(repository, &canonical).map_err(unavailable)?;
                self.read_link(&key).await
            }
            canonical => Ok(canonical),
        }
    }

    async fn link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        alias: Option<&Digest>,
    ) -> Result<(), Error> {
        let _turn = self.push_turn(repository).await?;
        self.write_link(repository, digest, alias).await
    }

    async fn unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        let Some(canonical) = self.linked(repository, digest).await? else {
            return Ok(false);
        };
        if canonical != *digest {
            self.delete(&paths::layer(repository, digest).map_err(unavailable)?)
                .await?;
        }
        self.delete(&paths::layer(repository, &canonical).map_err(unavailable)?)
            .await
    }

    async fn links(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error> {
        let prefix = paths::layers(repository).map_err(unavailable)?;
        self.linked_digests(&prefix, page).await
    }
}

impl Layout {
    /// Links a blob in the repository's turn.
    pub(crate) async fn write_link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        alias: Option<&Digest>,
    ) -> Result<(), Error> {
        let mut writes = Vec::with_capacity(2);
        for name in std::iter::once(digest).chain(alias) {
            let key = paths::layer_link(repository, name).map_err(unavailable)?;
            writes.push(link(key, digest));
        }
        self.write(&writes).await
    }

    /// Whether a blob was linked then or later.
    pub(crate) async fn is_linked_since(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        since: SystemTime,
    ) -> Result<bool, Error> {
        let key = paths::layer_link(repository, digest).map_err(unavailable)?;
        let link = self.driver.try_stat(&key).await.map_err(unavailable)?;
        Ok(link.is_some_and(|link| link.modified >= since))
    }
}
