//! All route groups as one router.

use axum::Router;
use http::HeaderMap;
use roadstead_api::{Api, edge};

/// The whole registry, below `prefix`; `headers` stand on every answer.
pub fn router(api: &Api, prefix: &str, headers: HeaderMap) -> Router {
    let routes = Router::new()
        .merge(roadstead_base::router(api.clone()))
        .merge(roadstead_blobs::router(api.clone()))
        .merge(roadstead_uploads::router(api.clone()))
        .merge(roadstead_manifests::router(api.clone()))
        .merge(roadstead_discovery::router(api.clone()));
    edge(routes, prefix, headers)
}

/// The token server alone.
pub fn tokens(api: &Api, prefix: &str, headers: HeaderMap) -> Router {
    edge(roadstead_base::token_router(api.clone()), prefix, headers)
}
