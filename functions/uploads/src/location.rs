//! Where an upload goes on, and how far it is: the headers of every answer about one.

use http::header::{CONTENT_LENGTH, LOCATION, RANGE};
use http::{HeaderMap, HeaderName};
use roadstead_api::response::value;
use roadstead_api::{Api, Error, UploadState, UploadToken, Urls};
use roadstead_metadata::UploadSession;
use roadstead_oci::ErrorCode;
use roadstead_registry::OpenUpload;
use time::OffsetDateTime;

pub(crate) const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");

/// The least bytes of a chunk that is worth a request: a hint for clients that choose, smaller
/// chunks are taken as well.
const CHUNK_MIN: u64 = 1024 * 1024;

/// An upload at some number of bytes.
pub(crate) struct Progress {
    session: UploadSession,
    size: u64,
    memo: Option<String>,
}

impl Progress {
    pub(crate) async fn of(upload: &OpenUpload<'_>) -> Self {
        Self {
            session: upload.session().clone(),
            size: upload.size(),
            memo: upload.memo().await,
        }
    }

    /// Of an upload that has no bytes yet.
    pub(crate) fn begun(session: UploadSession) -> Self {
        Self {
            session,
            size: 0,
            memo: None,
        }
    }

    /// `Location` with a fresh state or token, `Range` (which is `0-0` for one byte and for none) and
    /// Distribution's `Docker-Upload-UUID`.
    pub(crate) fn headers(&self, api: &Api, urls: &Urls) -> HeaderMap {
        let last = self.size.saturating_sub(1);
        let mut headers = HeaderMap::with_capacity(5);
        headers.insert(LOCATION, value(&self.location(api, urls)));
        headers.insert(RANGE, value(&format!("0-{last}")));
        headers.insert(UPLOAD_UUID, value(&self.session.id));
        headers
    }

    fn location(&self, api: &Api, urls: &Urls) -> String {
        let UploadSession {
            repository,
            id,
            started_at,
        } = &self.session;
        let secret = &api.options.secret;
        let Some(origin) = &api.upload_origin else {
            let state = UploadState::new(repository, id, self.size, *started_at);
            let state = state.with_memo(self.memo.clone());
            return urls.upload(repository, id, &state.sign(secret));
        };
        let token = UploadToken {
            repository: repository.clone(),
            id: id.clone(),
            offset: self.size,
            started_at: *started_at,
            memo: self.memo.clone(),
            registry: urls.registry_for(origin).to_owned(),
            expires_at: OffsetDateTime::now_utc() + UploadToken::LIFETIME,
        };
        urls.upload_at(origin, id, &token.sign(secret))
    }

    /// The headers of an answer with a status that has a body, which is empty.
    pub(crate) fn headers_of_empty(&self, api: &Api, urls: &Urls) -> HeaderMap {
        let mut headers = self.headers(api, urls);
        headers.insert(CONTENT_LENGTH, value("0"));
        headers.insert(CHUNK_MIN_LENGTH, CHUNK_MIN.into());
        headers
    }

    /// 416 for bytes that do not go on where the upload is, with all that lets the client go on
    /// there.
    pub(crate) fn out_of_order(&self, api: &Api, urls: &Urls) -> Error {
        let detail = format!("the upload has {} bytes", self.size);
        let mut error = Error::new(ErrorCode::RangeInvalid, detail);
        for (name, value) in self.headers(api, urls) {
            if let Some(name) = name {
                error = error.with_header(name, value);
            }
        }
        error
    }
}
