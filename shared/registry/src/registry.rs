//! The registry and its repositories: where every operation begins.

use std::sync::Arc;

use roadstead_metadata::{Metadata, Page, Repositories};
use roadstead_oci::RepositoryName;
use roadstead_storage::Driver;

use crate::blobs::Blobs;
use crate::manifests::Manifests;
use crate::referrers::Referrers;
use crate::tags::Tags;
use crate::uploads::Uploads;
use crate::{Error, Policy};

/// A registry: metadata, bytes and a policy. Clones are the same registry.
#[derive(Clone, Debug)]
pub struct Registry(Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) metadata: Arc<dyn Metadata>,
    pub(crate) driver: Arc<dyn Driver>,
    pub(crate) policy: Policy,
    pub(crate) redirect: bool,
}

impl Registry {
    /// A registry over `metadata` and the bytes in `driver`.
    pub fn new(metadata: Arc<dyn Metadata>, driver: Arc<dyn Driver>, policy: Policy) -> Self {
        Self(Arc::new(Parts {
            metadata,
            driver,
            policy,
            redirect: true,
        }))
    }

    /// The same registry, which serves every byte itself even where the driver could let
    /// clients fetch them: Distribution's `storage.redirect.disable`.
    pub fn without_redirects(self) -> Self {
        let parts = &self.0;
        Self(Arc::new(Parts {
            metadata: Arc::clone(&parts.metadata),
            driver: Arc::clone(&parts.driver),
            policy: parts.policy.clone(),
            redirect: false,
        }))
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
        let which = Repositories::WithManifests;
        Ok(self.parts().metadata.repositories(which, page).await?)
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

    pub(crate) fn parts(self) -> &'a Parts {
        self.registry.parts()
    }
}
