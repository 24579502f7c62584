//! What stands in front of the registry and of its repositories, and may refuse: whoever asks,
//! as the [`Policy`](crate::Policy) does.

mod allow_list;
mod immutable_tags;
mod pattern;
mod read_only;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use roadstead_metadata::{Page, Repositories};
use roadstead_oci::{Digest, RepositoryName, Tag};

pub use allow_list::AllowList;
pub use immutable_tags::ImmutableTags;
pub use pattern::Pattern;
pub use read_only::ReadOnly;

use crate::{Error, Registry, Repository};

/// Stands in front of the registry: decides which repositories there are for clients.
pub trait RegistryMiddleware: fmt::Debug + Send + Sync {
    /// Whether clients may know of `repository`; if not, it is in no catalog, and nothing can be
    /// pulled from it, pushed to it or mounted from it.
    fn serves(&self, repository: &RepositoryName) -> bool;
}

/// Stands in front of each repository: decides what may be changed there.
#[async_trait]
pub trait RepositoryMiddleware: fmt::Debug + Send + Sync {
    /// Permits `change`, which is made before the permit is dropped.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`] to refuse it; nothing is changed then.
    async fn permit(
        &self,
        repository: Repository<'_>,
        change: &Change<'_>,
    ) -> Result<Permit, Error>;
}

/// What is about to be changed in a repository.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// Bytes come in: an upload is begun, gone on with or given up, or a blob is mounted.
    Upload,
    /// The manifest with this canonical digest is stored, and the tags point to it from then on.
    Push {
        /// The manifest.
        digest: &'a Digest,
        /// All of its new tags.
        tags: &'a [Tag],
    },
    /// A blob is taken out of the repository.
    DeleteBlob(&'a Digest),
    /// The manifest with this canonical digest is deleted, with all of its tags.
    DeleteManifest(&'a Digest),
    /// A tag is deleted.
    DeleteTag(&'a Tag),
}

/// Lasts while a change is made, with what holds back others meanwhile.
#[derive(Debug, Default)]
pub struct Permit {
    _held: Option<Box<dyn Any + Send>>,
    fixed: Vec<Tag>,
}

impl Permit {
    /// A permit that holds back nobody.
    pub fn free() -> Self {
        Self::default()
    }

    /// A permit that keeps `guard` until the change is made.
    pub fn holding(guard: impl Any + Send) -> Self {
        Self {
            _held: Some(Box::new(guard)),
            ..Self::default()
        }
    }

    /// The same permit, if of what is pushed these tags are not moved: should another process
    /// have pushed something else under them meanwhile, the push fails.
    pub fn fixing(mut self, tags: impl IntoIterator<Item = Tag>) -> Self {
        self.fixed.extend(tags);
        self
    }

    pub(crate) fn fixed(&self) -> &[Tag] {
        &self.fixed
    }
}

/// All that stands in front, each list from the innermost to the outermost.
#[derive(Clone, Debug, Default)]
pub struct Middleware {
    /// In front of the registry.
    pub registry: Vec<Arc<dyn RegistryMiddleware>>,
    /// In front of each repository.
    pub repository: Vec<Arc<dyn RepositoryMiddleware>>,
}

impl Middleware {
    fn serves(&self, repository: &RepositoryName) -> bool {
        self.registry
            .iter()
            .all(|middleware| middleware.serves(repository))
    }
}

impl Registry {
    /// Whether clients may know of the repository `name`. For whoever speaks with clients to ask
    /// before anything else.
    ///
    /// # Errors
    ///
    /// [`Error::Denied`], whether or not there is such a repository.
    pub fn admit(&self, name: &RepositoryName) -> Result<(), Error> {
        if self.serves(name) {
            return Ok(());
        }
        let denied = format!("this registry does not serve the repository {name}");
        Err(Error::Denied(denied))
    }

    pub(crate) fn serves(&self, name: &RepositoryName) -> bool {
        self.parts().middleware.serves(name)
    }

    /// The part of the catalog that clients may know of.
    pub(crate) async fn served(&self, page: Page<'_>) -> Result<Vec<RepositoryName>, Error> {
        /// How many names are looked at in one go, when not all are shown.
        const AT_ONCE: usize = 1000;
        let which = Repositories::WithManifests;
        let parts = self.parts();
        if parts.middleware.registry.is_empty() {
            return Ok(parts.metadata.repositories(which, page).await?);
        }
        let mut served = Vec::new();
        let mut after = page.after.map(str::to_owned);
        while served.len() < page.limit {
            let names = Page {
                after: after.as_deref(),
                limit: AT_ONCE,
            };
            let names = parts.metadata.repositories(which, names).await?;
            let is_end = names.len() < AT_ONCE;
            after = names.last().map(ToString::to_string);
            served.extend(names.into_iter().filter(|name| self.serves(name)));
            if is_end {
                break;
            }
        }
        served.truncate(page.limit);
        Ok(served)
    }
}

impl Repository<'_> {
    /// Asks all that stands in front of the repository, the outermost first.
    pub(crate) async fn permit(self, change: &Change<'_>) -> Result<Vec<Permit>, Error> {
        let mut permits = Vec::new();
        for middleware in self.parts().middleware.repository.iter().rev() {
            permits.push(middleware.permit(self, change).await?);
        }
        Ok(permits)
    }
}
