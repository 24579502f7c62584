//! The routes that a command serves.

use axum::Router;
use http::HeaderMap;
use roadstead_api::{Api, edge, guarded};

use crate::health::Health;

/// The whole registry, below `prefix`, while `health` permits; `headers` stand on every answer.
pub fn router(api: &Api, prefix: &str, headers: HeaderMap, health: &Health) -> Router {
    let routes = Router::new()
        .merge(roadstead_base::router(api.clone()))
        .merge(roadstead_blobs::router(api.clone()))
        .merge(roadstead_uploads::router(api.clone()))
        .merge(roadstead_manifests::router(api.clone()))
        .merge(roadstead_discovery::router(api.clone()));
    let routes = guarded(health.gate(routes), api.origin_secret.clone());
    edge(routes, prefix, headers)
}

/// Going on with uploads by their tokens, and nothing else of the registry.
pub fn uploads(api: &Api, prefix: &str, headers: HeaderMap, health: &Health) -> Router {
    let routes = Router::new()
        .merge(roadstead_base::router(api.clone()))
        .merge(roadstead_uploads::origin_router(api.clone()));
    let routes = guarded(health.gate(routes), api.origin_secret.clone());
    edge(routes, prefix, headers)
}

/// The token server alone.
pub fn tokens(api: &Api, prefix: &str, headers: HeaderMap, health: &Health) -> Router {
    let routes = health.gate(roadstead_base::token_router(api.clone()));
    edge(routes, prefix, headers)
}
