//! Pushing.

use std::collections::BTreeSet;
use std::time::SystemTime;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use roadstead_metadata::{Error, ManifestPush, TagStore};
use roadstead_oci::{Digest, Tag};
use uuid::Uuid;

use crate::catalog::Known;
use crate::dynamodb::{DynamoDb, unavailable};
use crate::expression::Expression;
use crate::keys::{self, COPIED, INLINE, TAGS_AT_ONCE};
use crate::referrers::edge;
use crate::row::{Row, binary, moment, text};
use crate::table::{ATTEMPTS, Contention, Outcome, Transaction};

impl DynamoDb {
    /// Gives what the row of the manifest names the push by, until somebody else pushes it.
    pub(super) async fn push(&self, push: &ManifestPush) -> Result<String, Error> {
        self.enlist(&push.repository, Known::Manifests).await?;
        // Fixed ones first: of two pushes with the same ones, one finds them taken at once.
        let others: BTreeSet<&Tag> = push.tags.iter().collect();
        let others = others.into_iter().filter(|tag| !push.fixed.contains(tag));
        let tags: Vec<&Tag> = push.fixed.iter().chain(others).collect();
        let (first, rest) = tags.split_at(tags.len().min(TAGS_AT_ONCE));
        for _ in 0..ATTEMPTS {
            let id = Uuid::new_v4().to_string();
            if self.push_manifest(push, first, &id).await? == Outcome::Done
                && self.push_tags(push, rest).await? == Outcome::Done
            {
                return Ok(id);
            }
            self.check_fixed(push).await?;
        }
        Err(Error::Unavailable(Box::new(Contention)))
    }

    /// Whether it is because of a fixed tag that a push is refused.
    async fn check_fixed(&self, push: &ManifestPush) -> Result<(), Error> {
        for tag in &push.fixed {
            let current = self.tag(&push.repository, tag).await?;
            if current.is_some_and(|current| current != push.manifest.digest) {
                return Err(Error::TagTaken(tag.clone()));
            }
        }
        Ok(())
    }

    /// The manifest and all that comes with it. Refused when its content was stored by another
    /// push meanwhile, or a fixed tag points elsewhere.
    async fn push_manifest(
        &self,
        push: &ManifestPush,
        tags: &[&Tag],
        id: &str,
    ) -> Result<Outcome, Error> {
        let (name, manifest) = (&push.repository, &push.manifest);
        let mut transaction = Transaction::default();
        transaction.update(
            &keys::revision(name, &manifest.digest),
            revision(push, id),
            None,
        );
        let row = reference(push, &keys::by_digest(name, &manifest.digest), INLINE);
        if !row.has("bytes") {
            self.store(push, &mut transaction).await?;
        }
        transaction.put(row, None);
        if let Some(alias) = &push.alias {
            let row = Row::new(&keys::revision(name, alias));
            transaction.put(row.with("digest", text(&manifest.digest)), None);
            transaction.put(reference(push, &keys::by_digest(name, alias), 0), None);
        }
        if let Some(referrer) = &push.referrer {
            transaction.put(edge(name, referrer), None);
        }
        put_tags(push, tags, &mut transaction);
        self.table.commit(transaction).await
    }

    /// The tags for which there was no room. Refused when the manifest was deleted meanwhile.
    async fn push_tags(&self, push: &ManifestPush, tags: &[&Tag]) -> Result<Outcome, Error> {
        let revision = keys::revision(&push.repository, &push.manifest.digest);
        for tags in tags.chunks(TAGS_AT_ONCE) {
            let mut transaction = Transaction::default();
            let update = Expression::new("SET #version = :version");
            let update = update.with(":version", text(Uuid::new_v4()));
            transaction.update(&revision, update, Some(Expression::is_there()));
            put_tags(push, tags, &mut transaction);
            if self.table.commit(transaction).await? == Outcome::Refused {
                return Ok(Outcome::Refused);
            }
        }
        Ok(Outcome::Done)
    }

    /// Stores bytes that are too many for a row where blobs lie. Where they lie already they stay,
    /// as that may be where another registry looks for them. Until the transaction makes new ones
    /// the content of their digest, they are an orphan.
    async fn store(&self, push: &ManifestPush, transaction: &mut Transaction) -> Result<(), Error> {
        let manifest = &push.manifest;
        let before = self.table.get(&keys::blob(&manifest.digest)).await?;
        if let Some(row) = &before
            && self.has_bytes(row, &manifest.bytes).await?
        {
            let renew = Expression::new("SET #modified = :now");
            let renew = renew.with(":now", moment(SystemTime::now()));
            let is_there = Some(lies_at(row.text("key")?));
            transaction.update(&keys::blob(&manifest.digest), renew, is_there);
            return Ok(());
        }
        let key = keys::content_of_manifest(&Uuid::new_v4().to_string());
        self.table
            .put(orphan(&key), Expression::is_absent())
            .await
            .map(drop)?;
        let written = self.contents.write(&key, manifest.bytes.clone()).await;
        written.map_err(unavailable)?;
        let is_spared = "attribute_exists(#pk) AND attribute_not_exists(#doomed)";
        transaction.delete(&keys::orphan(&key), Some(Expression::new(is_spared)));
        let size = manifest.bytes.len() as u64;
        let before = before.as_ref().map(|row| row.text("key")).transpose()?;
        put_blob(&manifest.digest, &key, size, before, transaction);
        Ok(())
    }

    /// Whether the content of a blob's row is there, and is `bytes`.
    async fn has_bytes(&self, row: &Row, bytes: &Bytes) -> Result<bool, Error> {
        if row.number::<usize>("size")? != bytes.len() {
            return Ok(false);
        }
        let content = self.contents.read(row.text("key")?).await;
        Ok(content.map_err(unavailable)?.as_ref() == Some(bytes))
    }
}

/// Makes the content at `key` that of `digest` in place of that at `before`, which is to be the
/// one there.
pub(crate) fn put_blob(
    digest: &Digest,
    key: &str,
    size: u64,
    before: Option<&str>,
    transaction: &mut Transaction,
) {
    let row = Row::new(&keys::blob(digest))
        .with("key", text(key))
        .with("size", crate::row::number(size))
        .with("modified", moment(SystemTime::now()));
    let condition = match before {
        None => Expression::is_absent(),
        Some(before) => lies_at(before),
    };
    transaction.put(row, Some(condition));
    if let Some(before) = before {
        transaction.put(orphan(before), None);
    }
}

/// A blob's content is that at `key`.
pub(crate) fn lies_at(key: &str) -> Expression {
    Expression::new("#key = :key").with(":key", text(key))
}

/// From now on no row points to the content at `key`.
pub(crate) fn orphan(key: &str) -> Row {
    Row::new(&keys::orphan(key)).with("since", moment(SystemTime::now()))
}

/// A push is also its first version; the version before is its own of a manifest that was not
/// there.
fn revision(push: &ManifestPush, id: &str) -> Expression {
    let mut set = "SET #digest = :digest, #modified = :now, #push = :push, #version = :push, \
                   #before = if_not_exists(#version, :push)"
        .to_owned();
    let mut values = vec![
        (":digest", text(&push.manifest.digest)),
        (":now", moment(SystemTime::now())),
        (":push", text(id)),
    ];
    if let Some(referrer) = &push.referrer {
        set += ", #subject = :subject";
        values.push((":subject", text(&referrer.subject)));
    }
    if let Some(alias) = &push.alias {
        set += " ADD #aliases :alias";
        values.push((":alias", AttributeValue::Ss(vec![alias.to_string()])));
    }
    let add = |update: Expression, (name, value)| update.with(name, value);
    values.into_iter().fold(Expression::new(set), add)
}

/// What `key` refers to, with the bytes if they are at most `most`.
fn reference(push: &ManifestPush, key: &keys::Key, most: usize) -> Row {
    let manifest = &push.manifest;
    let row = Row::new(key)
        .with("digest", text(&manifest.digest))
        .with("type", text(&manifest.media_type));
    if manifest.bytes.len() > most {
        return row;
    }
    row.with("bytes", binary(&manifest.bytes))
}

fn put_tags(push: &ManifestPush, tags: &[&Tag], transaction: &mut Transaction) {
    let name = &push.repository;
    for tag in tags {
        // What it pointed to, if it did: a push that is refused after all lets it do so again.
        let point = "SET #before = if_not_exists(#digest, :digest), #digest = :digest";
        let point = Expression::new(point).with(":digest", text(&push.manifest.digest));
        let is_free = push.fixed.contains(*tag).then(|| {
            let is_free = Expression::new("attribute_not_exists(#pk) OR #digest = :digest");
            is_free.with(":digest", text(&push.manifest.digest))
        });
        transaction.update(&keys::tag(name, tag), point, is_free);
        let copy = reference(push, &keys::by_tag(name, tag), COPIED);
        transaction.put(copy, None);
    }
}
