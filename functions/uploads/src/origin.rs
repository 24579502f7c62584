//! The upload server's routes: going on with an upload by its token, wherever it was begun.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use http::Uri;
use roadstead_api::extract::{Query, UploadId};
use roadstead_api::{Api, Error, RegistryOrigin, UploadState, UploadToken, authorized};
use roadstead_auth::Everybody;
use roadstead_oci::ErrorCode;
use time::OffsetDateTime;
use tower::ServiceExt;

use crate::rest::drained;

/// `/_uploads/<id>?token=...`: end-5, 6, 13 and 14 for who holds the token, with an
/// `Authorization` header or without. Uploads are begun elsewhere.
pub fn origin_router(api: Api) -> Router {
    let one = get(forward).patch(forward).put(forward).delete(forward);
    let routes = Router::new().route("/_uploads/{id}", one);
    authorized(routes, api).layer(from_fn(drained))
}

/// What the token permits is what the routes below `/v2/` do for its repository.
async fn forward(
    State(api): State<Api>,
    UploadId(id): UploadId,
    query: Query,
    mut request: Request,
) -> Result<Response, Error> {
    let secret = &api.options.secret;
    let now = OffsetDateTime::now_utc();
    let token = UploadToken::verify(query.get("token"), secret, &id, now)?;
    let state = UploadState::new(&token.repository, &id, token.offset, token.started_at);
    let uri = below_v2(&token, &state.sign(secret), request.uri().query());
    *request.uri_mut() = uri.ok_or_else(|| Error::new(ErrorCode::Unknown, "no URL"))?;
    let extensions = request.extensions_mut();
    extensions.insert(RegistryOrigin(token.registry));
    // Who may push was asked where the token was given.
    let api = api.with_access(Arc::new(Everybody));
    match crate::routes(api).oneshot(request).await {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

/// The query stays as it is but for what says which upload it is.
fn below_v2(token: &UploadToken, state: &str, query: Option<&str>) -> Option<Uri> {
    let name = token.repository.as_str().replace('/', "%2F");
    let mut uri = format!("/v2/{name}/blobs/uploads/{}?_state={state}", token.id);
    let pairs = query.unwrap_or_default().split('&');
    for pair in pairs.filter(|pair| !pair.starts_with("token=") && !pair.starts_with("_state=")) {
        uri.push('&');
        uri.push_str(pair);
    }
    uri.parse().ok()
}
