//! The repository middleware `readonly`.

use async_trait::async_trait;

use super::{Change, Pattern, Permit, RepositoryMiddleware};
use crate::{Error, Repository};

/// Leaves some repositories as they are.
#[derive(Clone, Debug)]
pub struct ReadOnly(Pattern);

impl ReadOnly {
    /// Refuses every change in `repositories`.
    pub fn new(repositories: Pattern) -> Self {
        Self(repositories)
    }
}

#[async_trait]
impl RepositoryMiddleware for ReadOnly {
    async fn permit(&self, repository: Repository<'_>, _: &Change<'_>) -> Result<Permit, Error> {
        let name = repository.name();
        if self.0.matches(name.as_str()) {
            return Err(Error::Denied(format!("the repository {name} is read-only")));
        }
        Ok(Permit::free())
    }
}
