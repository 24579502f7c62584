//! The registry and its repositories: where every operation begins.

use std::sync::Arc;

use roadstead_metadata::{Metadata, Page};
use roadstead_oci::RepositoryName;
use roadstead_storage::{Driver, UrlSigner};
use tokio::sync::Mutex;

use crate::blobs::Blobs;
use crate::manifests::Manifests;
use crate::middleware::Middleware;
use crate::recent::{Memory, Recent};
use crate::referrers::Referrers;
use crate::tags::Tags;
use crate::uploads::Uploads;
use crate::{Error, Policy};

/// A registry: metadata, bytes and a policy. Clones are the same registry.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Parts>);

#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) metadata: Arc<dyn Metadata>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) policy: Policy,
    pub(crate) middleware: Middleware,
    pub(crate) recent: Arc<Recent>,
    /// Held by the collection that goes on.
    pub(crate) collecting: Arc<Mutex<()>>,
    /// Where clients are sent for bytes; `None` when the registry serves all of them itself.
    pub(crate) signer: Option<Arc<dyn UrlSigner>>,
}

impl Registry {
    /// A registry over `metadata` and the bytes in `driver`.
    pub fn new(metadata: Arc<dyn Metadata>, driver: Arc<dyn Driver>, policy: Policy) -> Self {
        let signs = driver.signer().is_some();
        let signer = || Arc::new(Arc::clone(&driver)) as Arc<dyn UrlSigner>;
        Self(Arc::new(Parts {
            metadata,
            signer: signs.then(signer),
            driver,
            policy,
            middleware: Middleware::default(),
            recent: Arc::default(),
            collecting: Arc::default(),
        }))
    }

    /// The same registry, which serves every byte itself even where the driver could let
    /// clients fetch them: Distribution's `storage.redirect.disable`.
    pub fn without_redirects(self) -> Self {
        self.with(|parts| parts.signer = None)
    }

    /// The same registry, which sends clients where `signer` says.
    pub fn with_signer(self, signer: Arc<dyn UrlSigner>) -> Self {
        self.with(|parts| parts.signer = Some(signer))
    }

    /// The same registry, which remembers for a while of blobs and manifests that they are there,
    /// and asks less of a store where each question is a request.
    ///
    /// A manifest is taken without a look at what this process has linked in the last ten
    /// minutes, or in half of the grace age if that is less. Blobs are answered for without
    /// another look for a minute, if that is wanted. What another process deletes shows only
    /// after that.
    pub fn with_memory(self, memory: Memory) -> Self {
        self.with(|parts| parts.recent = Arc::new(Recent::new(memory)))
    }

    /// The same registry with `middleware` in front of it.
    pub fn with_middleware(self, middleware: Middleware) -> Self {
        self.with(|parts| parts.middleware = middleware)
    }

    fn with(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// The repository `name`, which need not exist.
    pub fn repository<'a>(&'a self, name: &'a RepositoryName) -> Repository<'a> {
        Repository {
            registry: self,
            name,
        }
    }

    /// The catalog: names of repositories with at least one manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] only.
    pub async fn catalog(&self, page: Page<'_>) -> Result<Vec<RepositoryName>, Error> {
        self.served(page).await
    }

    /// What this registry permits.
    pub fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0
    }
}

/// One repository of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Repository<'a> {
    registry: &'a Registry,
    pub(crate) name: &'a RepositoryName,
}

impl<'a> Repository<'a> {
    /// Its name.
    pub fn name(self) -> &'a RepositoryName {
        self.name
    }

    /// Its blobs.
    pub fn blobs(self) -> Blobs<'a> {
        Blobs(self)
    }

    /// Its uploads under way.
    pub fn uploads(self) -> Uploads<'a> {
        Uploads(self)
    }

    /// Its manifests.
    pub fn manifests(self) -> Manifests<'a> {
        Manifests(self)
    }

    /// Its tags.
    pub fn tags(self) -> Tags<'a> {
        Tags(self)
    }

    /// The referrers of its manifests.
    pub fn referrers(self) -> Referrers<'a> {
        Referrers(self)
    }

    pub(crate) fn registry(self) -> &'a Registry {
        self.registry
    }

    pub(crate) fn parts(self) -> &'a Parts {
        self.registry.parts()
    }
}
