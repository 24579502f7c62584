//! The keys of an issuer: fetched when they are needed, by one at a time, and kept.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tokio::sync::Mutex;

use super::Fetch;
use crate::Clock;
use crate::token::Trusted;

/// After how long keys are fetched anew.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// For how long they count when they cannot be.
const USABLE: Duration = Duration::from_secs(24 * 60 * 60);

/// However old they are.
const EVER: Duration = Duration::MAX;

/// The least time between two fetches, whoever asks for keys that are not there.
const PAUSE: Duration = Duration::from_secs(60);

/// The same after a first failure; it doubles with each further one, up to the other.
const SHORT_PAUSE: Duration = Duration::from_secs(1);

/// The keys of an issuer.
#[derive(Debug)]
pub(super) struct Keys {
    issuer: String,
    url: Option<String>,
    fetch: Arc<dyn Fetch>,
    clock: Clock,
    known: RwLock<Option<Known>>,
    turn: Mutex<Turn>,
}

#[derive(Clone, Debug)]
struct Known {
    keys: Arc<Trusted>,
    since: SystemTime,
}

/// The right to fetch.
#[derive(Debug, Default)]
struct Turn {
    last: Option<SystemTime>,
    failures: u32,
}

/// OpenID Connect Discovery 1.0, section 3.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Keys {
    pub(super) fn new(
        issuer: String,
        url: Option<String>,
        fetch: Arc<dyn Fetch>,
        clock: Clock,
    ) -> Self {
        Self {
            issuer,
            url,
            fetch,
            clock,
            known: RwLock::default(),
            turn: Mutex::default(),
        }
    }

    /// The keys, of the last hour if they can be had, else of the last day.
    pub(super) async fn get(self: &Arc<Self>) -> Option<Arc<Trusted>> {
        if let Some(keys) = self.known_for(FRESH) {
            return Some(keys);
        }
        let old = self.known_for(EVER);
        self.update(old).await;
        self.known_for(USABLE)
    }

    /// Other keys than these, if there are any: asked at most once a minute.
    pub(super) async fn newer(self: &Arc<Self>, old: &Arc<Trusted>) -> Option<Arc<Trusted>> {
        self.update(Some(Arc::clone(old))).await;
        let known = self.known_for(USABLE);
        known.filter(|keys| !Arc::ptr_eq(keys, old))
    }

    /// Fetches what is to replace `old`. That nobody waits for it any more does not end it: else
    /// the pause after it could be avoided by not waiting.
    async fn update(self: &Arc<Self>, old: Option<Arc<Trusted>>) {
        let keys = Arc::clone(self);
        let _ = tokio::spawn(async move { keys.updated(old).await }).await;
    }

    async fn updated(&self, old: Option<Arc<Trusted>>) {
        let mut turn = self.turn.lock().await;
        let known = self.known_for(EVER);
        let is_replaced = match (&known, &old) {
            (Some(known), Some(old)) => !Arc::ptr_eq(known, old),
            (known, _) => known.is_some(),
        };
        if is_replaced || !turn.may_fetch((self.clock)()) {
            return;
        }
        match self.fetched().await {
            Ok(keys) => {
                let since = (self.clock)();
                let known = Known {
                    keys: Arc::new(keys),
                    since,
                };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known);
                *turn = Turn {
                    last: Some(since),
                    failures: 0,
                };
            }
            Err(error) => {
                tracing::warn!(
                    issuer = self.issuer,
                    error,
                    "the keys of an issuer cannot be fetched"
                );
                turn.last = Some((self.clock)());
                turn.failures = turn.failures.saturating_add(1);
            }
        }
    }

    async fn fetched(&self) -> Result<Trusted, String> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => self.discovered().await?,
        };
        let json = self.fetch.fetch(&url).await?;
        let mut keys = Trusted::default();
        let added = keys.add_jwks(&json);
        added.map_err(|error| format!("{url}: {error}"))?;
        match keys.is_empty() {
            true => Err(format!("{url}: there is no key that could be used")),
            false => Ok(keys),
        }
    }

    async fn discovered(&self) -> Result<String, String> {
        let issuer = self.issuer.trim_end_matches('/');
        let url = format!("{issuer}/.well-known/openid-configuration");
        let json = self.fetch.fetch(&url).await?;
        let document: Result<Discovery, _> = serde_json::from_slice(&json);
        let document = document.map_err(|error| format!("{url}: {error}"))?;
        match document.issuer == self.issuer {
            true => Ok(document.jwks_uri),
            false => Err(format!("{url}: it is of the issuer {:?}", document.issuer)),
        }
    }

    /// The keys, if they are no older.
    fn known_for(&self, age: Duration) -> Option<Arc<Trusted>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref()?;
        let is_young = elapsed(known.since, (self.clock)()) < age;
        is_young.then(|| Arc::clone(&known.keys))
    }
}

impl Turn {
    fn may_fetch(&self, now: SystemTime) -> bool {
        let pause = match self.failures {
            0 => PAUSE,
            failures => SHORT_PAUSE * 2_u32.saturating_pow(failures.min(7) - 1),
        };
        self.last
            .is_none_or(|last| elapsed(last, now) >= pause.min(PAUSE))
    }
}

/// How far apart the two are: a clock that was turned back holds nothing up for longer than one
/// that goes on.
fn elapsed(from: SystemTime, now: SystemTime) -> Duration {
    let passed = now.duration_since(from);
    passed.unwrap_or_else(|turned_back| turned_back.duration())
}
