//! What refers to a manifest.

use roadstead_metadata::ReferrerQuery;
use roadstead_oci::Descriptor;

use crate::Error;
use crate::registry::Repository;

/// The referrers of one repository's manifests.
#[derive(Clone, Copy, Debug)]
pub struct Referrers<'a>(pub(crate) Repository<'a>);

impl Referrers<'_> {
    /// Descriptors of the manifests whose subject is the one asked for, in the order of their
    /// digests; none for a subject that is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] only.
    pub async fn list(self, query: ReferrerQuery<'_>) -> Result<Vec<Descriptor>, Error> {
        let repository = self.0;
        Ok(repository
            .parts()
            .metadata
            .referrers(repository.name, query)
            .await?)
    }
}
