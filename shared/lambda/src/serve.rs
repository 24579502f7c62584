//! A function with routes.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::anyhow;
use axum::Router;
use axum::middleware::from_fn;
use roadstead_api::{Api, RequestId, edge, guarded};
use roadstead_compose as compose;
use roadstead_configuration::Configuration;
use tower::ServiceExt;
use tracing::Instrument;
use tracing::field::Empty;

use crate::answer::Exact;
use crate::limit::limit;
use crate::{event, start};

/// Answers the events of a Function URL, or of an HTTP API with payloads of version 2.0, by
/// `routes` over the registry that the configuration describes: the `main` of a function.
///
/// The configuration is the file in REGISTRY_CONFIGURATION_PATH, else `roadstead.yml` beside the
/// program, with REGISTRY_* variables laid over it. Returns when the configuration or the runtime
/// API fails.
pub fn serve(routes: fn(Api) -> Router) -> ExitCode {
    start::run(|configuration| {
        let router = router(&configuration, routes)?;
        Ok(async move {
            let handler = lambda_http::service_fn(move |event| answer(router.clone(), event));
            lambda_http::run(handler)
                .await
                .map_err(|error| anyhow!(error))
        })
    })
}

fn router(configuration: &Configuration, routes: fn(Api) -> Router) -> anyhow::Result<Router> {
    let http = &configuration.http;
    let registry = compose::registry(configuration)?;
    let api = compose::api(configuration, registry)?;
    let secret = api.origin_secret.clone();
    let routes = routes(api).layer(from_fn(limit));
    Ok(edge(
        guarded(routes, secret),
        &http.prefix,
        compose::headers(http)?,
    ))
}

async fn answer(router: Router, event: lambda_http::Request) -> Result<Exact, Infallible> {
    let begun = Instant::now();
    let request = event::request(event);
    let id = request.extensions().get::<RequestId>();
    let span = tracing::error_span!(
        "request",
        http.request.id = id.map(tracing::field::display),
        http.request.method = request.method().as_str(),
        // Without the query: it has the tokens of uploads.
        http.request.path = request.uri().path(),
        vars.name = Empty,
        vars.reference = Empty,
        vars.digest = Empty,
        vars.uuid = Empty,
        auth.user.name = Empty,
    );
    let answered = async {
        let answer = router.oneshot(request).await?;
        let status = answer.status().as_u16();
        let answer = Exact::of(answer).await;
        let duration = begun.elapsed().as_secs_f64();
        tracing::info!(
            http.response.status = status,
            http.response.duration = duration,
            "response completed"
        );
        Ok(answer)
    };
    answered.instrument(span).await
}
