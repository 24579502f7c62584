//! Rows that are named by a digest of another algorithm than the canonical one.

use async_trait::async_trait;
use roadstead_metadata::{Alias, AliasStore, Error};
use roadstead_oci::RepositoryName;

use crate::dynamodb::DynamoDb;
use crate::keys;
use crate::row::Row;
use crate::table::Query;

#[async_trait]
impl AliasStore for DynamoDb {
    async fn manifest_aliases(&self, repository: &RepositoryName) -> Result<Vec<Alias>, Error> {
        self.aliases(keys::revisions(repository)).await
    }

    async fn blob_aliases(&self, repository: &RepositoryName) -> Result<Vec<Alias>, Error> {
        self.aliases(keys::links(repository)).await
    }
}

impl DynamoDb {
    async fn aliases(&self, partition: String) -> Result<Vec<Alias>, Error> {
        let rows = self.table.query(Query::all(partition).aliases()).await?;
        rows.iter().map(alias).collect()
    }
}

fn alias(row: &Row) -> Result<Alias, Error> {
    Ok(Alias {
        alias: row.parsed("sk")?,
        digest: row.parsed("digest")?,
    })
}
