//! The registry middleware `allowlist`.

use roadstead_oci::RepositoryName;

use super::{Pattern, RegistryMiddleware};

/// Serves some repositories only.
#[derive(Clone, Debug)]
pub struct AllowList(Pattern);

impl AllowList {
    /// Serves the repositories of which `repositories` is about, and no other.
    pub fn new(repositories: Pattern) -> Self {
        Self(repositories)
    }
}

impl RegistryMiddleware for AllowList {
    fn serves(&self, repository: &RepositoryName) -> bool {
        self.0.matches(repository.as_str())
    }
}
