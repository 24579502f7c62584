//! Every route group as one router: the whole registry behind a single Function URL.

use axum::Router;
use roadstead_api::Api;

/// The routes of all groups.
pub fn router(api: Api) -> Router {
    Router::new()
        .merge(roadstead_base::router(api.clone()))
        .merge(roadstead_blobs::router(api.clone()))
        .merge(roadstead_uploads::router(api.clone()))
        .merge(roadstead_manifests::router(api.clone()))
        .merge(roadstead_discovery::router(api))
}
