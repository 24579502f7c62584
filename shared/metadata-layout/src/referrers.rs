//! Edges from manifests to their subjects: a small file each, in a folder that Distribution
//! passes over.
//!
//! Two kinds of edges are not there from the push on and are added when a repository's referrers
//! are first asked for: those of manifests that an older registry stored, found by reading each
//! manifest once, and those that a client kept in a referrers tag while the directory was served
//! by a registry without the API, found through that tag at each first page.

use std::collections::HashSet;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_metadata::{Error, ManifestStore, Page, Referrer, ReferrerQuery, ReferrerStore};
use roadstead_oci::{Descriptor, Digest, MAX_MANIFEST_SIZE, Manifest, Reference, RepositoryName};
use roadstead_storage::{DriverExt, ListOptions, Write};

use crate::layout::{Layout, file, unavailable};
use crate::paths;

#[async_trait]
impl ReferrerStore for Layout {
    async fn referrers(
        &self,
        repository: &RepositoryName,
        query: ReferrerQuery<'_>,
    ) -> Result<Vec<Descriptor>, Error> {
        if query.page.after.is_none() {
            self.add_edges_of_older_manifests(repository).await?;
            self.add_edges_of_referrers_tag(repository, query.subject)
                .await?;
        }
        self.edges(repository, query).await
    }
}

impl Layout {
    async fn edges(
        &self,
        repository: &RepositoryName,
        query: ReferrerQuery<'_>,
    ) -> Result<Vec<Descriptor>, Error> {
        let prefix = paths::referrers(repository, query.subject).map_err(unavailable)?;
        let after = query.page.after.map(|after| after.replacen(':', "-", 1));
        let options = ListOptions {
            after: after.as_deref(),
            limit: usize::MAX,
        };
        let mut found = Vec::new();
        for name in self.names(&prefix, options).await? {
            if found.len() >= query.page.limit {
                break;
            }
            let key = prefix.join(&name).map_err(unavailable)?;
            let edge = self
                .driver
                .try_get(&key, MAX_MANIFEST_SIZE)
                .await
                .map_err(unavailable)?;
            let edge = edge.and_then(|edge| serde_json::from_slice::<Descriptor>(&edge).ok());
            let Some(edge) = edge.filter(|edge| is_of_type(edge, query.artifact_type)) else {
                continue;
            };
            if self.revision(repository, &edge.digest).await?.is_some() {
                found.push(edge);
            }
        }
        Ok(found)
    }

    async fn add_edges_of_older_manifests(&self, repository: &RepositoryName) -> Result<(), Error> {
        let marker = paths::referrers_indexed(repository).map_err(unavailable)?;
        if self.exists(&marker).await? {
            return Ok(());
        }
        let revisions = self.revisions(repository, Page::ALL).await?;
        if revisions.is_empty() {
            return Ok(());
        }
        for revision in &revisions {
            let edge = self.edge_of(repository, &revision.digest).await?;
            self.write_edges(repository, edge.as_slice()).await?;
        }
        self.write(&[file(marker, Bytes::new())]).await
    }

    /// Adds what the tag `<alg>-<hex>` lists, as far as it is here and does refer to the subject.
    async fn add_edges_of_referrers_tag(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<(), Error> {
        let Ok(tag) = subject.referrers_tag().parse() else {
            return Ok(());
        };
        let Some(list) = self.manifest(repository, &Reference::Tag(tag)).await? else {
            return Ok(());
        };
        let Ok(list) = Manifest::read(&list.bytes) else {
            return Ok(());
        };
        let prefix = paths::referrers(repository, subject).map_err(unavailable)?;
        let known: HashSet<String> = self
            .names(&prefix, ListOptions::ALL)
            .await?
            .into_iter()
            .collect();
        for child in &list.manifests {
            if known.contains(&paths::referrer_name(&child.digest)) {
                continue;
            }
            let edge = self.edge_of(repository, &child.digest).await?;
            let edge = edge.filter(|edge| edge.subject == *subject);
            self.write_edges(repository, edge.as_slice()).await?;
        }
        Ok(())
    }

    /// The edge of a manifest of the repository, if it is there, readable and has a subject.
    async fn edge_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Referrer>, Error> {
        let reference = Reference::Digest(digest.clone());
        let Some(record) = self.manifest(repository, &reference).await? else {
            return Ok(None);
        };
        let manifest = Manifest::read(&record.bytes).ok();
        Ok(manifest.and_then(|manifest| Referrer::of(&manifest, &record)))
    }

    async fn write_edges(
        &self,
        repository: &RepositoryName,
        edges: &[Referrer],
    ) -> Result<(), Error> {
        let write = |edge: &Referrer| -> Result<Write, roadstead_storage::Error> {
            let key = paths::referrer(repository, &edge.subject, &edge.descriptor.digest)?;
            Ok(file(key, encode(&edge.descriptor)))
        };
        let writes: Result<Vec<_>, _> = edges.iter().map(write).collect();
        let writes = writes.map_err(unavailable)?;
        if writes.is_empty() {
            return Ok(());
        }
        self.write(&writes).await
    }
}

pub(crate) fn encode(descriptor: &Descriptor) -> Bytes {
    serde_json::to_vec(descriptor).unwrap_or_default().into()
}

fn is_of_type(edge: &Descriptor, artifact_type: Option<&str>) -> bool {
    artifact_type.is_none_or(|wanted| edge.artifact_type.as_deref() == Some(wanted))
}
