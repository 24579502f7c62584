//! Uploads: begun, grown by any process, finished into a blob.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use roadstead_metadata::{Adoption, HashState, UploadBytes, UploadSession};
use roadstead_oci::{Algorithm, Digest, Sha256State};
use roadstead_storage::{Apart, ByteRange, Content, Key, Upload};
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::Error;
use crate::ingest::{Hashes, TransportError, ingest};
use crate::middleware::Change;
use crate::registry::{Parts, Repository};

/// The uploads of one repository.
#[derive(Clone, Copy, Debug)]
pub struct Uploads<'a>(pub(crate) Repository<'a>);

/// An upload in the hands of one request: no other can change it meanwhile.
#[derive(Debug)]
pub struct OpenUpload<'a> {
    repository: Repository<'a>,
    session: UploadSession,
    upload: Box<dyn Upload>,
    /// Whether what is known of it is noted with its bytes, and nowhere else.
    is_noted: bool,
    hashes: Option<Hashes>,
}

impl<'a> Uploads<'a> {
    /// Begins an upload. Nothing has to be sent to it; purging takes it away in the end.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] in a read-only registry.
    pub async fn begin(self) -> Result<UploadSession, Error> {
        let parts = self.0.parts();
        parts.policy.permit_write()?;
        let _permit = self.0.permit(&Change::Upload).await?;
        let session = UploadSession {
            repository: self.0.name.clone(),
            id: Uuid::now_v7().to_string(),
            started_at: OffsetDateTime::now_utc(),
        };
        parts.metadata.begin(&session).await?;
        Ok(session)
    }

    /// Takes hold of an upload; when another request has it, waits a few seconds for that one to
    /// end, as it does soon after its client went away.
    ///
    /// # Errors
    ///
    /// [`Error::UploadUnknown`], [`Error::UploadBusy`], or [`Error::ReadOnly`] in a read-only
    /// registry.
    pub async fn open(self, id: &str) -> Result<OpenUpload<'a>, Error> {
        let parts = self.0.parts();
        parts.policy.permit_write()?;
        let _permit = self.0.permit(&Change::Upload).await?;
        match parts.metadata.noted_upload(self.0.name, id) {
            Some(key) => self.open_noted(id, &Key::new(&key)?).await,
            None => self.open_recorded(id).await,
        }
    }

    /// Finishes the upload of which this is an [`OpenUpload::memo`], without asking the store for
    /// it. `false` for what is no memo, or when the upload is no longer so: then it is to be opened
    /// and finished, and nothing was refused.
    ///
    /// # Errors
    ///
    /// [`Error::ReadOnly`] in a read-only registry.
    pub async fn finish_by_memo(
        self,
        id: &str,
        memo: &str,
        expected: &Digest,
    ) -> Result<bool, Error> {
        // Otherwise whoever opens the upload asks for permission.
        let Some(mut upload) = self.recall(id, memo).await? else {
            return Ok(false);
        };
        self.0.parts().policy.permit_write()?;
        let _permit = self.0.permit(&Change::Upload).await?;
        let known = upload.known_digests(expected.algorithm()).await?;
        if known.is_none_or(|(_, actual)| actual != *expected) {
            return Ok(false);
        }
        match upload.finish(expected).await {
            Err(Error::UploadBusy | Error::UploadUnknown) => Ok(false),
            finished => finished.map(|()| true),
        }
    }

    async fn recall(self, id: &str, memo: &str) -> Result<Option<OpenUpload<'a>>, Error> {
        let parts = self.0.parts();
        let noted = parts.driver.noted_uploads();
        let key = parts.metadata.noted_upload(self.0.name, id);
        let (Some(noted), Some(key)) = (noted, key) else {
            return Ok(None);
        };
        let Some(upload) = noted.recall(&Key::new(&key)?, memo).await else {
            return Ok(None);
        };
        let notes = upload.notes();
        let session = notes.and_then(|notes| UploadSession::noted(self.0.name, id, &notes.upload));
        Ok(session.map(|session| self.opened(session, upload, true)))
    }

    /// Opens an upload of which the store of metadata keeps a record.
    async fn open_recorded(self, id: &str) -> Result<OpenUpload<'a>, Error> {
        let parts = self.0.parts();
        let session = self.session(id).await?;
        let key = Key::new(&parts.metadata.upload_location(&session))?;
        let upload = self.hold(&key).await?;
        // The one who had it may have ended it: then there is nothing to go on with. What lies at
        // the key may be a blob by now, which only the metadata knows.
        if let Err(error) = self.session(id).await {
            if matches!(error, Error::UploadUnknown) {
                parts.metadata.end(self.0.name, id).await?;
            }
            return Err(error);
        }
        Ok(self.opened(session, upload, false))
    }

    /// Opens an upload whose bytes bring along what is known of it, or one of which a registry
    /// has kept a record that notes nothing.
    async fn open_noted(self, id: &str, key: &Key) -> Result<OpenUpload<'a>, Error> {
        let upload = match self.hold(key).await {
            // Whoever has it may only be waiting for a store that does not answer.
            Err(Error::UploadBusy) => {
                self.session(id).await?;
                return Err(Error::UploadBusy);
            }
            upload => upload?,
        };
        let session = upload.notes();
        let session =
            session.and_then(|notes| UploadSession::noted(self.0.name, id, &notes.upload));
        match session {
            Some(session) => Ok(self.opened(session, upload, true)),
            None => Ok(self.opened(self.session(id).await?, upload, false)),
        }
    }

    fn opened(
        self,
        session: UploadSession,
        upload: Box<dyn Upload>,
        is_noted: bool,
    ) -> OpenUpload<'a> {
        OpenUpload {
            repository: self.0,
            session,
            upload,
            is_noted,
            hashes: None,
        }
    }

    async fn session(self, id: &str) -> Result<UploadSession, Error> {
        let session = self.0.parts().metadata.upload(self.0.name, id).await?;
        session.ok_or(Error::UploadUnknown)
    }

    async fn hold(self, key: &Key) -> Result<Box<dyn Upload>, Error> {
        let Parts {
            driver, metadata, ..
        } = self.0.parts();
        const PATIENCE: Duration = Duration::from_secs(5);
        const PAUSE: Duration = Duration::from_millis(20);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let upload = match metadata.adopts_in_place() {
                true => driver.upload_apart(key).await,
                false => driver.upload(key).await,
            };
            match upload {
                Err(roadstead_storage::Error::Busy(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(PAUSE).await;
                }
                upload => return Ok(upload?),
            }
        }
    }
}

impl OpenUpload<'_> {
    /// What it is and when it was begun.
    pub fn session(&self) -> &UploadSession {
        &self.session
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.upload.size()
    }

    /// What [`Uploads::finish_by_memo`] can finish it by in any process, if the storage says that:
    /// [`Upload::memo`], of the bytes that were made to survive last.
    pub async fn memo(&self) -> Option<String> {
        self.upload.memo().await.filter(|_| self.is_noted)
    }

    /// Appends `body`, computing the digest on the way, and `also` another one when these are
    /// the first bytes. Memory is bounded whatever the size.
    ///
    /// # Errors
    ///
    /// [`Error::BodyBroken`] when the body ends in an error: the bytes before it are kept.
    pub async fn append(
        &mut self,
        body: impl Stream<Item = Result<Bytes, TransportError>> + Send,
        also: Option<Algorithm>,
    ) -> Result<(), Error> {
        let known = self.known_hashes(also).await?;
        let is_known = known.is_some();
        let hashes = known.unwrap_or_else(|| Hashes::new(None));
        let ingested = ingest(self.upload.as_mut(), hashes, body).await;
        let (hashes, ended) = self.unless_ended(ingested).await?;
        self.hashes = is_known.then_some(hashes);
        ended
    }

    /// Makes what came so far survive a crash, and lets another request, process or registry go
    /// on from here without reading it again.
    pub async fn checkpoint(&mut self) -> Result<(), Error> {
        let state = self.hashes.as_ref().and_then(Hashes::state);
        if self.is_noted {
            if let Some(state) = state {
                let state = self.hash_state(state);
                self.upload.note_bytes(state.note());
            }
            return Ok(self.upload.sync().await?);
        }
        let synced = self.upload.sync().await.map_err(Error::from);
        self.unless_ended(synced).await?;
        let Some(state) = state else {
            // Nothing is kept that could tell whether the upload is still there.
            let session = self.repository.uploads().session(&self.session.id);
            return session.await.map(drop);
        };
        let state = self.hash_state(state);
        let metadata = &self.repository.parts().metadata;
        let saved = metadata.save_hash_state(&self.session, &state).await;
        self.unless_ended(saved.map_err(Error::from)).await
    }

    /// Ends the upload: its bytes become the blob `expected` of the repository. Durable on
    /// return.
    ///
    /// # Errors
    ///
    /// [`Error::DigestMismatch`] when the bytes are something else; the upload is gone then, as
    /// no further byte could mend it.
    pub async fn finish(mut self, expected: &Digest) -> Result<(), Error> {
        let algorithm = expected.algorithm();
        let known = self.known_digests(algorithm).await?;
        if let Some((_, actual)) = known.as_ref().filter(|(_, actual)| actual != expected) {
            return self.refuse(expected, actual.clone()).await;
        }
        if self.repository.parts().metadata.adopts_in_place() {
            return self.finish_apart(expected, known).await;
        }
        let is_committed = known.is_none();
        let (canonical, actual) = match known {
            Some(digests) => digests,
            None => {
                self.upload.commit().await?;
                self.stored_digests(algorithm, &self.at_its_key()?).await?
            }
        };
        if actual != *expected {
            return self.refuse(expected, actual).await;
        }
        if let Err(error) = self.become_content(&canonical, is_committed).await {
            return Err(self.lost_to_another(error).await);
        }
        let metadata = &self.repository.parts().metadata;
        let name = self.repository.name;
        let alias = (canonical != *expected).then_some(expected);
        let recent = &self.repository.parts().recent;
        let (size, since) = (self.upload.size(), recent.now());
        metadata.link(name, &canonical, alias).await?;
        recent.link_blob(name, [&canonical, expected], size, since);
        self.forget().await
    }

    /// Makes the bytes the content of `digest`.
    async fn become_content(&mut self, digest: &Digest, is_committed: bool) -> Result<(), Error> {
        let metadata = &self.repository.parts().metadata;
        let mut bytes = Uploaded(self.upload.as_mut());
        if metadata.take_in(digest, &mut bytes).await? {
            return Ok(());
        }
        if !is_committed {
            self.upload.commit().await?;
        }
        let own = self.at_its_key()?.key;
        let adoption = Adoption {
            session: &self.session,
            location: own.as_str(),
            digest,
            alias: None,
            size: self.upload.size(),
        };
        Ok(metadata.adopt(&adoption).await?)
    }

    /// The same where content is adopted in place: first it lies where nobody else writes, and
    /// then it is a blob by one transaction.
    async fn finish_apart(
        mut self,
        expected: &Digest,
        known: Option<(Digest, Digest)>,
    ) -> Result<(), Error> {
        let size = self.upload.size();
        let committed = self.upload.commit_apart().await.map_err(Error::from);
        let committed = self.unless_ended(committed).await?;
        let (canonical, actual) = match known.filter(|_| committed.is_certain) {
            Some(digests) => digests,
            None => {
                self.stored_digests(expected.algorithm(), &committed)
                    .await?
            }
        };
        if actual != *expected {
            return self.refuse(expected, actual).await;
        }
        let Parts {
            metadata, recent, ..
        } = self.repository.parts();
        let since = recent.now();
        let adoption = Adoption {
            session: &self.session,
            location: committed.key.as_str(),
            digest: &canonical,
            alias: (canonical != *expected).then_some(expected),
            size,
        };
        let adopted = metadata.adopt(&adoption).await.map_err(Error::from);
        self.unless_ended(adopted).await?;
        recent.link_blob(self.repository.name, [&canonical, expected], size, since);
        // Purging would delete it as well.
        if let Err(error) = self.upload.cancel().await {
            tracing::warn!(upload = %self.session.id, %error, "what is left where an upload grew stays until it is purged");
        }
        Ok(())
    }

    /// The bytes that were committed where they grew.
    fn at_its_key(&self) -> Result<Apart, Error> {
        let metadata = &self.repository.parts().metadata;
        Ok(Apart {
            key: Key::new(&metadata.upload_location(&self.session))?,
            is_certain: true,
        })
    }

    /// The state of the hash of all bytes so far.
    fn hash_state(&self, state: Sha256State) -> HashState {
        HashState {
            offset: self.size(),
            state,
            identity: self.upload.identity().filter(|_| !self.is_noted),
        }
    }

    /// What is wrong when the upload cannot become a blob: another process may have ended it.
    async fn lost_to_another(&self, error: Error) -> Error {
        match self.repository.uploads().session(&self.session.id).await {
            Err(Error::UploadUnknown) => Error::UploadUnknown,
            _ => error,
        }
    }

    /// Says what it means that another process has got in the way: it may have ended the upload.
    async fn unless_ended<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        if !matches!(outcome, Err(Error::UploadBusy)) {
            return outcome;
        }
        self.repository.uploads().session(&self.session.id).await?;
        outcome
    }

    async fn refuse(self, expected: &Digest, actual: Digest) -> Result<(), Error> {
        self.cancel().await?;
        let expected = expected.clone();
        Err(Error::DigestMismatch { expected, actual })
    }

    /// Ends the upload and forgets its bytes.
    pub async fn cancel(mut self) -> Result<(), Error> {
        self.forget().await
    }

    /// Where there is a record, the metadata deletes the bytes: another process may have made them
    /// a blob just now.
    async fn forget(&mut self) -> Result<(), Error> {
        if self.is_noted {
            return Ok(self.upload.cancel().await?);
        }
        let metadata = &self.repository.parts().metadata;
        metadata.end(self.repository.name, &self.session.id).await?;
        Ok(())
    }

    /// The canonical digest of all bytes and the one by `algorithm`, if they are known without
    /// reading the bytes again.
    async fn known_digests(
        &mut self,
        algorithm: Algorithm,
    ) -> Result<Option<(Digest, Digest)>, Error> {
        let Some(hashes) = self.known_hashes(Some(algorithm)).await? else {
            return Ok(None);
        };
        let (canonical, other) = hashes.finish();
        let wanted = match algorithm {
            Algorithm::Sha256 => Some(canonical.clone()),
            _ => other.filter(|other| other.algorithm() == algorithm),
        };
        Ok(wanted.map(|wanted| (canonical, wanted)))
    }

    /// The same, from the bytes themselves: they can be read once they are committed.
    async fn stored_digests(
        &self,
        algorithm: Algorithm,
        committed: &Apart,
    ) -> Result<(Digest, Digest), Error> {
        let (hashes, offset) = match algorithm {
            Algorithm::Sha256 if committed.is_certain => self.last_state().await?,
            _ => None,
        }
        .unwrap_or_else(|| (Hashes::new(Some(algorithm)), 0));
        let hashes = self.read_from(&committed.key, hashes, offset).await?;
        let (canonical, other) = hashes.finish();
        let wanted = other.unwrap_or_else(|| canonical.clone());
        Ok((canonical, wanted))
    }

    /// The digests of the bytes so far, `also` another one when there are none yet; `None` when
    /// bytes came of which no state was kept.
    async fn known_hashes(&mut self, also: Option<Algorithm>) -> Result<Option<Hashes>, Error> {
        if let Some(hashes) = self.hashes.take() {
            return Ok(Some(hashes));
        }
        let last = self.last_state().await?;
        Ok(match self.size() {
            0 => Some(Hashes::new(also)),
            size => last.and_then(|(hashes, offset)| (offset == size).then_some(hashes)),
        })
    }

    /// The last state that was kept of these bytes and no others, and of how many it is.
    async fn last_state(&self) -> Result<Option<(Hashes, u64)>, Error> {
        let metadata = &self.repository.parts().metadata;
        let kept = match self.upload.notes().filter(|_| self.is_noted) {
            Some(notes) => notes.bytes.as_deref().and_then(HashState::noted),
            None => metadata.hash_state(&self.session, self.size()).await?,
        };
        let identity = self.upload.identity();
        let kept = kept.filter(|kept| kept.identity.is_none() || kept.identity == identity);
        let kept = kept.filter(|kept| kept.offset <= self.size());
        Ok(kept.and_then(|kept| Some((Hashes::resume(&kept.state).ok()?, kept.offset))))
    }

    async fn read_from(&self, key: &Key, mut hashes: Hashes, offset: u64) -> Result<Hashes, Error> {
        /// How many bytes are read in one go.
        const STEP: u64 = 4 * 1024 * 1024;
        let parts = self.repository.parts();
        let mut offset = offset;
        while offset < self.size() {
            let length = STEP.min(self.size() - offset);
            let range = ByteRange {
                offset,
                length: Some(length),
            };
            let object = match parts.driver.read(key, range).await {
                // They were there: another process has taken them, and is about to end this.
                Err(roadstead_storage::Error::NotFound(_)) => return Err(Error::UploadBusy),
                object => object?,
            };
            hashes = hashed(hashes, object.content).await?;
            offset += length;
        }
        Ok(hashes)
    }
}

/// The bytes of an upload as the metadata sees them.
struct Uploaded<'a>(&'a mut dyn Upload);

#[async_trait]
impl UploadBytes for Uploaded<'_> {
    async fn commit_as(&mut self, location: &str) -> Result<(), roadstead_metadata::Error> {
        let committed = async { self.0.commit_as(&Key::new(location)?).await };
        committed.await.map_err(|error| match error {
            // Another process has it, which may be about to end the upload.
            roadstead_storage::Error::NotFound(_) | roadstead_storage::Error::Busy(_) => {
                roadstead_metadata::Error::Busy
            }
            error => roadstead_metadata::Error::Unavailable(Box::new(error)),
        })
    }
}

/// Adds stored content to digests, a few MiB at the most.
pub(crate) async fn hashed(mut hashes: Hashes, content: Content) -> Result<Hashes, Error> {
    match content {
        Content::Bytes(bytes) => hashes.updated(bytes).await,
        Content::File(range) => {
            use std::os::unix::fs::FileExt;
            let reading = tokio::task::spawn_blocking(move || {
                let length = usize::try_from(range.length).map_err(std::io::Error::other)?;
                let mut bytes = vec![0; length];
                range.file.read_exact_at(&mut bytes, range.offset)?;
                Ok::<_, std::io::Error>(Bytes::from(bytes))
            });
            let bytes = reading
                .await
                .map_err(|panic| Error::Unavailable(panic.into()))?;
            let bytes = bytes.map_err(|error| Error::Unavailable(error.into()))?;
            hashes.updated(bytes).await
        }
        Content::Stream(stream) => {
            let mut stream = stream.map_err(Error::from);
            while let Some(chunk) = stream.next().await {
                hashes = hashes.updated(chunk?).await?;
            }
            Ok(hashes)
        }
    }
}
