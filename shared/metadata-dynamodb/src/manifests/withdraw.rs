//! Taking back a push that was refused after all.

use std::collections::BTreeMap;
use std::time::SystemTime;

use roadstead_metadata::{Error, ManifestPush};
use roadstead_oci::{Digest, RepositoryName, Tag};
use uuid::Uuid;

use crate::dynamodb::DynamoDb;
use crate::expression::Expression;
use crate::keys::{self, COPIED, TAGS_BACK_AT_ONCE};
use crate::manifests::delete::{delete_tags, deletion, is_version};
use crate::row::{Row, binary, moment, text};
use crate::table::{ATTEMPTS, Contention, Outcome, Transaction};
use crate::tags::points_to;

impl DynamoDb {
    /// Removes what the push named `id` has stored, unless the manifest was there before or was
    /// pushed again since: then others were told that it is stored. Tags go back to what they
    /// pointed to, if that is still there.
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

    /// Refused when somebody pushes or deletes one of the manifests, or a tag, meanwhile.
    async fn take_back(&self, push: &ManifestPush, row: &Row) -> Result<Outcome, Error> {
        let (name, digest) = (&push.repository, &push.manifest.digest);
        let tags = self.rows_of_tags_of(name, digest).await?;
        let (rest, last) = tags.split_at(tags.len().saturating_sub(TAGS_BACK_AT_ONCE));
        for tags in rest.chunks(TAGS_BACK_AT_ONCE) {
            let version = row.text("version")?;
            let same = Expression::new("SET #version = :version").with(":version", text(version));
            let mut transaction = Transaction::default();
            let revision = keys::revision(name, digest);
            transaction.update(&revision, same, Some(is_version(version)));
            self.put_back(name, digest, tags, &mut transaction).await?;
            if self.table.commit(transaction).await? == Outcome::Refused {
                return Ok(Outcome::Refused);
            }
        }
        let subject = push.referrer.as_ref().map(|referrer| &referrer.subject);
        let mut transaction = deletion(name, digest, subject, row)?;
        self.put_back(name, digest, last, &mut transaction).await?;
        self.table.commit(transaction).await
    }

    /// Lets tags that point to `digest` point to what they did before, and removes those that
    /// did to nothing, or to what is gone.
    async fn put_back(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        tags: &[Row],
        transaction: &mut Transaction,
    ) -> Result<(), Error> {
        for (before, tags) in by_manifest_before(digest, tags)? {
            let manifest = match before == *digest {
                true => None,
                false => self.table.get(&keys::by_digest(name, &before)).await?,
            };
            let Some(manifest) = manifest else {
                delete_tags(name, digest, &tags, transaction);
                continue;
            };
            // As a push would: garbage collection must not take what it has found without a tag.
            let renew = Expression::new("SET #version = :version, #modified = :now")
                .with(":version", text(Uuid::new_v4()))
                .with(":now", moment(SystemTime::now()));
            let is_there = Some(Expression::is_there());
            transaction.update(&keys::revision(name, &before), renew, is_there);
            for tag in &tags {
                let row = Row::new(&keys::tag(name, tag)).with("digest", text(&before));
                transaction.put(row, Some(points_to(digest)));
                transaction.put(copy(&manifest, &keys::by_tag(name, tag))?, None);
            }
        }
        Ok(())
    }
}

/// Whether the push named `id` is the only one of the manifest.
fn is_of(row: &Row, id: &str) -> bool {
    let is_id = |attribute| row.text(attribute).is_ok_and(|text| text == id);
    is_id("push") && is_id("before")
}

/// Tags that point to `digest` by what they pointed to before; to `digest` itself if they are new.
fn by_manifest_before(digest: &Digest, tags: &[Row]) -> Result<BTreeMap<Digest, Vec<Tag>>, Error> {
    let mut found: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
    for row in tags {
        let before = match row.has("before") {
            true => row.parsed("before")?,
            false => digest.clone(),
        };
        found.entry(before).or_default().push(row.parsed("sk")?);
    }
    Ok(found)
}

/// The row of a tag as it is pulled, from that of its manifest.
fn copy(manifest: &Row, key: &keys::Key) -> Result<Row, Error> {
    let row = Row::new(key)
        .with("digest", text(manifest.text("digest")?))
        .with("type", text(manifest.text("type")?));
    Ok(match manifest.bytes("bytes") {
        Some(bytes) if bytes.len() <= COPIED => row.with("bytes", binary(&bytes)),
        _ => row,
    })
}
