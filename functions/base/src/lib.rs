//! The route group `base`: whether this is a registry, whether it is alive, and tokens for it.

mod token;

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{any, get};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{StatusCode, Uri};
use roadstead_api::response::value;
use roadstead_api::{Api, Urls, authorized};

/// The routes of the group.
pub fn router(api: Api) -> Router {
    let routes = Router::new()
        .route("/", any(alive))
        .route("/v2", any(to_base))
        .route("/v2/", any(base))
        .merge(tokens());
    authorized(routes, api)
}

/// The token server alone.
pub fn token_router(api: Api) -> Router {
    authorized(tokens().route("/", any(alive)), api)
}

fn tokens() -> Router<Api> {
    Router::new()
        .route("/auth/token", get(token::fetch).post(token::exchange))
        .route("/auth/keys", get(token::keys))
}

/// Load balancers ask here: 200 while requests are served.
async fn alive() -> impl IntoResponse {
    [(CACHE_CONTROL, "no-cache")]
}

/// end-1: this is a registry.
async fn base() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], "{}")
}

/// Clients that leave the slash out are shown the way, as Distribution does.
async fn to_base(uri: Uri, urls: Urls) -> impl IntoResponse {
    let query = uri
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let location = value(&format!("{}{query}", urls.base()));
    (StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)])
}
