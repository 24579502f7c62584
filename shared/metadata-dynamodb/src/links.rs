//! Which blobs a repository has.

use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use roadstead_metadata::{Error, LinkStore, Linked, Page};
use roadstead_oci::{Digest, RepositoryName};

use crate::catalog::Known;
use crate::dynamodb::DynamoDb;
use crate::expression::Expression;
use crate::keys;
use crate::row::{Row, moment, text};
use crate::table::{ATTEMPTS, Contention, Outcome, Query, Transaction};

#[async_trait]
impl LinkStore for DynamoDb {
    async fn linked(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let row = self.table.get(&keys::link(repository, digest)).await?;
        row.map(|row| row.parsed("digest")).transpose()
    }

    async fn link(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        alias: Option<&Digest>,
    ) -> Result<(), Error> {
        self.enlist(repository, Known::Something).await?;
        if alias.is_none() {
            let key = keys::link(repository, digest);
            self.table.update(&key, made(digest, None), None).await?;
            return Ok(());
        }
        let mut transaction = Transaction::default();
        put_link(repository, digest, alias, &mut transaction);
        let _unconditional = self.table.commit(transaction).await?;
        Ok(())
    }

    async fn unlink(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        self.unlink_older(repository, digest, None).await
    }

    async fn links(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Vec<Linked>, Error> {
        let query = Query::page(keys::links(repository), page);
        let rows = self.table.query(query.canonical()).await?;
        rows.iter().map(linked).collect()
    }
}

impl DynamoDb {
    /// Takes a blob out of the repository, unless it was linked at `since` or later.
    pub(crate) async fn unlink_older(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        since: Option<SystemTime>,
    ) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let Some(row) = self.link_of(repository, digest).await? else {
                return Ok(false);
            };
            let modified = row.moment("modified")?;
            if since.is_some_and(|since| modified >= since) {
                return Ok(false);
            }
            // A link that is made meanwhile may have an alias more.
            let unchanged = Expression::new("#modified = :modified");
            let unchanged = unchanged.with(":modified", moment(modified));
            let mut transaction = Transaction::default();
            let canonical = row.parsed("digest")?;
            transaction.delete(&keys::link(repository, &canonical), Some(unchanged));
            for alias in row.set::<Digest>("aliases")? {
                transaction.delete(&keys::link(repository, &alias), None);
            }
            if self.table.commit(transaction).await? == Outcome::Done {
                return Ok(true);
            }
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    /// The row of the blob's canonical digest.
    async fn link_of(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Row>, Error> {
        let Some(row) = self.table.get(&keys::link(repository, digest)).await? else {
            return Ok(None);
        };
        let canonical = row.parsed("digest")?;
        if canonical == *digest {
            return Ok(Some(row));
        }
        self.table.get(&keys::link(repository, &canonical)).await
    }
}

/// Makes a blob part of the repository, also under `alias`.
pub(crate) fn put_link(
    repository: &RepositoryName,
    digest: &Digest,
    alias: Option<&Digest>,
    transaction: &mut Transaction,
) {
    let key = keys::link(repository, digest);
    transaction.update(&key, made(digest, alias), None);
    if let Some(alias) = alias {
        let row = Row::new(&keys::link(repository, alias));
        transaction.put(row.with("digest", text(digest)), None);
    }
}

/// What making a link changes in its row.
fn made(digest: &Digest, alias: Option<&Digest>) -> Expression {
    let update = "SET #digest = :digest, #modified = :now";
    let update = match alias {
        None => Expression::new(update),
        Some(alias) => {
            let aliases = AttributeValue::Ss(vec![alias.to_string()]);
            Expression::new(format!("{update} ADD #aliases :alias")).with(":alias", aliases)
        }
    };
    update
        .with(":digest", text(digest))
        .with(":now", moment(SystemTime::now()))
}

/// A row of a blob or a manifest as a part of its repository.
pub(crate) fn linked(row: &Row) -> Result<Linked, Error> {
    Ok(Linked {
        digest: row.parsed("sk")?,
        modified: row.moment("modified")?,
    })
}
