//! Taking back a push that was refused after all.

use roadstead_metadata::{Error, ManifestPush};

use crate::dynamodb::DynamoDb;
use crate::expression::Expression;
use crate::keys::{self, TAGS_AT_ONCE};
use crate::manifests::delete::{delete_tags, deletion, is_version};
use crate::row::{Row, text};
use crate::table::{ATTEMPTS, Contention, Outcome, Transaction};

impl DynamoDb {
    /// Removes what the push named `id` has stored, unless the manifest was there before or was
    /// pushed again since: then others were told that it is stored.
    pub(super) async fn withdraw(&self, push: &ManifestPush, id: &str) -> Result<(), Error> {
        for _ in 0..ATTEMPTS {
            // The order matters, as in a deletion.
            let revision = keys::revision(&push.repository, &push.manifest.digest);
            let row = self.table.get(&revision).await?;
            let Some(row) = row.filter(|row| is_of(row, id)) else {
                return Ok(());
            };
            if self.take_back(push, &row).await? == Outcome::Done {
                return Ok(());
            }
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    /// Refused when somebody pushes the manifest, or moves one of its tags, meanwhile.
    async fn take_back(&self, push: &ManifestPush, row: &Row) -> Result<Outcome, Error> {
        let (name, digest) = (&push.repository, &push.manifest.digest);
        let tags = self.tags_of(name, digest).await?;
        let (rest, last) = tags.split_at(tags.len().saturating_sub(TAGS_AT_ONCE));
        for tags in rest.chunks(TAGS_AT_ONCE) {
            let version = row.text("version")?;
            let same = Expression::new("SET #version = :version").with(":version", text(version));
            let mut transaction = Transaction::default();
            let revision = keys::revision(name, digest);
            transaction.update(&revision, same, Some(is_version(version)));
            delete_tags(name, digest, tags, &mut transaction);
            if self.table.commit(transaction).await? == Outcome::Refused {
                return Ok(Outcome::Refused);
            }
        }
        let subject = push.referrer.as_ref().map(|referrer| &referrer.subject);
        let mut transaction = deletion(name, digest, subject, row)?;
        delete_tags(name, digest, last, &mut transaction);
        self.table.commit(transaction).await
    }
}

/// Whether the push named `id` is the only one of the manifest.
fn is_of(row: &Row, id: &str) -> bool {
    let is_id = |attribute| row.text(attribute).is_ok_and(|text| text == id);
    is_id("push") && is_id("before")
}
