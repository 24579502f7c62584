//! Where the content of blobs lies.

use std::time::SystemTime;

use async_trait::async_trait;
use roadstead_metadata::{Adoption, BlobStore, Error, LinkStore, Page, StoredBlob, UploadSession};
use roadstead_oci::Digest;

use crate::dynamodb::{DynamoDb, unavailable};
use crate::expression::Expression;
use crate::keys::{self, BLOB_SHARDS};
use crate::links::put_link;
use crate::manifests::{lies_at, orphan, put_blob};
use crate::row::{Row, moment, text, yes};
use crate::table::{ATTEMPTS, Contention, Outcome, Query, Transaction};

#[async_trait]
impl BlobStore for DynamoDb {
    async fn location(&self, digest: &Digest) -> Result<Option<String>, Error> {
        self.stored_at(digest).await
    }

    async fn adopt(&self, adoption: &Adoption<'_>) -> Result<(), Error> {
        let Adoption {
            session, digest, ..
        } = *adoption;
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let writes = transaction(adoption, before.as_deref());
            let writes = writes.ok_or(Error::Busy)?;
            if self.table.commit(writes).await? == Outcome::Done {
                return Ok(());
            }
            if self.is_adopted(session, digest).await? {
                let name = &session.repository;
                return self.link(name, digest, adoption.alias).await;
            }
            before = self.stored_at(digest).await?;
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    /// Nothing is moved. That no row pointed to the content is true no more.
    async fn place(&self, digest: &Digest, location: &str, size: u64) -> Result<String, Error> {
        for _ in 0..ATTEMPTS {
            let before = self.stored_at(digest).await?;
            if before.as_deref() == Some(location) {
                return Ok(location.to_owned());
            }
            let mut transaction = Transaction::default();
            put_blob(digest, location, size, before.as_deref(), &mut transaction);
            transaction.delete(&keys::orphan(location), None);
            if self.table.commit(transaction).await? == Outcome::Done {
                return Ok(location.to_owned());
            }
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    /// The first page also clears away orphans, so that garbage collection does.
    async fn blobs(&self, page: Page<'_>) -> Result<Vec<StoredBlob>, Error> {
        if page.after.is_none() {
            self.clear_orphans().await?;
        }
        let mut found = Vec::new();
        for shard in BLOB_SHARDS.split("").filter(|shard| !shard.is_empty()) {
            if found.len() >= page.limit {
                break;
            }
            if page.after.is_some_and(|after| is_behind(after, shard)) {
                continue;
            }
            let page = Page {
                after: page.after,
                limit: page.limit - found.len(),
            };
            let query = Query::page(keys::blobs(shard), page).canonical();
            for row in self.table.query(query).await? {
                found.push(stored(&row)?);
            }
        }
        Ok(found)
    }

    /// Of content that was stored meanwhile by any process, nothing is deleted.
    async fn sweep_blob(&self, digest: &Digest, since: SystemTime) -> Result<bool, Error> {
        let Some(row) = self.table.get(&keys::blob(digest)).await? else {
            return Ok(false);
        };
        let modified = row.moment("modified")?;
        if modified >= since {
            return Ok(false);
        }
        let key = row.text("key")?;
        // A push of a manifest that lies there may have renewed it since.
        let unchanged = Expression::new("#key = :key AND #modified = :modified")
            .with(":key", text(key))
            .with(":modified", moment(modified));
        self.delete_content(digest, key, unchanged).await
    }

    async fn delete_blob(&self, digest: &Digest) -> Result<bool, Error> {
        for _ in 0..ATTEMPTS {
            let Some(key) = self.stored_at(digest).await? else {
                return Ok(false);
            };
            if self.delete_content(digest, &key, lies_at(&key)).await? {
                return Ok(true);
            }
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }
}

impl DynamoDb {
    /// Deletes the content of `digest`, which lies at `key` if its row is as `expected`.
    async fn delete_content(
        &self,
        digest: &Digest,
        key: &str,
        expected: Expression,
    ) -> Result<bool, Error> {
        let mut transaction = Transaction::default();
        transaction.delete(&keys::blob(digest), Some(expected));
        transaction.put(orphan(key), None);
        let is_done = self.table.commit(transaction).await? == Outcome::Done;
        if is_done {
            self.clear(key).await?;
        }
        Ok(is_done)
    }

    pub(crate) async fn stored_at(&self, digest: &Digest) -> Result<Option<String>, Error> {
        let row = self.table.get(&keys::blob(digest)).await?;
        row.map(|row| Ok(row.text("key")?.to_owned())).transpose()
    }

    /// Whether the upload is that blob already.
    ///
    /// # Errors
    ///
    /// The upload can no longer become it.
    async fn is_adopted(&self, session: &UploadSession, digest: &Digest) -> Result<bool, Error> {
        let key = keys::upload(&session.repository, &session.id);
        let row = match key {
            Some(key) => self.table.get(&key).await?,
            None => None,
        };
        let row = row.filter(|row| !row.has("ended"));
        let row = row.ok_or(Error::Busy)?;
        if !row.has("adopted") {
            return Ok(false);
        }
        match row.parsed::<Digest>("adopted")? == *digest {
            true => Ok(true),
            false => Err(Error::Busy),
        }
    }

    async fn clear_orphans(&self) -> Result<(), Error> {
        let oldest = SystemTime::now().checked_sub(self.options.orphan_age);
        let old = Expression::new("#since <= :oldest");
        let old = old.with(":oldest", moment(oldest.unwrap_or(SystemTime::UNIX_EPOCH)));
        let query = Query {
            filter: Some(old),
            ..Query::all(keys::orphans())
        };
        for row in self.table.query(query).await? {
            // A push that is slow may be about to make it content: from here on it cannot.
            let doom = Expression::new("SET #doomed = :yes").with(":yes", yes());
            let is_there = Some(Expression::is_there());
            let key = keys::orphan(row.name());
            if self.table.update(&key, doom, is_there).await?.is_some() {
                self.clear(row.name()).await?;
            }
        }
        Ok(())
    }

    /// Deletes content that no row points to.
    async fn clear(&self, key: &str) -> Result<(), Error> {
        self.contents.delete(key).await.map_err(unavailable)?;
        let _unconditional = self.table.delete(&keys::orphan(key), None).await?;
        Ok(())
    }
}

/// `None` when the session has no name that an upload can have.
fn transaction(adoption: &Adoption<'_>, before: Option<&str>) -> Option<Transaction> {
    let Adoption {
        session,
        location,
        digest,
        alias,
        size,
    } = *adoption;
    let mut transaction = Transaction::default();
    let upload = keys::upload(&session.repository, &session.id)?;
    let is_open = "attribute_exists(#pk) AND attribute_not_exists(#ended) \
                   AND attribute_not_exists(#adopted)";
    let adopt = Expression::new("SET #adopted = :digest, #key = :key REMOVE #states")
        .with(":digest", text(digest))
        .with(":key", text(location));
    transaction.update(&upload, adopt, Some(Expression::new(is_open)));
    put_blob(digest, location, size, before, &mut transaction);
    put_link(&session.repository, digest, alias, &mut transaction);
    Some(transaction)
}

/// Whether all digests that begin with `shard` come before `after`, or are it.
fn is_behind(after: &str, shard: &str) -> bool {
    let last_of_shard = format!("sha256:{shard}~");
    *last_of_shard < *after
}

fn stored(row: &Row) -> Result<StoredBlob, Error> {
    Ok(StoredBlob {
        digest: row.parsed("sk")?,
        modified: row.moment("modified")?,
        location: row.text("key")?.to_owned(),
    })
}
