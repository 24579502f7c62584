//! Which repositories there are: a walk in the order of names that stops with the page.

use async_trait::async_trait;
use roadstead_metadata::{CatalogStore, Error, ManifestStore, Page, Repositories};
use roadstead_oci::RepositoryName;
use roadstead_storage::{EntryKind, ListOptions};

use crate::layout::{Layout, unavailable};
use crate::paths;

#[async_trait]
impl CatalogStore for Layout {
    async fn repositories(
        &self,
        which: Repositories,
        page: Page<'_>,
    ) -> Result<Vec<RepositoryName>, Error> {
        let mut found = Vec::new();
        let mut steps = vec![Step::root()];
        while let Some(step) = steps.pop() {
            if found.len() >= page.limit {
                break;
            }
            if step.is_before(page.after) {
                continue;
            }
            if step.below {
                steps.extend(self.steps_below(&step.path).await?);
            } else {
                found.extend(self.repository(&step.path, which).await?);
            }
        }
        Ok(found)
    }
}

/// A folder's own name, or all that lies below it. In the order of bytes `a` comes before `a-b`,
/// and that before `a/b`: a name and what lies below it are not neighbours.
struct Step {
    path: String,
    below: bool,
}

impl Step {
    fn root() -> Self {
        Self {
            path: String::new(),
            below: true,
        }
    }

    fn sort_key(&self) -> String {
        let slash = if self.below { "/" } else { "" };
        format!("{}{slash}", self.path)
    }

    /// Whether nothing of this step comes after `after`.
    fn is_before(&self, after: Option<&str>) -> bool {
        let Some(after) = after else { return false };
        if !self.below {
            return self.path.as_str() <= after;
        }
        let prefix = self.sort_key();
        !self.path.is_empty() && prefix.as_str() < after && !after.starts_with(&prefix)
    }
}

impl Layout {
    /// The steps for the folders directly below `path`, the last one first.
    async fn steps_below(&self, path: &str) -> Result<Vec<Step>, Error> {
        let mut prefix = paths::repositories().map_err(unavailable)?;
        if !path.is_empty() {
            prefix = prefix.join(path).map_err(unavailable)?;
        }
        let entries = match self.driver.list(&prefix, ListOptions::ALL).await {
            Ok(entries) => entries,
            Err(roadstead_storage::Error::NotFound(_)) => return Ok(Vec::new()),
            Err(error) => return Err(unavailable(error)),
        };
        let folders = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Prefix);
        let names = folders
            .map(|entry| entry.name.as_str())
            .filter(|name| !name.starts_with('_'));
        let mut steps = Vec::new();
        for name in names {
            let path = if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}/{name}")
            };
            steps.push(Step {
                path: path.clone(),
                below: false,
            });
            steps.push(Step { path, below: true });
        }
        steps.sort_by_cached_key(|step| std::cmp::Reverse(step.sort_key()));
        Ok(steps)
    }

    async fn repository(
        &self,
        path: &str,
        which: Repositories,
    ) -> Result<Option<RepositoryName>, Error> {
        let Ok(name) = path.parse::<RepositoryName>() else {
            return Ok(None);
        };
        let is_listed = match which {
            Repositories::WithManifests => {
                let page = Page {
                    after: None,
                    limit: 1,
                };
                !self.revisions(&name, page).await?.is_empty()
            }
            Repositories::All => self.has_content(path).await?,
        };
        Ok(is_listed.then_some(name))
    }

    async fn has_content(&self, path: &str) -> Result<bool, Error> {
        let prefix = paths::repositories().and_then(|root| root.join(path));
        let names = self
            .names(&prefix.map_err(unavailable)?, ListOptions::ALL)
            .await?;
        Ok(names.iter().any(|name| name.starts_with('_')))
    }
}
