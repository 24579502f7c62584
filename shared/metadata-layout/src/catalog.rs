//! Which repositories there are: a walk in the order of names that costs what the page costs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use async_trait::async_trait;
use roadstead_metadata::{CatalogStore, Error, ManifestStore, Page, Repositories};
use roadstead_oci::RepositoryName;
use roadstead_storage::{EntryKind, Key, ListOptions, Stat};

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
        let mut walk = Walk::new(self, page.after);
        while found.len() < page.limit {
            let Some(path) = walk.next().await? else {
                break;
            };
            found.extend(self.repository(&path, which).await?);
        }
        Ok(found)
    }

    async fn has_place(&self) -> Result<bool, Error> {
        let place = paths::repositories().map_err(unavailable)?;
        match self.driver.stat(&place).await {
            Ok(stat) => Ok(stat == Stat::Prefix),
            Err(roadstead_storage::Error::NotFound(_)) => Ok(!self.driver.has_directories()),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// The folders below `repositories/`, in the order of the bytes of their paths.
struct Walk<'a> {
    layout: &'a Layout,
    after: Option<&'a str>,
    /// The folders that the walk is in, the innermost last.
    open: Vec<Folder>,
}

/// A folder of which some names are read.
struct Folder {
    /// Its path, with a slash at the end but for the root.
    prefix: String,
    pending: BinaryHeap<Reverse<Step>>,
    /// Up to which name the folder is read.
    read_to: Option<String>,
    is_read: bool,
}

/// A folder's own path, or with a slash at its end all that lies below it. In the order of bytes
/// `a` comes before `a-b`, and that before `a/b`: a folder and what lies below it are not
/// neighbours.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Step(String);

impl<'a> Walk<'a> {
    fn new(layout: &'a Layout, after: Option<&'a str>) -> Self {
        Self {
            layout,
            after,
            open: vec![Folder::open(String::new(), after)],
        }
    }

    /// The next path after the one to begin after.
    async fn next(&mut self) -> Result<Option<String>, Error> {
        while let Some(folder) = self.open.last_mut() {
            match folder.next() {
                Some(step) if step.is_before(self.after) => {}
                Some(Step(path)) if path.ends_with('/') => {
                    self.open.push(Folder::open(path, self.after));
                }
                Some(Step(path)) => return Ok(Some(path)),
                None if folder.is_read => {
                    self.open.pop();
                }
                None => folder.read(self.layout).await?,
            }
        }
        Ok(None)
    }
}

impl Step {
    /// Whether nothing of this step comes after `after`.
    fn is_before(&self, after: Option<&str>) -> bool {
        let Some(after) = after else { return false };
        let Self(path) = self;
        path.as_str() <= after && !(path.ends_with('/') && after.starts_with(path))
    }
}

impl Folder {
    /// How many names are read in one go.
    const READ_AT_ONCE: usize = 256;

    /// Begins a folder where the walk begins. What comes after the name of that place is read in
    /// order. Before that name, only what lies below it or below a folder that it extends by a
    /// character that comes before the slash can come after the place: `-` and `.`, and others
    /// that no name has but the place may.
    fn open(prefix: String, after: Option<&str>) -> Self {
        let after = after.and_then(|after| after.strip_prefix(&prefix));
        let name = after.map(|after| after.split('/').next().unwrap_or(after));
        let name = name.filter(|name| !name.is_empty());
        let extended = |name: &str| {
            let ends = name.match_indices(|c| c < '/').map(|(end, _)| end);
            ends.chain([name.len()])
                .filter(|end| can_be_folder(&name[..*end]))
                .collect::<Vec<_>>()
        };
        let ends = name.map(extended).unwrap_or_default();
        let name = name.unwrap_or_default();
        let below = ends
            .into_iter()
            .map(|end| format!("{prefix}{}/", &name[..end]));
        Self {
            pending: below.map(|path| Reverse(Step(path))).collect(),
            read_to: Some(name)
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            is_read: false,
            prefix,
        }
    }

    /// The next step, if no name that is still to be read can come before it.
    fn next(&mut self) -> Option<Step> {
        let Reverse(Step(path)) = self.pending.peek()?;
        let read_to = self.read_to.as_deref().unwrap_or_default();
        let is_next = self.is_read || path[self.prefix.len()..] <= *read_to;
        if !is_next {
            return None;
        }
        self.pending.pop().map(|Reverse(step)| step)
    }

    async fn read(&mut self, layout: &Layout) -> Result<(), Error> {
        let options = ListOptions {
            after: self.read_to.as_deref(),
            limit: Self::READ_AT_ONCE,
        };
        let entries = match layout.driver.list(&self.key()?, options).await {
            Ok(entries) => entries,
            Err(roadstead_storage::Error::NotFound(_)) => Vec::new(),
            Err(error) => return Err(unavailable(error)),
        };
        self.is_read = entries.len() < Self::READ_AT_ONCE;
        self.read_to = entries.last().map(|entry| entry.name.clone());
        let folders = entries
            .iter()
            .filter(|entry| entry.kind == EntryKind::Prefix);
        for folder in folders.filter(|folder| !folder.name.starts_with('_')) {
            let path = format!("{}{}", self.prefix, folder.name);
            self.pending.push(Reverse(Step(format!("{path}/"))));
            self.pending.push(Reverse(Step(path)));
        }
        Ok(())
    }

    fn key(&self) -> Result<Key, Error> {
        let root = paths::repositories().map_err(unavailable)?;
        match self.prefix.trim_end_matches('/') {
            "" => Ok(root),
            path => root.join(path).map_err(unavailable),
        }
    }
}

/// Whether repositories can lie in a folder of this name: a place to begin may be any text.
fn can_be_folder(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('_') && Key::new(name).is_ok()
}

impl Layout {
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
