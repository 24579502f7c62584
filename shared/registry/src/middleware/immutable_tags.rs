//! The repository middleware `immutabletags`.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::Page;
use roadstead_oci::{Digest, RepositoryName, Tag};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Change, Pattern, Permit, RepositoryMiddleware};
use crate::{Error, Repository};

/// Keeps tags where they first pointed to: what was pulled by a tag once is what is pulled by it
/// ever after.
///
/// Of two pushes that meet, in one process or in two, one has the tag and the other is denied:
/// what is looked at here is a condition of the write as well
/// ([`ManifestPush::fixed`](roadstead_metadata::ManifestPush::fixed)). Over a table that is exact.
/// Over files it is as exact as creating one is: with the filesystem driver always, in a bucket
/// where the store honours `If-None-Match`.
#[derive(Debug)]
pub struct ImmutableTags {
    repositories: Pattern,
    tags: Pattern,
    may_delete: bool,
    turns: Vec<Arc<Mutex<()>>>,
    hasher: RandomState,
}

impl ImmutableTags {
    /// How many pushes can be under way at once, as long as their tags differ.
    const TURNS: usize = 256;

    /// Keeps the `tags` of `repositories`. They can only be deleted, alone or with their
    /// manifests, if `may_delete`; a deleted tag can be pushed anew.
    pub fn new(repositories: Pattern, tags: Pattern, may_delete: bool) -> Self {
        Self {
            repositories,
            tags,
            may_delete,
            turns: (0..Self::TURNS).map(|_| Arc::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// Until the guards are dropped, nobody else pushes these tags.
    async fn turns(&self, repository: &RepositoryName, tags: &[&Tag]) -> Vec<OwnedMutexGuard<()>> {
        let place = |tag: &&Tag| {
            let hash = self.hasher.hash_one((repository.as_str(), tag.as_str()));
            usize::try_from(hash % Self::TURNS as u64).unwrap_or_default()
        };
        // Each place once, and always in the same order: nobody waits for himself, nor two for
        // each other.
        let places: BTreeSet<usize> = tags.iter().map(place).collect();
        let mut turns = Vec::new();
        for place in places {
            turns.push(Arc::clone(&self.turns[place]).lock_owned().await);
        }
        turns
    }

    async fn permit_push(
        &self,
        repository: Repository<'_>,
        digest: &Digest,
        tags: &[Tag],
    ) -> Result<Permit, Error> {
        let tags: Vec<&Tag> = tags
            .iter()
            .filter(|tag| self.tags.matches(tag.as_str()))
            .collect();
        if tags.is_empty() {
            return Ok(Permit::free());
        }
        let turns = self.turns(repository.name(), &tags).await;
        for tag in &tags {
            let current = repository
                .parts()
                .metadata
                .tag(repository.name(), tag)
                .await?;
            if current.is_some_and(|current| current != *digest) {
                return Err(immutable(tag));
            }
        }
        Ok(Permit::holding(turns).fixing(tags.into_iter().cloned()))
    }

    async fn permit_deletion(
        &self,
        repository: Repository<'_>,
        digest: &Digest,
    ) -> Result<Permit, Error> {
        /// How many tags are looked up at once.
        const AT_ONCE: usize = 16;
        let metadata = &repository.parts().metadata;
        let tags = metadata.tags(repository.name(), Page::ALL).await?;
        let tags = tags.unwrap_or_default().into_iter();
        let tags = tags.filter(|tag| self.tags.matches(tag.as_str()));
        let pointing = stream::iter(tags).map(|tag| async move {
            let current = metadata.tag(repository.name(), &tag).await?;
            Ok::<_, Error>((current.as_ref() == Some(digest)).then_some(tag))
        });
        let mut pointing = std::pin::pin!(
            pointing
                .buffered(AT_ONCE)
                .try_filter_map(async |tag| Ok(tag))
        );
        match pointing.try_next().await? {
            Some(tag) => Err(immutable(&tag)),
            None => Ok(Permit::free()),
        }
    }
}

#[async_trait]
impl RepositoryMiddleware for ImmutableTags {
    async fn permit(
        &self,
        repository: Repository<'_>,
        change: &Change<'_>,
    ) -> Result<Permit, Error> {
        if !self.repositories.matches(repository.name().as_str()) {
            return Ok(Permit::free());
        }
        match change {
            Change::Push { digest, tags } => self.permit_push(repository, digest, tags).await,
            Change::DeleteTag(tag) if !self.may_delete && self.tags.matches(tag.as_str()) => {
                Err(immutable(tag))
            }
            Change::DeleteManifest(digest) if !self.may_delete => {
                self.permit_deletion(repository, digest).await
            }
            _ => Ok(Permit::free()),
        }
    }
}

fn immutable(tag: &Tag) -> Error {
    Error::Denied(format!("the tag {tag} is immutable"))
}
