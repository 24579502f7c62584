//! The routes of uploads as a client meets them.

use axum::Router;
use http::HeaderMap;
use roadstead_api::{Api, ApiOptions, Secret, UrlOptions, edge};
use roadstead_registry::Registry;

/// The routes over `registry`, with relative URLs.
pub(crate) fn routes_over(registry: Registry) -> Router {
    let urls = UrlOptions {
        relative: true,
        ..UrlOptions::default()
    };
    let options = ApiOptions {
        urls,
        ..ApiOptions::new(Secret::new(b"secret"))
    };
    let routes = roadstead_uploads::router(Api::new(registry, options));
    edge(routes, "/", HeaderMap::new())
}
