//! Tags: a folder each, whose `current` link is what the tag points to.

use async_trait::async_trait;
use roadstead_metadata::{Error, Page, TagStore};
use roadstead_oci::{Digest, RepositoryName, Tag};
use roadstead_storage::{ListOptions, Stat};

use crate::layout::{Layout, unavailable};
use crate::paths;

#[async_trait]
impl TagStore for Layout {
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>, Error> {
        let key = paths::tag_current(repository, tag).map_err(unavailable)?;
        self.read_link(&key).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Option<Vec<Tag>>, Error> {
        let prefix = paths::tags(repository).map_err(unavailable)?;
        let mut tags = Vec::new();
        let mut after = page.after.map(str::to_owned);
        while tags.len() < page.limit {
            let limit = page.limit - tags.len();
            let options = ListOptions {
                after: after.as_deref(),
                limit,
            };
            let entries = match self.driver.list(&prefix, options).await {
                Ok(entries) => entries,
                Err(roadstead_storage::Error::NotFound(_)) => {
                    return Ok(self.has_manifests(repository).await?.then_some(tags));
                }
                Err(error) => return Err(unavailable(error)),
            };
            tags.extend(entries.iter().filter_map(|entry| entry.name.parse().ok()));
            if entries.len() < limit {
                break;
            }
            after = entries.last().map(|entry| entry.name.clone());
        }
        Ok(Some(tags))
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, Error> {
        let _turn = self.removal_turn(repository).await?;
        if self.tag(repository, tag).await?.is_none() {
            return Ok(false);
        }
        self.delete(&paths::tag(repository, tag).map_err(unavailable)?)
            .await
    }
}

impl Layout {
    async fn has_manifests(&self, repository: &RepositoryName) -> Result<bool, Error> {
        let key = paths::repository(repository, "_manifests").map_err(unavailable)?;
        match self.driver.stat(&key).await {
            Ok(Stat::Prefix) => Ok(true),
            Ok(Stat::Content(_)) | Err(roadstead_storage::Error::NotFound(_)) => Ok(false),
            Err(error) => Err(unavailable(error)),
        }
    }
}
