//! The route group `uploads`: every way to push a blob.

mod begin;
mod chunk;
mod content_range;
mod finish;
mod location;
mod origin;
mod rest;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use http::StatusCode;
use roadstead_api::extract::{Name, Query, UploadId};
use roadstead_api::{Api, Error, UploadState, Urls, authorized, detached};

use crate::location::Progress;

pub use origin::origin_router;

/// The routes of the group.
pub fn router(api: Api) -> Router {
    match api.upload_origin {
        None => authorized(routes(), api),
        Some(_) => authorized(routes(), api.clone()).merge(origin_router(api)),
    }
}

fn routes() -> Router<Api> {
    let one = get(status)
        .post(begin::begin)
        .patch(chunk::chunk)
        .put(finish::finish)
        .delete(cancel);
    Router::new()
        .route("/v2/{name}/blobs/uploads/", post(begin::begin))
        .route("/v2/{name}/blobs/uploads/{id}", one)
}

/// end-13: how far the upload is, also for a client that lost its last `Location`.
async fn status(
    State(api): State<Api>,
    Name(name): Name,
    UploadId(id): UploadId,
    urls: Urls,
) -> Result<Response, Error> {
    let upload = api.registry.repository(&name).uploads().open(&id).await?;
    let headers = Progress::of(&upload).await.headers(&api, &urls);
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}

/// end-14: the bytes are forgotten.
async fn cancel(
    State(api): State<Api>,
    Name(name): Name,
    UploadId(id): UploadId,
    query: Query,
) -> Result<Response, Error> {
    UploadState::verify(query.get("_state"), &api.options.secret, &name, &id)?;
    let headers = [(location::UPLOAD_UUID, roadstead_api::response::value(&id))];
    detached(async move {
        let upload = api.registry.repository(&name).uploads().open(&id).await?;
        Ok(upload.cancel().await?)
    })
    .await?;
    Ok((StatusCode::NO_CONTENT, headers).into_response())
}
