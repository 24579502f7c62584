//! The upload server's routes: going on with an upload by its token, wherever it was begun.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use http::{Method, Uri};
use roadstead_api::extract::{Query, UploadId};
use roadstead_api::{Api, Error, RegistryOrigin, UploadState, UploadToken, open_to_all};
use roadstead_oci::ErrorCode;
use time::OffsetDateTime;
use tower::ServiceExt;

use crate::rest::drained;

/// `/_uploads/<id>?token=...`: end-5, 6, 13 and 14 for who holds the token, with an
/// `Authorization` header or without: the token is the permission. Uploads are begun elsewhere.
pub fn origin_router(api: Api) -> Router {
    let one = get(forward).patch(forward).put(forward).delete(forward);
    let routes = Router::new()
        .route("/_uploads/{id}", one)
        .layer(from_fn(drained))
        .with_state(api);
    open_to_all(routes)
}

/// What the token permits is what the routes below `/v2/` do for its repository.
async fn forward(
    State(api): State<Api>,
    UploadId(id): UploadId,
    query: Query,
    request: Request,
) -> Result<Response, Error> {
    let (mut parts, body) = request.into_parts();
    let entered = api.limits.enter(&parts)?;
    let secret = &api.options.secret;
    let now = OffsetDateTime::now_utc();
    let token = UploadToken::verify(query.get("token"), secret, &id, now)?;
    let admitted = entered.belongs_to(None)?;
    let _upload = match [Method::PATCH, Method::PUT].contains(&parts.method) {
        true => admitted.upload()?,
        false => None,
    };
    let state = UploadState::new(&token.repository, &id, token.offset, token.started_at);
    let state = state.with_memo(token.memo.clone());
    let uri = below_v2(&token, &state.sign(secret), parts.uri.query());
    parts.uri = uri.ok_or_else(|| Error::new(ErrorCode::Unknown, "no URL"))?;
    parts.extensions.insert(RegistryOrigin(token.registry));
    let request = Request::from_parts(parts, body);
    match crate::routes()
        .with_state(api.clone())
        .oneshot(request)
        .await
    {
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
