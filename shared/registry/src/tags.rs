//! Tags of a repository.

use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::Page;
use roadstead_oci::{Digest, Reference, RepositoryName, Tag};

use crate::Error;
use crate::middleware::Change;
use crate::registry::{Registry, Repository};

/// The tags of one repository.
#[derive(Clone, Copy, Debug)]
pub struct Tags<'a>(pub(crate) Repository<'a>);

impl Tags<'_> {
    /// Tags in the order of their bytes.
    ///
    /// # Errors
    ///
    /// [`Error::NameUnknown`] when the repository never had a manifest.
    pub async fn list(self, page: Page<'_>) -> Result<Vec<Tag>, Error> {
        let repository = self.0;
        let tags = repository
            .parts()
            .metadata
            .tags(repository.name, page)
            .await?;
        tags.ok_or_else(|| Error::NameUnknown(repository.name.clone()))
    }

    /// Removes a tag; its manifest stays.
    ///
    /// # Errors
    ///
    /// [`Error::ManifestUnknown`] when there is no such tag, [`Error::ReadOnly`], or
    /// [`Error::DeletionDisabled`].
    pub async fn delete(self, tag: &Tag) -> Result<(), Error> {
        let repository = self.0;
        let parts = repository.parts();
        parts.policy.permit_delete()?;
        let _permit = repository.permit(&Change::DeleteTag(tag)).await?;
        if parts.metadata.delete_tag(repository.name, tag).await? {
            return Ok(());
        }
        let reference = Reference::Tag(tag.clone());
        Err(Error::ManifestUnknown(repository.name.clone(), reference))
    }
}

/// The tags of a repository and what they point to.
pub(crate) async fn tagged(
    registry: &Registry,
    repository: &RepositoryName,
) -> Result<Vec<(Tag, Digest)>, Error> {
    /// How many are looked up at once.
    const AT_ONCE: usize = 16;
    let metadata = &registry.parts().metadata;
    let tags = metadata.tags(repository, Page::ALL).await?;
    let current = stream::iter(tags.unwrap_or_default()).map(|tag| async move {
        let digest = metadata.tag(repository, &tag).await?;
        Ok(digest.map(|digest| (tag, digest)))
    });
    let current = current.buffered(AT_ONCE);
    current
        .try_filter_map(async |tag| Ok(tag))
        .try_collect()
        .await
}
