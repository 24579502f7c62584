//! What a check looks at.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use roadstead_configuration::health::{FileCheck, Health, HttpCheck, TcpCheck};
use roadstead_storage::{Driver, Key, ListOptions};
use tokio::net::TcpStream;

/// The shortest time that the store is given: others may be using it hard.
const STORE: Duration = Duration::from_secs(10);

/// One check.
#[derive(Debug)]
pub(super) struct Check {
    /// What it is called where failures are told.
    pub(super) name: String,
    pub(super) interval: Duration,
    /// How long it may take.
    pub(super) patience: Duration,
    /// The failure in a row from which on it counts as failed.
    pub(super) threshold: i64,
    pub(super) kind: Kind,
}

/// What is looked at.
#[derive(Debug)]
pub(super) enum Kind {
    Storage(Arc<dyn Driver>),
    /// A file that must not exist.
    File(PathBuf),
    Http {
        uri: Uri,
        headers: HeaderMap,
        expected: StatusCode,
    },
    /// `host:port`.
    Tcp(String),
}

/// The configured checks; that of the storage where there is a `driver`.
pub(super) fn of(health: &Health, driver: Option<&Arc<dyn Driver>>) -> anyhow::Result<Vec<Check>> {
    let mut checks = Vec::new();
    let storage = &health.storagedriver;
    if let Some(driver) = driver.filter(|_| storage.enabled) {
        checks.push(Check {
            name: format!("storagedriver_{}", driver.name()),
            interval: storage.interval,
            patience: storage.interval.max(STORE),
            threshold: storage.threshold,
            kind: Kind::Storage(Arc::clone(driver)),
        });
    }
    for check in &health.file {
        checks.push(file(check).context("health.file")?);
    }
    for check in &health.http {
        checks.push(http(check).context("health.http")?);
    }
    for check in &health.tcp {
        checks.push(tcp(check).context("health.tcp")?);
    }
    Ok(checks)
}

fn file(check: &FileCheck) -> anyhow::Result<Check> {
    let file = check.file.clone().filter(|file| !file.is_empty());
    let file = file.context("file is missing")?;
    Ok(Check {
        kind: Kind::File(PathBuf::from(&file)),
        name: file,
        interval: check.interval,
        patience: check.interval.max(STORE),
        threshold: check.threshold,
    })
}

fn http(check: &HttpCheck) -> anyhow::Result<Check> {
    let text = check.uri.clone().filter(|uri| !uri.is_empty());
    let text = text.context("uri is missing")?;
    let uri: Uri = text.parse().with_context(|| text.clone())?;
    let mut headers = HeaderMap::new();
    for (name, values) in &check.headers {
        let name: HeaderName = name.parse().with_context(|| text.clone())?;
        for value in values {
            // The value may be a secret, and an error would show it.
            let value = HeaderValue::from_str(value.expose());
            let value = value.ok().with_context(|| format!("headers: {name}"))?;
            headers.append(name.clone(), value);
        }
    }
    Ok(Check {
        name: text,
        interval: check.interval,
        patience: patience(check.timeout, check.interval),
        threshold: check.threshold,
        kind: Kind::Http {
            uri,
            headers,
            expected: StatusCode::from_u16(check.statuscode).context("statuscode")?,
        },
    })
}

fn tcp(check: &TcpCheck) -> anyhow::Result<Check> {
    let address = check.addr.clone().filter(|address| !address.is_empty());
    let address = address.context("addr is missing")?;
    Ok(Check {
        kind: Kind::Tcp(match address.starts_with(':') {
            true => format!("localhost{address}"),
            false => address.clone(),
        }),
        name: address,
        interval: check.interval,
        patience: patience(check.timeout, check.interval),
        threshold: check.threshold,
    })
}

fn patience(timeout: Option<Duration>, interval: Duration) -> Duration {
    timeout.filter(|time| !time.is_zero()).unwrap_or(interval)
}

impl Kind {
    /// Looks once.
    ///
    /// # Errors
    ///
    /// What is wrong, in words for whoever runs the registry.
    pub(super) async fn run(&self) -> Result<(), String> {
        match self {
            Self::Storage(driver) => storage(driver).await,
            Self::File(path) => absent(path.clone()).await,
            Self::Http {
                uri,
                headers,
                expected,
            } => answers(uri, headers, *expected).await,
            Self::Tcp(address) => {
                let connected = TcpStream::connect(address.as_str()).await;
                connected.map(drop).map_err(|error| error.to_string())
            }
        }
    }
}

/// Listing asks every back end; the root is always there, and empty in a new store.
async fn storage(driver: &Arc<dyn Driver>) -> Result<(), String> {
    let options = ListOptions {
        after: None,
        limit: 1,
    };
    let listed = driver.list(&Key::root(), options).await;
    listed.map(drop).map_err(|error| chain(&error))
}

async fn absent(path: PathBuf) -> Result<(), String> {
    let looked = tokio::task::spawn_blocking(move || std::fs::metadata(path)).await;
    match looked.map_err(std::io::Error::other).flatten() {
        Ok(_) => Err("file exists".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

async fn answers(uri: &Uri, headers: &HeaderMap, expected: StatusCode) -> Result<(), String> {
    let status = roadstead_fetch::status(uri, headers.clone()).await;
    let status = status.map_err(|failure| chain(&failure))?;
    match status == expected {
        true => Ok(()),
        false => Err(format!("the answer is {status} and not {expected}")),
    }
}

/// An error and all that it comes from.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<_> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
