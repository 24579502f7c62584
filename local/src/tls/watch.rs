//! Looking for files that changed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use super::Tls;
use super::acme::Acme;
use super::error::Error;
use super::settings::Settings;

/// How often the files are looked at.
///
/// Asking is better than being told: it works on every file system, and through the symlinks
/// that Kubernetes and certbot swap.
const INTERVAL: Duration = Duration::from_secs(2);

/// What tells one version of the files from the next: which files they are, their sizes, and when
/// they changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Fingerprint(Vec<Option<[i128; 5]>>);

impl Fingerprint {
    pub(super) fn of(settings: &Settings) -> Self {
        Self(settings.files().map(stat).collect())
    }
}

fn stat(path: &Path) -> Option<[i128; 5]> {
    let file = std::fs::metadata(path).ok()?;
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    Some([
        file.dev().into(),
        file.ino().into(),
        file.size().into(),
        time(file.mtime(), file.mtime_nsec()),
        time(file.ctime(), file.ctime_nsec()),
    ])
}

/// Keeps `tls` up to date for as long as somebody else holds it; `seen` are the files that it was
/// made of.
pub(super) fn spawn(settings: Settings, seen: Fingerprint, tls: &Tls) {
    let source = Arc::new(Source {
        settings,
        acme: tls.acme.clone(),
    });
    tokio::spawn(watch(source, seen, Arc::downgrade(&tls.current)));
}

/// What a configuration is made of.
struct Source {
    settings: Settings,
    acme: Option<Arc<Acme>>,
}

async fn watch(
    source: Arc<Source>,
    mut seen: Fingerprint,
    current: Weak<RwLock<Arc<ServerConfig>>>,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let looked = look(Arc::clone(&source), seen.clone()).await;
        let Some(current) = current.upgrade() else {
            return;
        };
        let Some((files, loaded)) = looked else {
            continue;
        };
        seen = files;
        match loaded {
            Ok(config) => {
                *current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                tracing::info!("TLS files changed: new connections use them");
            }
            Err(error) => tracing::error!(
                err.detail = %detail(&error),
                "TLS files changed, but cannot be used: what was loaded before stays in use"
            ),
        }
    }
}

/// The files and what they make, if they are others than `seen`.
async fn look(
    source: Arc<Source>,
    seen: Fingerprint,
) -> Option<(Fingerprint, Result<ServerConfig, Error>)> {
    let look = move || {
        let files = Fingerprint::of(&source.settings);
        let config = || source.settings.server_config(source.acme.as_ref());
        (files != seen).then(|| (files, config()))
    };
    // A look that panics is as one that sees nothing.
    spawn_blocking(look).await.ok().flatten()
}

/// An error with its cause.
fn detail(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
