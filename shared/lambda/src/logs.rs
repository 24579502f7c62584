//! The log: a JSON object a line, for CloudWatch Logs.

use roadstead_configuration::log::{Level, Log};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Logs to the standard output, Roadstead at the level of the configuration and libraries only
/// warnings: at their finer levels some write whole requests, and with them what is secret.
///
/// # Errors
///
/// A log that was set up before.
pub(crate) fn init(log: &Log) -> anyhow::Result<()> {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
    };
    let targets = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("roadstead", level);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    let lines = tracing_subscriber::registry().with(targets).with(lines);
    Ok(lines.try_init()?)
}
