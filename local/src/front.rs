//! What stands in front of the routes of every listener: who the client is, and who watches.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use http::{Request, Response};
use roadstead_api::TrustedProxies;
use tower::util::MapRequestLayer;
use tower::{Layer, Service};

use crate::access_log::AccessLog;
use crate::metrics::HttpMetrics;
use crate::observe::{ObserveLayer, Observed, Observer};
use crate::request_log::RequestLog;

/// Those who watch requests; each may be missing.
pub type Watchers = ((Option<RequestLog>, Option<AccessLog>), Option<HttpMetrics>);

/// `routes`, whose clients are who `proxies` say, watched by `watchers`.
///
/// Whoever watches, it is one type: what serves it is compiled once.
pub fn front(
    routes: Router,
    watchers: Watchers,
    proxies: TrustedProxies,
) -> impl Service<
    Request<Body>,
    Response = Response<Observed<Body, <Watchers as Observer>::Observation>>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    let watched = ObserveLayer(watchers).layer(routes);
    MapRequestLayer::new(move |request| proxies.mark(request)).layer(watched)
}
