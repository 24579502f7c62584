//! Tags: a small row each for lists, and one as it is pulled, see `keys`.

use async_trait::async_trait;
use roadstead_metadata::{Error, Page, TagStore};
use roadstead_oci::{Digest, RepositoryName, Tag};

use crate::dynamodb::DynamoDb;
use crate::expression::Expression;
use crate::keys;
use crate::row::{Row, text};
use crate::table::{Outcome, Query, Transaction};

#[async_trait]
impl TagStore for DynamoDb {
    async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Digest>, Error> {
        let row = self.table.get(&keys::tag(repository, tag)).await?;
        row.map(|row| row.parsed("digest")).transpose()
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Option<Vec<Tag>>, Error> {
        let query = Query::page(keys::tags(repository), page);
        let rows = self.table.query(query).await?;
        if rows.is_empty() && !self.had_manifests(repository).await? {
            return Ok(None);
        }
        names(&rows).map(Some)
    }

    async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, Error> {
        let mut transaction = Transaction::default();
        let is_there = Some(Expression::is_there());
        transaction.delete(&keys::tag(repository, tag), is_there);
        transaction.delete(&keys::by_tag(repository, tag), None);
        Ok(self.table.commit(transaction).await? == Outcome::Done)
    }
}

impl DynamoDb {
    /// The tags that point to `digest`.
    pub(crate) async fn tags_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Tag>, Error> {
        names(&self.rows_of_tags_of(repository, digest).await?)
    }

    /// Their small rows.
    pub(crate) async fn rows_of_tags_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Row>, Error> {
        let query = Query {
            filter: Some(points_to(digest)),
            ..Query::all(keys::tags(repository))
        };
        self.table.query(query).await
    }
}

/// A tag's row has `digest`.
pub(crate) fn points_to(digest: &Digest) -> Expression {
    Expression::new("#digest = :digest").with(":digest", text(digest))
}

fn names(rows: &[Row]) -> Result<Vec<Tag>, Error> {
    rows.iter().map(|row| row.parsed("sk")).collect()
}
