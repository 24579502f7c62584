//! The debug server: `http.debug.addr`. What it says is for whoever runs the registry, so it has an
//! address of its own, and nothing of it is served anywhere else.

use std::future::pending;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, StatusCode};
use roadstead_api::TrustedProxies;
use roadstead_configuration::http::Http;
use serde_json::json;
use tokio::task::JoinSet;

use crate::front::front;
use crate::health::Health;
use crate::listen::Listener;
use crate::metrics::Metrics;
use crate::serve;

const TEXT: &str = "text/plain; charset=utf-8";

const JSON: &str = "application/json";

/// The text format of Prometheus.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Go's profiles have no counterpart in the program itself.
const PROFILES: &str = "There are no profiles at this address: pprof is Go's. Instead:\n\
\n\
  processor:  perf record -g -p PID -- sleep 30; perf report\n\
  waiting:    cat /proc/PID/task/*/wchan\n\
  memory:     cat /proc/PID/smaps_rollup\n";

/// What is counted: nothing unless it is asked for and somebody can be told.
///
/// # Errors
///
/// Metrics that cannot be.
pub fn metrics(http: &Http) -> anyhow::Result<Option<Metrics>> {
    match (http.debug.prometheus.enabled, address(http)) {
        (true, Some(_)) => Ok(Some(Metrics::new(&http.prefix)?)),
        (true, None) => {
            tracing::warn!(
                "http.debug.prometheus.enabled has no effect without http.debug.addr: metrics are served there"
            );
            Ok(None)
        }
        (false, _) => Ok(None),
    }
}

/// Starts the debug server where one is configured; it ends with the set.
///
/// # Errors
///
/// It cannot listen there.
pub async fn start(
    http: &Http,
    health: &Health,
    metrics: Option<&Metrics>,
) -> anyhow::Result<JoinSet<()>> {
    let mut server = JoinSet::new();
    let Some(address) = address(http) else {
        return Ok(server);
    };
    let listener = Listener::bind("tcp", address).await;
    let listener = listener.context("http.debug.addr")?;
    tracing::info!("debug server listening {listener}");
    let path = &http.debug.prometheus.path;
    if metrics.is_some() {
        tracing::info!("providing prometheus metrics on {path}");
    }
    let debug = Debug {
        health: health.clone(),
        metrics: metrics.map(|metrics| (metrics.clone(), path.clone())),
        begun: Instant::now(),
    };
    // Who looks here every few seconds would fill the log.
    let nobody = ((None, None), None);
    let service = front(debug.router(), nobody, TrustedProxies::none());
    let options = serve::Options::default();
    server.spawn(async {
        serve::serve(listener, service, options, pending::<()>()).await;
    });
    Ok(server)
}

fn address(http: &Http) -> Option<&str> {
    let address = http.debug.addr.as_deref();
    address.filter(|address| !address.is_empty())
}

/// What the debug server tells.
#[derive(Debug)]
struct Debug {
    health: Health,
    /// What was counted, and the path where it is told.
    metrics: Option<(Metrics, String)>,
    /// When the registry was started.
    begun: Instant,
}

impl Debug {
    fn router(self) -> Router {
        let debug = Arc::new(self);
        Router::new().fallback(async move |request: Request| debug.answer(&request))
    }

    fn answer(&self, request: &Request<Body>) -> Response {
        if ![Method::GET, Method::HEAD].contains(request.method()) {
            return not_found();
        }
        let path = request.uri().path();
        match (path, &self.metrics) {
            ("/debug/health", _) => self.health(),
            ("/debug/vars", _) => self.variables(),
            (path, Some((metrics, here))) if path == here => told(metrics),
            (path, _) if path == "/debug/pprof" || path.starts_with("/debug/pprof/") => {
                answered(StatusCode::NOT_IMPLEMENTED, TEXT, PROFILES)
            }
            _ => not_found(),
        }
    }

    fn health(&self) -> Response {
        let failures = self.health.failures();
        let status = match failures.is_empty() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        answered(status, JSON, json!(failures).to_string())
    }

    /// What Go's `expvar` tells by itself, as far as it is there.
    fn variables(&self) -> Response {
        let variables = json!({
            "cmdline": std::env::args().collect::<Vec<_>>(),
            "pid": std::process::id(),
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": self.begun.elapsed().as_secs(),
        });
        answered(StatusCode::OK, JSON, variables.to_string())
    }
}

fn told(metrics: &Metrics) -> Response {
    match metrics.text() {
        Ok(text) => answered(StatusCode::OK, METRICS, text),
        Err(error) => {
            tracing::error!("metrics cannot be written down: {error}");
            answered(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "see the log\n")
        }
    }
}

fn not_found() -> Response {
    answered(StatusCode::NOT_FOUND, TEXT, "404 page not found\n")
}

fn answered(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let headers = [(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-store")];
    (status, headers, body.into()).into_response()
}
