//! end-5: appending to an upload, a chunk or the whole blob.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use roadstead_api::extract::{Name, Query, UploadId};
use roadstead_api::{Api, Error, UploadState, Urls, detached};
use roadstead_oci::{Algorithm, ErrorCode};
use roadstead_registry::OpenUpload;

use crate::begin::stream;
use crate::content_range::ChunkRange;
use crate::location::Progress;

/// Appends the body. When it breaks off, what came is kept, and the client can ask how much.
pub(crate) async fn chunk(
    State(api): State<Api>,
    Name(name): Name,
    UploadId(id): UploadId,
    query: Query,
    urls: Urls,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let state = UploadState::verify(query.get("_state"), &api.options.secret, &name, &id)?;
    let range = ChunkRange::of(&headers)?;
    let chunk = Chunk { state, range, body };
    detached(async move {
        let mut upload = api.registry.repository(&name).uploads().open(&id).await?;
        chunk.append(&mut upload, None, (&api, &urls)).await?;
        upload.checkpoint().await?;
        let headers = Progress::of(&upload).await.headers_of_empty(&api, &urls);
        Ok((StatusCode::ACCEPTED, headers).into_response())
    })
    .await
}

/// The bytes that a request brings, and where it says that they go.
pub(crate) struct Chunk {
    pub(crate) state: UploadState,
    pub(crate) range: Option<ChunkRange>,
    pub(crate) body: Body,
}

impl Chunk {
    /// Appends the bytes, hashing them with `also` besides. What came survives when they do not
    /// come whole; otherwise that is left to the caller.
    ///
    /// # Errors
    ///
    /// `RANGE_INVALID` with all that the client needs to go on, and `SIZE_INVALID` for bytes that
    /// are more or fewer than it says.
    pub(crate) async fn append(
        self,
        upload: &mut OpenUpload<'_>,
        also: Option<Algorithm>,
        (api, urls): (&Api, &Urls),
    ) -> Result<(), Error> {
        let Self { state, range, body } = self;
        let before = upload.size();
        if state.offset() != before || range.is_some_and(|range| range.first != before) {
            return Err(Progress::of(upload).await.out_of_order(api, urls));
        }
        let appended = upload.append(stream(body), also).await;
        let appended = appended.map_err(Error::from);
        let whole = appended.and_then(|()| check_length(range, upload.size() - before));
        if whole.is_err() {
            upload.checkpoint().await?;
        }
        whole
    }
}

/// A body of unknown length must turn out as long as its range.
fn check_length(range: Option<ChunkRange>, received: u64) -> Result<(), Error> {
    if range.is_some_and(|range| range.length() != received) {
        return Err(Error::new(
            ErrorCode::SizeInvalid,
            "the range is not as long as the body",
        ));
    }
    Ok(())
}
