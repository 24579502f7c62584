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
    detached(async move {
        let mut upload = api.registry.repository(&name).uploads().open(&id).await?;
        check_order(&upload, &state, range, &api, &urls)?;
        append(&mut upload, range, body, None).await?;
        let progress = Progress::of(upload.session(), upload.size());
        let headers = progress.headers_of_empty(&api, &urls);
        Ok((StatusCode::ACCEPTED, headers).into_response())
    })
    .await
}

/// Appends `body` and makes what came survive, whether it came whole or not.
async fn append(
    upload: &mut OpenUpload<'_>,
    range: Option<ChunkRange>,
    body: Body,
    also: Option<Algorithm>,
) -> Result<(), Error> {
    let before = upload.size();
    let appended = upload.append(stream(body), also).await;
    upload.checkpoint().await?;
    appended?;
    check_length(range, upload.size() - before)
}

/// The client's state and its `Content-Range`, if any, must say what the upload has.
///
/// # Errors
///
/// `RANGE_INVALID` with all that the client needs to go on.
pub(crate) fn check_order(
    upload: &OpenUpload<'_>,
    state: &UploadState,
    range: Option<ChunkRange>,
    api: &Api,
    urls: &Urls,
) -> Result<(), Error> {
    let size = upload.size();
    if state.offset() != size || range.is_some_and(|range| range.first != size) {
        return Err(Progress::of(upload.session(), size).out_of_order(api, urls));
    }
    Ok(())
}

/// A body of unknown length must turn out as long as its range.
pub(crate) fn check_length(range: Option<ChunkRange>, received: u64) -> Result<(), Error> {
    if range.is_some_and(|range| range.length() != received) {
        return Err(Error::new(
            ErrorCode::SizeInvalid,
            "the range is not as long as the body",
        ));
    }
    Ok(())
}
