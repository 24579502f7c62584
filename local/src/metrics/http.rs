//! What is counted of requests.

use std::sync::Arc;
use std::time::Instant;

use http::{Method, Request, header};
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, exponential_buckets,
};
use roadstead_api::fold::fold;

use crate::observe::{Answer, Observation, Observer, Outcome};

/// The seconds that requests are sorted by.
const SECONDS: [f64; 13] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0,
];

/// What stands for a status when the client did not wait for one.
const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Counts requests.
#[derive(Clone, Debug)]
pub struct HttpMetrics {
    prefix: Arc<str>,
    in_flight: IntGaugeVec,
    seconds: HistogramVec,
    requests: IntCounterVec,
    request_bytes: HistogramVec,
    response_bytes: HistogramVec,
}

impl HttpMetrics {
    pub(super) fn new(all: &Registry, prefix: &str) -> prometheus::Result<Self> {
        let sizes = exponential_buckets(1024.0, 2.0, 22)?;
        let histogram = |name, help, buckets: Vec<f64>, labels: &[&str]| {
            let options = HistogramOpts::new(name, help).buckets(buckets);
            HistogramVec::new(options, labels)
        };
        let metrics = Self {
            prefix: prefix.into(),
            in_flight: IntGaugeVec::new(
                Opts::new(
                    "registry_http_in_flight_requests",
                    "The requests that are being served",
                ),
                &["handler"],
            )?,
            seconds: histogram(
                "registry_http_request_duration_seconds",
                "How long requests take, to the last byte of the answer",
                SECONDS.to_vec(),
                &["handler", "method"],
            )?,
            requests: IntCounterVec::new(
                Opts::new("registry_http_requests_total", "The requests so far"),
                &["code", "handler", "method"],
            )?,
            request_bytes: histogram(
                "registry_http_request_size_bytes",
                "The announced bytes of requests' bodies",
                sizes.clone(),
                &["handler"],
            )?,
            response_bytes: histogram(
                "registry_http_response_size_bytes",
                "The bytes of answers' bodies",
                sizes,
                &["handler"],
            )?,
        };
        all.register(Box::new(metrics.in_flight.clone()))?;
        all.register(Box::new(metrics.seconds.clone()))?;
        all.register(Box::new(metrics.requests.clone()))?;
        all.register(Box::new(metrics.request_bytes.clone()))?;
        all.register(Box::new(metrics.response_bytes.clone()))?;
        Ok(metrics)
    }
}

impl Observer for HttpMetrics {
    type Observation = Counted;

    fn request<B>(&self, request: &mut Request<B>) -> Option<Counted> {
        let handler = handler(request.uri().path(), &self.prefix);
        self.in_flight.with_label_values(&[handler]).inc();
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
        self.request_bytes
            .with_label_values(&[handler])
            .observe(length.unwrap_or(0.0));
        Some(Counted {
            metrics: self.clone(),
            handler,
            method: method(request.method()),
            begun: Instant::now(),
        })
    }
}

/// A request that is being served.
#[derive(Debug)]
pub struct Counted {
    metrics: HttpMetrics,
    handler: &'static str,
    method: &'static str,
    begun: Instant,
}

impl Observation for Counted {
    fn end(&mut self, answer: &Answer, _: Outcome<'_>) {
        let (handler, method) = (self.handler, self.method);
        let metrics = &self.metrics;
        let status = answer
            .status
            .map_or(CLIENT_CLOSED_REQUEST, |it| it.as_u16());
        metrics.in_flight.with_label_values(&[handler]).dec();
        metrics
            .seconds
            .with_label_values(&[handler, method])
            .observe(self.begun.elapsed().as_secs_f64());
        metrics
            .requests
            .with_label_values(&[&*status.to_string(), handler, method])
            .inc();
        metrics
            .response_bytes
            .with_label_values(&[handler])
            .observe(answer.written as f64);
    }
}

/// Distribution's name of the route, and `other` for what is none: a client cannot make up more.
fn handler(path: &str, prefix: &str) -> &'static str {
    let Some(path) = fold(path, prefix) else {
        return "other";
    };
    let Some(path) = path.strip_prefix("/v2/") else {
        return match path.starts_with("/auth/") {
            true => "token",
            false => "other",
        };
    };
    let mut parts = path.split('/').skip(1);
    match (path, parts.next(), parts.next(), parts.next()) {
        ("", ..) => "base",
        ("_catalog", ..) => "catalog",
        (_, Some("tags"), Some("list"), None) => "tags",
        (_, Some("manifests"), Some(_), None) => "manifest",
        (_, Some("referrers"), Some(_), None) => "referrers",
        (_, Some("blobs"), Some("uploads"), Some("")) => "blob_upload",
        (_, Some("blobs"), Some("uploads"), Some(_)) => "blob_upload_chunk",
        (_, Some("blobs"), Some(_), None) => "blob",
        _ => "other",
    }
}

/// A client can make up methods as well.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_named_as_distribution_names_it() {
        for (path, expected) in [
            ("/v2/", "base"),
            ("/v2/_catalog", "catalog"),
            ("/v2/a/tags/list", "tags"),
            ("/v2/a/b/c/manifests/latest", "manifest"),
            ("/v2/a/b/blobs/sha256:0", "blob"),
            ("/v2/a/b/blobs/uploads/", "blob_upload"),
            ("/v2/a/b/blobs/uploads", "blob_upload"),
            ("/v2/a/b/blobs/uploads/1", "blob_upload_chunk"),
            ("/v2/a/referrers/sha256:0", "referrers"),
            ("/auth/token", "token"),
            ("/", "other"),
            ("/metrics", "other"),
            ("/v2/a/b", "other"),
        ] {
            assert_eq!(handler(path, "/"), expected, "{path}");
        }
        assert_eq!(handler("/my/v2/a/tags/list", "/my/"), "tags");
        assert_eq!(handler("/v2/a/tags/list", "/my/"), "other");
    }
}
