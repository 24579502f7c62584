//! `health`: what must work for the registry to call itself healthy.
//!
//! Each check is a task that looks again and again. While one fails, every request to the registry
//! is answered with 503, as with CNCF Distribution, so that load balancers send clients elsewhere;
//! the debug server says which, and why.

mod checks;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use roadstead_api::Error;
use roadstead_configuration::health as configuration;
use roadstead_oci::ErrorCode;
use roadstead_storage::Driver;
use tokio::task::JoinSet;

use checks::Check;

/// Which checks fail now. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Failures>);

#[derive(Debug, Default)]
struct Failures {
    count: AtomicUsize,
    reasons: Mutex<BTreeMap<String, String>>,
}

impl Health {
    /// Whether no check fails.
    pub fn is_well(&self) -> bool {
        self.0.count.load(Relaxed) == 0
    }

    /// Why not: what each failing check says.
    pub fn failures(&self) -> BTreeMap<String, String> {
        self.reasons().clone()
    }

    /// `routes`, which answer with 503 while a check fails.
    pub fn gate(&self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self.clone(), gate))
    }

    /// Starts the configured checks, the first of each after its interval, in tasks that end with
    /// the set; until a check fails, it counts as well. Without a `driver` nobody needs the storage.
    ///
    /// # Errors
    ///
    /// A check that does not say what it is about.
    pub fn watch(
        &self,
        health: &configuration::Health,
        driver: Option<&Arc<dyn Driver>>,
    ) -> anyhow::Result<JoinSet<()>> {
        let mut tasks = JoinSet::new();
        for check in checks::of(health, driver)? {
            tasks.spawn(self.clone().repeat(check));
        }
        Ok(tasks)
    }

    async fn repeat(self, check: Check) {
        let mut failed: i64 = 0;
        loop {
            tokio::time::sleep(check.interval).await;
            match check.run().await {
                Ok(()) => {
                    failed = 0;
                    self.passed(&check.name);
                }
                Err(reason) => {
                    failed = failed.saturating_add(1);
                    if failed >= check.threshold {
                        self.failed(&check.name, reason);
                    }
                }
            }
        }
    }

    fn passed(&self, name: &str) {
        let mut reasons = self.reasons();
        if reasons.remove(name).is_some() {
            tracing::info!("health check {name} is well again");
        }
        self.0.count.store(reasons.len(), Relaxed);
    }

    fn failed(&self, name: &str, reason: String) {
        let mut reasons = self.reasons();
        if !reasons.contains_key(name) {
            tracing::error!("health check {name} fails: {reason}");
        }
        reasons.insert(name.to_owned(), reason);
        self.0.count.store(reasons.len(), Relaxed);
    }

    fn reasons(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.0
            .reasons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a client may try again: checks mostly look every ten seconds.
const SOON: HeaderValue = HeaderValue::from_static("10");

async fn gate(State(health): State<Health>, request: Request, next: Next) -> Response {
    if health.is_well() {
        return next.run(request).await;
    }
    Error::new(ErrorCode::Unavailable, "a health check fails")
        .with_header(RETRY_AFTER, SOON)
        .into_response()
}

impl Check {
    async fn run(&self) -> Result<(), String> {
        let patience: Duration = self.patience;
        let checked = tokio::time::timeout(patience, self.kind.run()).await;
        checked.unwrap_or_else(|_| Err(format!("no answer within {patience:?}")))
    }
}

#[cfg(test)]
mod tests {
    use roadstead_storage::MemoryDriver;

    use super::*;
    use checks::Kind;

    fn check(path: &std::path::Path, threshold: i64) -> Check {
        Check {
            name: "file".to_owned(),
            interval: Duration::from_secs(1),
            patience: Duration::from_secs(60),
            threshold,
            kind: Kind::File(path.to_owned()),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_check_fails_after_as_many_times_as_its_threshold_and_is_well_after_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("maintenance");
        let health = Health::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(health.clone().repeat(check(&path, 3)));
        std::fs::write(&path, "").unwrap();
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(health.is_well());
        while health.is_well() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let failures = health.failures();
        assert_eq!(failures["file"], "file exists");
        std::fs::remove_file(&path).unwrap();
        while !health.is_well() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(health.failures(), BTreeMap::new());
    }

    #[tokio::test]
    async fn a_store_that_answers_is_well_also_when_it_is_empty() {
        let kind = Kind::Storage(Arc::new(MemoryDriver::new()));
        assert_eq!(kind.run().await, Ok(()));
    }

    #[tokio::test]
    async fn an_address_is_well_while_somebody_listens() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let kind = Kind::Tcp(listener.local_addr().unwrap().to_string());
        assert_eq!(kind.run().await, Ok(()));
        drop(listener);
        kind.run().await.unwrap_err();
    }
}
