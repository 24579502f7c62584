//! Deleting.

use std::collections::BTreeSet;
use std::time::SystemTime;

use roadstead_metadata::Error;
use roadstead_oci::{Digest, RepositoryName, Tag};

use crate::dynamodb::DynamoDb;
use crate::expression::Expression;
use crate::keys::{self, TAGS_AT_ONCE};
use crate::row::{Row, text};
use crate::table::{ATTEMPTS, Contention, Outcome, Transaction};
use crate::tags::points_to;

impl DynamoDb {
    pub(super) async fn remove_with_tags(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
    ) -> Result<Vec<Tag>, Error> {
        let mut removed = BTreeSet::new();
        for _ in 0..ATTEMPTS {
            // The order matters: a tag that comes after this read changes the version.
            let row = self.table.get(&keys::revision(name, digest)).await?;
            let Some(row) = row else {
                return Ok(removed.into_iter().collect());
            };
            let tags = self.tags_of(name, digest).await?;
            let (rest, last) = tags.split_at(tags.len().saturating_sub(TAGS_AT_ONCE));
            // A tag that came away meanwhile has kept others that still point here.
            if self.remove_tags(name, digest, rest, &mut removed).await? == Outcome::Refused {
                continue;
            }
            let mut transaction = deletion(name, digest, subject, &row)?;
            delete_tags(name, digest, last, &mut transaction);
            if self.table.commit(transaction).await? == Outcome::Done {
                removed.extend(last.iter().cloned());
                return Ok(removed.into_iter().collect());
            }
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    /// Removes the tags for which there is no room beside the manifest. Refused when one of them
    /// points elsewhere meanwhile; `removed` are those before.
    async fn remove_tags(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        tags: &[Tag],
        removed: &mut BTreeSet<Tag>,
    ) -> Result<Outcome, Error> {
        for tags in tags.chunks(TAGS_AT_ONCE) {
            let mut transaction = Transaction::default();
            delete_tags(name, digest, tags, &mut transaction);
            if self.table.commit(transaction).await? == Outcome::Refused {
                return Ok(Outcome::Refused);
            }
            removed.extend(tags.iter().cloned());
        }
        Ok(Outcome::Done)
    }

    pub(super) async fn remove_untagged(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        subject: Option<&Digest>,
        since: SystemTime,
    ) -> Result<bool, Error> {
        // A push or a tag that comes after this read changes the version.
        let row = self.table.get(&keys::revision(name, digest)).await?;
        let Some(row) = row else {
            return Ok(false);
        };
        if row.moment("modified")? >= since || !self.tags_of(name, digest).await?.is_empty() {
            return Ok(false);
        }
        let transaction = deletion(name, digest, subject, &row)?;
        // Refused means that it was pushed or deleted just now.
        Ok(self.table.commit(transaction).await? == Outcome::Done)
    }
}

/// Removes the manifest if its revision is still `row`, all but its tags.
pub(super) fn deletion(
    name: &RepositoryName,
    digest: &Digest,
    subject: Option<&Digest>,
    row: &Row,
) -> Result<Transaction, Error> {
    let mut transaction = Transaction::default();
    let revision = keys::revision(name, digest);
    transaction.delete(&revision, Some(is_version(row.text("version")?)));
    transaction.delete(&keys::by_digest(name, digest), None);
    for alias in row.set::<Digest>("aliases")? {
        transaction.delete(&keys::revision(name, &alias), None);
        transaction.delete(&keys::by_digest(name, &alias), None);
    }
    let recorded = row.has("subject").then(|| row.parsed("subject"));
    let subjects: BTreeSet<Digest> = recorded
        .transpose()?
        .into_iter()
        .chain(subject.cloned())
        .collect();
    for subject in subjects {
        transaction.delete(&keys::referrer(name, &subject, digest), None);
    }
    Ok(transaction)
}

/// Nobody has pushed the manifest, or a tag of it, since it had this version.
pub(super) fn is_version(version: &str) -> Expression {
    Expression::new("#version = :version").with(":version", text(version))
}

/// Removes tags that still point to `digest`.
pub(super) fn delete_tags(
    name: &RepositoryName,
    digest: &Digest,
    tags: &[Tag],
    transaction: &mut Transaction,
) {
    for tag in tags {
        transaction.delete(&keys::tag(name, tag), Some(points_to(digest)));
        transaction.delete(&keys::by_tag(name, tag), None);
    }
}
