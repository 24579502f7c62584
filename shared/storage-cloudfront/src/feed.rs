//! The addresses of AWS, fetched beside the requests that need them.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Uri;
use roadstead_fetch::{Options, fetch};
use tokio::time::Instant;

use crate::addresses::Addresses;
use crate::config::{self, AddressFilter, ConfigError};

/// AWS's list has about 2 MB.
const OPTIONS: Options = Options {
    patience: Duration::from_secs(30),
    largest: 32 * 1024 * 1024,
    authorities: None,
};
/// How soon a failed fetch is tried again, unless the next one is due before.
const RETRY: Duration = Duration::from_secs(60);
/// The least time between two fetches.
const SHORTEST: Duration = Duration::from_secs(1);

/// What is known of the addresses. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Feed(Arc<Source>);

#[derive(Debug)]
struct Source {
    url: Uri,
    regions: Vec<String>,
    frequency: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    known: Option<Arc<Addresses>>,
    next: Next,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    At(Instant),
    UnderWay,
}

impl Feed {
    pub(crate) fn new(filter: &AddressFilter) -> Result<Self, ConfigError> {
        let state = State {
            known: None,
            next: Next::At(Instant::now()),
        };
        Ok(Self(Arc::new(Source {
            url: config::ranges_url(&filter.url)?,
            regions: filter.regions.clone(),
            frequency: filter.update_frequency.max(SHORTEST),
            state: Mutex::new(state),
        })))
    }

    /// What is known now, `None` before the first fetch has succeeded. Begins to fetch when that
    /// is due, and does not wait for it.
    pub(crate) fn known(&self) -> Option<Arc<Addresses>> {
        let mut state = self.0.state();
        let is_due = matches!(state.next, Next::At(due) if due <= Instant::now());
        if is_due {
            state.next = Next::UnderWay;
            let source = Arc::clone(&self.0);
            tokio::spawn(async move { source.update().await });
        }
        state.known.clone()
    }
}

impl Source {
    async fn update(self: Arc<Self>) {
        let fetched = self.fetched().await;
        let mut state = self.state();
        let pause = match fetched {
            Ok(addresses) => {
                state.known = Some(Arc::new(addresses));
                self.frequency
            }
            Err(error) => {
                let pause = RETRY.min(self.frequency);
                let kept = match state.known {
                    Some(_) => "the ones known so far stay",
                    None => "no client counts as one of AWS",
                };
                let error = chain(error.as_ref());
                tracing::warn!(
                    url = %self.url,
                    error,
                    "the addresses of AWS cannot be fetched: {kept}; trying again in {} s",
                    pause.as_secs()
                );
                pause
            }
        };
        state.next = Next::At(Instant::now() + pause);
    }

    async fn fetched(
        self: &Arc<Self>,
    ) -> Result<Addresses, Box<dyn std::error::Error + Send + Sync>> {
        let text = fetch(&self.url, &OPTIONS).await?;
        let source = Arc::clone(self);
        let parse = move || Addresses::parse(&text, &source.regions);
        Ok(tokio::task::spawn_blocking(parse).await??)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error and all that it comes from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}
