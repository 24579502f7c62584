//! `roadstead serve`, and `roadstead uploads`, which is the same with fewer routes.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::Router;
use roadstead_compose as compose;
use roadstead_configuration::http::{Http, MinimumTls, Net};
use roadstead_configuration::log::{Formatter, Level};
use roadstead_configuration::{Configuration, Loaded};
use roadstead_events::{Broadcaster, Delivery};
use roadstead_registry::Registry;
use roadstead_storage::Driver;

use super::{ConfigurationPath, Failure, ended};
use crate::access_log::AccessLog;
use crate::front::front;
use crate::health::Health;
use crate::listen::Listener;
use crate::metrics::Metrics;
use crate::request_log::RequestLog;
use crate::serve::Handshake;
use crate::shutdown::Signal;
use crate::tls::Tls;
use crate::{debug, file_limit, logs, memory, purge, router, runtime, serve, shutdown, tls};

pub(super) fn run(configuration: &ConfigurationPath) -> ExitCode {
    ended(start(configuration, Routes::All))
}

pub(super) fn run_uploads(configuration: &ConfigurationPath) -> ExitCode {
    ended(start(configuration, Routes::Uploads))
}

pub(super) fn run_token_server(configuration: &ConfigurationPath) -> ExitCode {
    ended(start(configuration, Routes::Tokens))
}

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Routes {
    /// The registry.
    All,
    /// Uploads that were begun elsewhere.
    Uploads,
    /// Tokens.
    Tokens,
}

fn start(configuration: &ConfigurationPath, routes: Routes) -> Result<ExitCode, Failure> {
    let loaded = configuration.load()?;
    if routes == Routes::Uploads {
        check_uploads(&loaded.configuration)?;
    }
    log(&loaded.configuration)?;
    announce(&loaded);
    let runtime = runtime().map_err(anyhow::Error::from)?;
    Ok(runtime.block_on(run_server(&loaded.configuration, routes))?)
}

/// Without these, no client would be sent here, and no one's tokens would be taken.
fn check_uploads(configuration: &Configuration) -> anyhow::Result<()> {
    let http = &configuration.http;
    let secret = http.secret.as_ref().map_or("", |secret| secret.expose());
    ensure!(
        http.uploadorigin.is_some() && !secret.is_empty(),
        "configuration error: an upload server needs the http.uploadorigin and the http.secret of its registry"
    );
    Ok(())
}

/// Sends the log where and how the configuration says.
pub(super) fn log(configuration: &Configuration) -> anyhow::Result<()> {
    let log = &configuration.log;
    let options = logs::Options {
        level: match log.level {
            Level::Error => tracing::Level::ERROR,
            Level::Warn => tracing::Level::WARN,
            Level::Info => tracing::Level::INFO,
            Level::Debug => tracing::Level::DEBUG,
        },
        formatter: match log.formatter {
            Formatter::Text => logs::Formatter::Text,
            Formatter::Json => logs::Formatter::Json,
            Formatter::Logstash => logs::Formatter::Logstash,
        },
        fields: log.fields.clone(),
        report_caller: log.reportcaller,
    };
    logs::init(options).context("the log cannot be set up")
}

fn announce(loaded: &Loaded) {
    if let Some(notice) = loaded.default_notice() {
        tracing::info!("{notice}");
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
}

async fn run_server(configuration: &Configuration, routes: Routes) -> anyhow::Result<ExitCode> {
    file_limit::raise();
    let http = &configuration.http;
    let metrics = debug::metrics(http)?;
    let health = Health::default();
    let Served {
        registry,
        driver,
        events,
    } = match routes {
        Routes::Tokens => Served::nothing(),
        Routes::All | Routes::Uploads => Served::compose(configuration, metrics.as_ref())?,
    };
    let api = compose::api(configuration, registry.clone())?
        .with_events(events.clone())
        .with_limits(compose::limits(http));
    let headers = compose::headers(http)?;
    let prefix = &http.prefix;
    let purges = &configuration.storage.maintenance.uploadpurging;
    let purged = (routes != Routes::Tokens).then_some(registry);
    let routes = match routes {
        Routes::All => router::router(&api, prefix, headers, &health),
        Routes::Uploads => router::uploads(&api, prefix, headers, &health),
        Routes::Tokens if api.issuer.is_none() => bail!("tokenserver.enabled is not set"),
        Routes::Tokens => router::tokens(&api, prefix, headers, &health),
    };
    let routes = roadstead_api::with_cors(routes, compose::cors(http)?);
    let network = match http.net {
        Net::Tcp => "tcp",
        Net::Unix => "unix",
    };
    let shutdown = shutdown::requested()?;
    // Before TLS: an ACME server may ask as soon as that begins.
    let listener = Listener::open(network, &http.addr).await?;
    // Both end with this function.
    let _debug = debug::start(http, &health, metrics.as_ref()).await?;
    let _checks = health.watch(&configuration.health, driver.as_ref())?;
    let tls = tls(http).await?;
    match tls {
        Some(_) => tracing::info!("listening on {listener}, tls"),
        None => tracing::info!("listening on {listener}"),
    }
    memory::forget_start();
    let purging = purged.map(|registry| purge::spawn(registry, purges));
    let (signal, since) =
        serve_until(listener, tls, routes, metrics, configuration, shutdown).await?;
    if let Some(events) = events {
        drain(&events, http.draintimeout, since).await;
    }
    if let Some(purging) = purging {
        purging.abort();
    }
    Ok(signal)
}

/// What answers requests, and what is looked after beside them.
struct Served {
    registry: Registry,
    driver: Option<Arc<dyn Driver>>,
    events: Option<Arc<Broadcaster>>,
}

impl Served {
    /// For who serves no content.
    fn nothing() -> Self {
        Self {
            registry: compose::empty_registry(),
            driver: None,
            events: None,
        }
    }

    fn compose(configuration: &Configuration, metrics: Option<&Metrics>) -> anyhow::Result<Self> {
        let mut storage = compose::storage(configuration)?;
        if let Some(metrics) = metrics {
            storage.driver = metrics.measured(storage.driver);
        }
        Ok(Self {
            driver: Some(Arc::clone(&storage.driver)),
            events: compose::events(configuration, &storage, Delivery::Queued)?,
            registry: compose::registry_over(configuration, storage)?,
        })
    }
}

/// TLS, where the configuration asks for it.
async fn tls(http: &Http) -> anyhow::Result<Option<Tls>> {
    let Some(settings) = tls::Settings::of(http)? else {
        return Ok(None);
    };
    let least = match http.tls.minimumtls {
        MinimumTls::Tls12 => "tls1.2",
        MinimumTls::Tls13 => "tls1.3",
    };
    tracing::info!("restricting TLS version to {least} or higher");
    Ok(Some(Tls::start(settings).await?))
}

/// Delivers what is queued, in what is left of the drain time since the signal.
async fn drain(events: &Broadcaster, time: Duration, since: Option<Instant>) {
    let passed = since.map(|since| since.elapsed()).unwrap_or_default();
    events.drain(time.saturating_sub(passed)).await;
}

/// Serves until a signal, and says with which code to exit: 0 after a drain in which every
/// request finished, as a shell reports the signal where there is no drain, else 1; and when the
/// signal came.
async fn serve_until(
    listener: Listener,
    tls: Option<Tls>,
    routes: Router,
    metrics: Option<Metrics>,
    configuration: &Configuration,
    shutdown: impl Future<Output = Signal>,
) -> anyhow::Result<(ExitCode, Option<Instant>)> {
    let http = &configuration.http;
    let options = serve::Options {
        header_read_timeout: Some(http.readheadertimeout),
        stall_timeout: Some(http.stalltimeout),
        max_header_bytes: usize::try_from(http.maxheaderbytes).unwrap_or(usize::MAX),
        h2c: http.h2c.enabled,
        drain_timeout: Some(http.draintimeout).filter(|timeout| !timeout.is_zero()),
        tls: tls.map(|tls| Arc::new(tls) as Arc<dyn Handshake>),
        ..serve::Options::default()
    };
    let is_drained = options.drain_timeout.is_some();
    let mut received = None;
    let noted = async { received = Some((shutdown.await, Instant::now())) };
    let access_log = match configuration.log.accesslog.disabled {
        true => None,
        false => Some(AccessLog::stdout()?),
    };
    let logs = (Some(RequestLog), access_log.clone());
    let metrics = metrics.map(|metrics| metrics.http());
    let service = front(routes, (logs, metrics), compose::trusted_proxies(http)?);
    let ended = serve::serve(listener, service, options, noted).await;
    if let Some(access_log) = access_log {
        access_log.flush();
    }
    let since = received.map(|(_, since)| since);
    let signal = received.map(|(signal, _)| signal);
    let code = match (is_drained, signal) {
        (true, _) if ended.cut == 0 => ExitCode::SUCCESS,
        (true, _) => {
            tracing::error!(
                "{} connections were cut when the drain time was up",
                ended.cut
            );
            ExitCode::from(super::FAILED)
        }
        (false, signal) => ExitCode::from(signal.map_or(super::FAILED, Signal::exit_code)),
    };
    Ok((code, since))
}
