//! Uploads under way: a folder each, which either registry can go on with.
//!
//! Where the driver keeps notes with an upload there are no files beside its bytes: when it was
//! begun, and the state of its hash, are written and read by the calls that write and read these.
//! In a bucket neither registry could go on with the other's uploads anyway, as each knows its
//! multipart uploads in its own way; what Distribution has left there is ended and purged.

use std::time::SystemTime;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_metadata::{Error, HashState, UploadRemains, UploadSession, UploadStore};
use roadstead_oci::{RepositoryName, SHA256_STATE_LENGTH};
use roadstead_storage::{DriverExt, EntryKind, Key, ListOptions};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::layout::{Layout, file, unavailable};
use crate::paths;

#[async_trait]
impl UploadStore for Layout {
    async fn begin(&self, session: &UploadSession) -> Result<(), Error> {
        if let Some(noted) = self.driver.noted_uploads() {
            let key = paths::upload_data(session).map_err(unavailable)?;
            let begun = noted.begin(&key, &session.note()).await;
            return begun.map_err(unavailable);
        }
        let key = paths::upload_started_at(&session.repository, &session.id);
        let write = file(key.map_err(unavailable)?, Bytes::from(session.note()));
        self.write(&[write]).await
    }

    async fn upload(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<UploadSession>, Error> {
        let started_at = self.started_at(repository, id).await?;
        Ok(started_at.map(|started_at| UploadSession {
            repository: repository.clone(),
            id: id.to_owned(),
            started_at,
        }))
    }

    fn noted_upload(&self, repository: &RepositoryName, id: &str) -> Option<String> {
        self.driver.noted_uploads()?;
        let key = paths::upload(repository, id).ok()?.join("data").ok()?;
        Some(key.as_str().to_owned())
    }

    fn upload_location(&self, session: &UploadSession) -> String {
        format!(
            "docker/registry/v2/repositories/{}/_uploads/{}/data",
            session.repository, session.id
        )
    }

    fn upload_root(&self) -> Option<&'static str> {
        Some(paths::ROOT)
    }

    async fn save_hash_state(
        &self,
        session: &UploadSession,
        state: &HashState,
    ) -> Result<(), Error> {
        let states = paths::upload_hash_states(session).map_err(unavailable)?;
        let key = states
            .join(&state.offset.to_string())
            .map_err(unavailable)?;
        let write = file(key, Bytes::copy_from_slice(&state.state));
        self.write(&[write]).await
    }

    async fn hash_state(
        &self,
        session: &UploadSession,
        size: u64,
    ) -> Result<Option<HashState>, Error> {
        let states = paths::upload_hash_states(session).map_err(unavailable)?;
        let names = self.names(&states, ListOptions::ALL).await?;
        let offsets = names.iter().filter_map(|name| name.parse::<u64>().ok());
        let (kept, lost): (Vec<u64>, Vec<u64>) = offsets.partition(|offset| *offset <= size);
        for offset in lost {
            let key = states.join(&offset.to_string()).map_err(unavailable)?;
            self.delete(&key).await?;
        }
        let Some(offset) = kept.into_iter().max() else {
            return Ok(None);
        };
        let key = states.join(&offset.to_string()).map_err(unavailable)?;
        let limit = SHA256_STATE_LENGTH as u64;
        let state = self.driver.try_get(&key, limit).await.ok().flatten();
        let state = state.and_then(|state| state.as_ref().try_into().ok());
        Ok(state.map(|state| HashState {
            offset,
            state,
            identity: None,
        }))
    }

    async fn end(&self, repository: &RepositoryName, id: &str) -> Result<(), Error> {
        let key = paths::upload(repository, id).map_err(unavailable)?;
        self.delete(&key).await?;
        Ok(())
    }

    async fn uploads(&self, repository: &RepositoryName) -> Result<Vec<UploadRemains>, Error> {
        let prefix = paths::uploads(repository).map_err(unavailable)?;
        let mut remains = Vec::new();
        for id in self.names(&prefix, ListOptions::ALL).await? {
            let started_at = match self.started_at(repository, &id).await? {
                Some(started_at) => Some(SystemTime::from(started_at)),
                None => {
                    self.last_written(prefix.join(&id).map_err(unavailable)?)
                        .await?
                }
            };
            remains.push(UploadRemains {
                id,
                started_at,
                is_ended: false,
            });
        }
        Ok(remains)
    }
}

impl Layout {
    async fn started_at(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<OffsetDateTime>, Error> {
        const LONGEST: u64 = 64;
        if let Some(session) = self.noted_session(repository, id).await? {
            return Ok(Some(session.started_at));
        }
        let Ok(key) = paths::upload_started_at(repository, id) else {
            return Ok(None);
        };
        let text = match self.driver.try_get(&key, LONGEST).await {
            Err(roadstead_storage::Error::TooLarge { .. }) => return Ok(None),
            text => text.map_err(unavailable)?,
        };
        let text = text
            .as_deref()
            .and_then(|text| std::str::from_utf8(text).ok());
        Ok(text.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok()))
    }

    /// The session that is noted with the bytes of an upload.
    async fn noted_session(
        &self,
        repository: &RepositoryName,
        id: &str,
    ) -> Result<Option<UploadSession>, Error> {
        let (Some(noted), Some(key)) = (
            self.driver.noted_uploads(),
            self.noted_upload(repository, id),
        ) else {
            return Ok(None);
        };
        let key = Key::new(&key).map_err(unavailable)?;
        let notes = noted.notes(&key).await.map_err(unavailable)?;
        Ok(notes.and_then(|notes| UploadSession::noted(repository, id, &notes.upload)))
    }

    /// When anything below `key` was written last.
    async fn last_written(&self, key: Key) -> Result<Option<SystemTime>, Error> {
        let mut last = None;
        let mut prefixes = vec![key];
        while let Some(prefix) = prefixes.pop() {
            let entries = match self.driver.list(&prefix, ListOptions::ALL).await {
                Ok(entries) => entries,
                Err(roadstead_storage::Error::NotFound(_)) => continue,
                Err(error) => return Err(unavailable(error)),
            };
            for entry in entries {
                let key = prefix.join(&entry.name).map_err(unavailable)?;
                if entry.kind == EntryKind::Prefix {
                    prefixes.push(key);
                    continue;
                }
                let stat = self.driver.try_stat(&key).await.map_err(unavailable)?;
                last = last.max(stat.map(|stat| stat.modified));
            }
        }
        Ok(last)
    }
}
