//! Manifests: pulled by one read, pushed and deleted by one transaction, see `keys`.

mod delete;
mod record;
mod withdraw;

pub(crate) use record::{lies_at, orphan, put_blob};

use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_metadata::{
    BlobStore, Error, LinkStore, Linked, ManifestPush, ManifestRecord, ManifestStore, Page,
    Reliance, Sweep,
};
use roadstead_oci::{Digest, Digester, Reference, RepositoryName, Tag};

use crate::dynamodb::{DynamoDb, unavailable};
use crate::keys;
use crate::links::linked;
use crate::row::Row;
use crate::table::{ATTEMPTS, Contention, Query};

#[async_trait]
impl ManifestStore for DynamoDb {
    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Option<ManifestRecord>, Error> {
        for _ in 0..ATTEMPTS {
            let key = keys::reference(repository, reference);
            let Some(row) = self.table.get(&key).await? else {
                return Ok(None);
            };
            if row.has("bytes") {
                return record(&row).map(Some);
            }
            // Whoever deleted the manifest since then has deleted this reference too, or has moved
            // the tag before: what is true now is seen by looking again.
            if let Some(row) = self.row_of(repository, row).await? {
                return self.content(&row).await;
            }
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    async fn revision(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let row = self.table.get(&keys::revision(repository, digest)).await?;
        row.map(|row| row.parsed("digest")).transpose()
    }

    async fn record(&self, push: &ManifestPush) -> Result<(), Error> {
        self.push(push).await.map(drop)
    }

    /// A push that lacks something takes away what it alone has stored; tags that it has moved
    /// from other manifests go back to these.
    async fn record_if(&self, push: &ManifestPush, reliance: &dyn Reliance) -> Result<bool, Error> {
        let id = self.push(push).await?;
        let holds = reliance.holds().await?;
        if !holds {
            self.withdraw(push, &id).await?;
        }
        Ok(holds)
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<Vec<Tag>, Error> {
        self.remove_with_tags(repository, digest, subject).await
    }

    async fn sweep<'a>(
        &'a self,
        repository: &'a RepositoryName,
    ) -> Result<Box<dyn Sweep + 'a>, Error> {
        Ok(Box::new(TableSweep {
            table: self,
            repository,
        }))
    }

    async fn revisions(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error> {
        let query = Query::page(keys::revisions(repository), page);
        let rows = self.table.query(query.canonical()).await?;
        rows.iter().map(linked).collect()
    }
}

/// Nobody waits for it: each removal is settled by its transaction.
struct TableSweep<'a> {
    table: &'a DynamoDb,
    repository: &'a RepositoryName,
}

#[async_trait]
impl Sweep for TableSweep<'_> {
    /// Leaves the manifest also if a tag points to it after all.
    async fn manifest(
        &self,
        digest: &Digest,
        subject: Option<&Digest>,
        since: SystemTime,
    ) -> Result<bool, Error> {
        let swept = self
            .table
            .remove_untagged(self.repository, digest, subject, since);
        swept.await
    }

    async fn restore(&self, push: &ManifestPush) -> Result<(), Error> {
        self.table.record(push).await
    }

    async fn unlink(&self, digest: &Digest, since: SystemTime) -> Result<bool, Error> {
        let unlinked = self
            .table
            .unlink_older(self.repository, digest, Some(since));
        unlinked.await
    }

    async fn link(&self, digest: &Digest) -> Result<(), Error> {
        self.table.link(self.repository, digest, None).await
    }
}

impl DynamoDb {
    /// The row of the manifest itself, from one that has no copy of its bytes.
    async fn row_of(
        &self,
        repository: &RepositoryName,
        reference: Row,
    ) -> Result<Option<Row>, Error> {
        let digest: Digest = reference.parsed("digest")?;
        if reference.name() == digest.as_str() {
            return Ok(Some(reference));
        }
        self.table.get(&keys::by_digest(repository, &digest)).await
    }

    /// The manifest of a row of its own; the bytes may lie elsewhere.
    async fn content(&self, row: &Row) -> Result<Option<ManifestRecord>, Error> {
        if row.has("bytes") {
            return record(row).map(Some);
        }
        let digest: Digest = row.parsed("digest")?;
        let bytes = match self.location(&digest).await? {
            Some(key) => self.contents.read(&key).await.map_err(unavailable)?,
            None => None,
        };
        let is_sound = |bytes: &_| Digester::digest(digest.algorithm(), bytes) == digest;
        let Some(bytes) = bytes.filter(|bytes| is_sound(bytes)) else {
            tracing::error!(blob.digest = %digest, "the stored manifest is gone or does not match its digest: it is not served");
            return Ok(None);
        };
        let media_type = row.text("type")?.to_owned();
        Ok(Some(ManifestRecord {
            digest,
            media_type,
            bytes,
        }))
    }
}

fn record(row: &Row) -> Result<ManifestRecord, Error> {
    Ok(ManifestRecord {
        digest: row.parsed("digest")?,
        media_type: row.text("type")?.to_owned(),
        bytes: row.bytes("bytes").ok_or_else(|| row.malformed("bytes"))?,
    })
}
