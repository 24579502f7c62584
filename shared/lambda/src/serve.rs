//! A function with routes.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::anyhow;
use axum::Router;
use axum::middleware::from_fn;
use lambda_runtime::{Diagnostic, LambdaEvent};
use roadstead_api::{Api, RequestId, TrustedProxies, edge, guarded, with_cors};
use roadstead_compose as compose;
use roadstead_configuration::Configuration;
use roadstead_events::Delivery;
use tower::ServiceExt;
use tracing::Instrument;
use tracing::field::Empty;

use crate::answer::Answer;
use crate::event::Event;
use crate::limit::limit;
use crate::start;

/// Answers the events of a Function URL, or of an HTTP API with payloads of version 2.0, by
/// `routes` over the registry that the configuration describes: the `main` of a function.
///
/// The configuration is the file in REGISTRY_CONFIGURATION_PATH, else `roadstead.yml` beside the
/// program, with REGISTRY_* variables laid over it. Returns when the configuration or the runtime
/// API fails.
pub fn serve(routes: fn(Api) -> Router) -> ExitCode {
    start::run(|configuration| {
        let proxies = compose::trusted_proxies(&configuration.http)?;
        let service = Arc::new(Service {
            router: router(&configuration, routes)?,
            proxies,
            relays_challenges: configuration.http.relaychallenges,
        });
        Ok(async move {
            let handler =
                lambda_runtime::service_fn(move |event| Arc::clone(&service).answer(event));
            lambda_runtime::run(handler)
                .await
                .map_err(|error| anyhow!(error))
        })
    })
}

fn router(configuration: &Configuration, routes: fn(Api) -> Router) -> anyhow::Result<Router> {
    let http = &configuration.http;
    let storage = compose::storage(configuration)?;
    // A function that is frozen after its answer delivers nothing later.
    let events = compose::events(configuration, &storage, Delivery::BeforeAnswer)?;
    let registry = compose::registry_over(configuration, storage)?;
    let api = compose::api(configuration, registry)?
        .with_events(events)
        .with_redirected_heads();
    let secret = api.origin_secret.clone();
    let routes = routes(api).layer(from_fn(limit));
    let routes = edge(
        guarded(routes, secret),
        &http.prefix,
        compose::headers(http)?,
    );
    Ok(with_cors(routes, compose::cors(http)?))
}

struct Service {
    router: Router,
    proxies: TrustedProxies,
    relays_challenges: bool,
}

impl Service {
    async fn answer(self: Arc<Self>, event: LambdaEvent<Event>) -> Result<Answer, Diagnostic> {
        let begun = Instant::now();
        let request = event.payload.request(&event.context.request_id);
        let request = self.proxies.mark(request.map_err(start::diagnostic)?);
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
        let method = request.method().clone();
        let answered = async {
            let answer = match self.router.clone().oneshot(request).await {
                Ok(answer) => answer,
                Err(never) => match never {},
            };
            let status = answer.status().as_u16();
            let answer = Answer::of(answer).await.with_length_for(&method);
            let answer = match self.relays_challenges {
                true => answer.with_relayed_challenge(),
                false => answer,
            };
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
}
