//! Links under other algorithms than the canonical one.

use async_trait::async_trait;
use roadstead_metadata::{Alias, AliasStore, Error};
use roadstead_oci::{Digest, RepositoryName};
use roadstead_storage::{Key, ListOptions};

use crate::layout::{Layout, unavailable};
use crate::paths;

#[async_trait]
impl AliasStore for Layout {
    async fn manifest_aliases(&self, repository: &RepositoryName) -> Result<Vec<Alias>, Error> {
        self.aliases(paths::revisions(repository)).await
    }

    async fn blob_aliases(&self, repository: &RepositoryName) -> Result<Vec<Alias>, Error> {
        self.aliases(paths::layers(repository)).await
    }
}

impl Layout {
    /// The links in the folders beside `canonical`, whose name is that of the canonical algorithm.
    async fn aliases(
        &self,
        canonical: Result<Key, roadstead_storage::Error>,
    ) -> Result<Vec<Alias>, Error> {
        let canonical = canonical.map_err(unavailable)?;
        let Some(parent) = canonical.parent() else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for algorithm in self.names(&parent, ListOptions::ALL).await? {
            let folder = parent.join(&algorithm).map_err(unavailable)?;
            if folder == canonical {
                continue;
            }
            for hex in self.names(&folder, ListOptions::ALL).await? {
                let Ok(alias) = format!("{algorithm}:{hex}").parse::<Digest>() else {
                    continue;
                };
                let link = folder.join(&hex).and_then(|key| key.join("link"));
                let digest = self.read_link(&link.map_err(unavailable)?).await?;
                found.extend(digest.map(|digest| Alias { alias, digest }));
            }
        }
        Ok(found)
    }
}
