//! Uploads under way: a row each, with the states of its hash.

use std::collections::HashMap;
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use roadstead_metadata::{Error, HashState, UploadRemains, UploadSession, UploadStore};
use roadstead_oci::RepositoryName;
use time::OffsetDateTime;

use crate::catalog::Known;
use crate::dynamodb::{DynamoDb, unavailable};
use crate::expression::Expression;
use crate::keys::{self, Key};
use crate::row::{Row, binary, moment, number, text, yes};
use crate::table::Query;

/// The most states of a hash that a row keeps: the newest.
const STATES: usize = 16;

#[async_trait]
impl UploadStore for DynamoDb {
    async fn begin(&self, session: &UploadSession) -> Result<(), Error> {
        let key = keys::upload(&session.repository, &session.id);
        let key = key.ok_or_else(|| unavailable("no name of an upload".into()))?;
        self.enlist(&session.repository, Known::Something).await?;
        let row = self.session(&key, session.started_at.into());
        let _either_way = self.table.put(row, Expression::is_absent()).await?;
        Ok(())
    }

    async fn upload(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<UploadSession>, Error> {
        let Some(row) = self.upload_row(repository, id).await? else {
            return Ok(None);
        };
        if row.has("ended") || row.has("adopted") || row.moment("expires")? <= SystemTime::now() {
            return Ok(None);
        }
        Ok(Some(UploadSession {
            repository: repository.clone(),
            id: id.to_owned(),
            started_at: OffsetDateTime::from(row.moment("started")?),
        }))
    }

    fn upload_location(&self, session: &UploadSession) -> String {
        keys::growing(&session.id)
    }

    fn adopts_in_place(&self) -> bool {
        true
    }

    fn upload_root(&self) -> Option<&'static str> {
        Some(keys::UPLOADED)
    }

    /// Keeps the newest states only.
    async fn save_hash_state(
        &self,
        session: &UploadSession,
        state: &HashState,
    ) -> Result<(), Error> {
        let key = keys::upload(&session.repository, &session.id).ok_or(Error::Busy)?;
        let offset = state.offset;
        let save = Expression::new(format!("SET #states.#{offset} = :state"));
        let save = save.with(":state", kept(state));
        let is_open = Some(Expression::new("attribute_exists(#states)"));
        let row = self.table.update(&key, save, is_open).await?;
        let row = row.ok_or(Error::Busy)?;
        let mut offsets: Vec<u64> = states(&row)?.into_keys().collect();
        offsets.sort_unstable();
        let older = offsets.len().saturating_sub(STATES);
        self.forget(&key, &offsets[..older]).await
    }

    async fn hash_state(
        &self,
        session: &UploadSession,
        size: u64,
    ) -> Result<Option<HashState>, Error> {
        let Some(key) = keys::upload(&session.repository, &session.id) else {
            return Ok(None);
        };
        let Some(row) = self.table.get(&key).await? else {
            return Ok(None);
        };
        let states = states(&row)?;
        let beyond = states.keys().copied().filter(|offset| *offset > size);
        self.forget(&key, &beyond.collect::<Vec<_>>()).await?;
        let kept = states.into_iter().filter(|(offset, _)| *offset <= size);
        let last = kept.max_by_key(|(offset, _)| *offset);
        Ok(last.and_then(|(offset, kept)| hash_state(offset, &kept)))
    }

    async fn end(&self, repository: &RepositoryName, id: &str) -> Result<(), Error> {
        let Some(key) = keys::upload(repository, id) else {
            return Ok(());
        };
        // From here on the bytes cannot become a blob, so they can go.
        let end = Expression::new("SET #ended = :yes REMOVE #states").with(":yes", yes());
        let is_no_blob = "attribute_exists(#pk) AND attribute_not_exists(#adopted)";
        let is_no_blob = Some(Expression::new(is_no_blob));
        if self.table.update(&key, end, is_no_blob).await?.is_some() {
            let contents = keys::contents_of_upload(id);
            self.contents.delete(&contents).await.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn purge(&self, repository: &RepositoryName, id: &str) -> Result<(), Error> {
        let Some(key) = keys::upload(repository, id) else {
            return Ok(());
        };
        self.end(repository, id).await?;
        let Some(row) = self.table.get(&key).await? else {
            return Ok(());
        };
        if row.has("adopted") {
            let (contents, kept) = (keys::contents_of_upload(id), row.text("key")?);
            let deleted = self.contents.delete_others(&contents, kept).await;
            deleted.map_err(unavailable)?;
        }
        let _unconditional = self.table.delete(&key, None).await?;
        Ok(())
    }

    async fn uploads(&self, repository: &RepositoryName) -> Result<Vec<UploadRemains>, Error> {
        let query = Query::all(keys::uploads(repository));
        let rows = self.table.query(query).await?;
        let remains = rows.iter().map(|row| UploadRemains {
            id: row.name().to_owned(),
            started_at: row.moment("started").ok(),
            is_ended: row.has("adopted") || row.has("ended"),
        });
        Ok(remains.collect())
    }
}

impl DynamoDb {
    fn session(&self, key: &Key, started_at: SystemTime) -> Row {
        let lifetime = self.options.session_lifetime;
        let expires = started_at + lifetime;
        let ttl = (expires + lifetime).duration_since(SystemTime::UNIX_EPOCH);
        Row::new(key)
            .with("started", moment(started_at))
            .with("expires", moment(expires))
            .with("ttl", number(ttl.unwrap_or_default().as_secs()))
            .with("states", AttributeValue::M(HashMap::new()))
    }

    async fn upload_row(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<Row>, Error> {
        match keys::upload(repository, id) {
            Some(key) => self.table.get(&key).await,
            None => Ok(None),
        }
    }

    async fn forget(&self, key: &Key, offsets: &[u64]) -> Result<(), Error> {
        if offsets.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = offsets
            .iter()
            .map(|offset| format!("#states.#{offset}"))
            .collect();
        let forget = Expression::new(format!("REMOVE {}", names.join(", ")));
        let is_open = Some(Expression::new("attribute_exists(#states)"));
        self.table.update(key, forget, is_open).await?;
        Ok(())
    }
}

/// A state as a row keeps it.
fn kept(state: &HashState) -> AttributeValue {
    let mut kept = HashMap::from([("state".to_owned(), binary(&state.state))]);
    if let Some(identity) = &state.identity {
        kept.insert("identity".to_owned(), text(identity));
    }
    AttributeValue::M(kept)
}

fn hash_state(offset: u64, kept: &AttributeValue) -> Option<HashState> {
    let kept = kept.as_m().ok()?;
    let identity = kept.get("identity").and_then(|value| value.as_s().ok());
    Some(HashState {
        offset,
        state: kept.get("state")?.as_b().ok()?.as_ref().try_into().ok()?,
        identity: identity.cloned(),
    })
}

/// The states of a session by their offsets; one that has ended has none.
fn states(row: &Row) -> Result<HashMap<u64, AttributeValue>, Error> {
    let Some(states) = row.get("states") else {
        return Ok(HashMap::new());
    };
    let states = states.as_m().map_err(|_| row.malformed("states"))?;
    let state = |(offset, state): (&String, &AttributeValue)| {
        let offset = offset.parse().map_err(|_| row.malformed("states"))?;
        Ok((offset, state.clone()))
    };
    states.iter().map(state).collect()
}
