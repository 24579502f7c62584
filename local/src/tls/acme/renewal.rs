//! Getting certificates in time, once for all replicas.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

use super::authority::Failure;
use super::cache::{Entry, Lock};
use super::{Acme, Host};

/// How often the folder is looked at for what other replicas got.
const LOOK: Duration = Duration::from_secs(5);

/// How long getting one certificate may take.
const ORDER: Duration = Duration::from_secs(4 * 60);

/// How long to wait after a failure; each further one makes it three times as long. Let's Encrypt
/// allows five failures an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// The longest wait after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// When to try next.
struct Attempts {
    pause: Duration,
    next: Instant,
}

/// Keeps the certificate of one host valid until nobody needs it any more.
pub(super) async fn keep(acme: Weak<Acme>, index: usize) {
    let mut attempts = Attempts {
        pause: FIRST_PAUSE,
        next: Instant::now(),
    };
    while let Some(acme) = acme.upgrade() {
        let may_try = attempts.next <= Instant::now();
        if let Some(_lock) = look(&acme, index, may_try).await {
            let got = get(&acme, &acme.hosts[index]).await;
            attempts.count(&got);
        }
        drop(acme);
        sleep(LOOK).await;
    }
}

/// Takes what another replica may have put into the folder; with a lock, it is time and up to us
/// to get a certificate for all.
async fn look(acme: &Arc<Acme>, index: usize, may_try: bool) -> Option<Lock> {
    let acme = Arc::clone(acme);
    let look = move || {
        let host = &acme.hosts[index];
        acme.adopt(host);
        if !may_try || !is_due(host) {
            return None;
        }
        let lock = acme.cache.lock(&host.name)?;
        // Who had the lock until now may have left a certificate.
        acme.adopt(host);
        is_due(host).then_some(lock)
    };
    // A look that panics is as one that sees nothing.
    spawn_blocking(look).await.ok().flatten()
}

async fn get(acme: &Acme, host: &Host) -> Result<(), Failure> {
    tracing::info!("getting a certificate for {}", host.name);
    let obtained = timeout(ORDER, acme.obtain(host)).await;
    let entry = obtained
        .unwrap_or_else(|_| Err("it takes too long".into()))
        .map_err(|error| format!("no certificate for {}: {}", host.name, chain(&*error)))?;
    tracing::info!("a new certificate for {} is in use", host.name);
    host.set(entry);
    Ok(())
}

impl Attempts {
    fn count(&mut self, got: &Result<(), Failure>) {
        let Err(error) = got else {
            self.pause = FIRST_PAUSE;
            return;
        };
        tracing::error!("{error}; next attempt in {:?}", self.pause);
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 3).min(LONGEST_PAUSE);
    }
}

fn is_due(host: &Host) -> bool {
    match host.current() {
        Some(entry) => SystemTime::now() >= renewal(&entry),
        None => true,
    }
}

/// When a third of its time is left, as Let's Encrypt recommends.
fn renewal(entry: &Entry) -> SystemTime {
    let life = entry.expires.duration_since(entry.begins);
    entry.expires - life.unwrap_or_default() / 3
}

/// An error with its causes.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
