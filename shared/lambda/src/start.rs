//! What every function begins with.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use lambda_runtime::Diagnostic;
use roadstead_configuration::{Configuration, Loaded, Source, configuration_path, from_process};

use crate::logs;

/// The configuration of a function without a path in REGISTRY_CONFIGURATION_PATH.
const FILE: &str = "roadstead.yml";

/// Runs `work` on the configuration of this function, which ends only when it fails.
pub(crate) fn run<F>(work: impl FnOnce(Configuration) -> anyhow::Result<F>) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    match attempt(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            failed(&error);
            ExitCode::FAILURE
        }
    }
}

/// What Lambda is told of an invocation that failed.
pub(crate) fn diagnostic(error: anyhow::Error) -> Diagnostic {
    let error_message = format!("{error:#}");
    tracing::error!(error = %error_message, "the invocation failed");
    Diagnostic {
        error_type: "Roadstead".to_owned(),
        error_message,
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the log may be what failed; Lambda keeps the standard error"
)]
fn failed(error: &anyhow::Error) {
    eprintln!("{error:#}");
}

fn attempt<F>(work: impl FnOnce(Configuration) -> anyhow::Result<F>) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let Loaded {
        configuration,
        warnings,
        ..
    } = load()?;
    logs::init(&configuration.log)?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    let limits = &configuration.http.limits;
    if limits.requests.is_some() || limits.uploads.is_some() {
        tracing::warn!(
            "http.limits has no effect in a function, whose instances know nothing of each other: see docs/serverless.md"
        );
    }
    // One request at a time is all that an instance gets: a thread more would only start slower.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async { work(configuration)?.await })
}

fn load() -> anyhow::Result<Loaded> {
    let variables = from_process();
    let path = match configuration_path(&variables) {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name(FILE),
    };
    let source =
        Source::read(&path).with_context(|| format!("configuration error: {}", path.display()))?;
    let loaded = Configuration::load(&source, variables)
        .map_err(|problems| anyhow!("configuration error:\n{problems}"))?;
    let secret = loaded.configuration.http.secret.as_ref();
    if secret.is_none_or(|secret| secret.expose().is_empty()) {
        bail!(
            "configuration error: http.secret is missing: every instance of a function would make one of its own, and none could go on with another's upload"
        );
    }
    Ok(loaded)
}
