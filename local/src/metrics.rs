//! Metrics for Prometheus, with the names and labels of CNCF Distribution 3.
//!
//! Nothing is counted unless `http.debug.prometheus.enabled`; then each process counts for itself.

mod http;
mod process;
mod storage;

use std::sync::Arc;

use prometheus::{Registry, TextEncoder};
use roadstead_storage::Driver;

pub use self::http::HttpMetrics;
use self::process::ProcessMetrics;
use self::storage::{Measured, StorageMetrics};

/// What is counted. Clones are the same.
#[derive(Clone, Debug)]
pub struct Metrics {
    all: Registry,
    http: HttpMetrics,
    storage: StorageMetrics,
}

impl Metrics {
    /// Nothing counted so far; `prefix` is `http.prefix`.
    ///
    /// # Errors
    ///
    /// Two metrics with one name.
    pub fn new(prefix: &str) -> prometheus::Result<Self> {
        let all = Registry::new();
        all.register(Box::new(ProcessMetrics::new()?))?;
        Ok(Self {
            http: HttpMetrics::new(&all, prefix)?,
            storage: StorageMetrics::new(&all)?,
            all,
        })
    }

    /// Counts requests.
    pub fn http(&self) -> HttpMetrics {
        self.http.clone()
    }

    /// `driver`, whose operations are timed.
    pub fn measured(&self, driver: Arc<dyn Driver>) -> Arc<dyn Driver> {
        Arc::new(Measured::new(driver, self.storage.clone()))
    }

    /// All of it in the text format of Prometheus, version 0.0.4.
    ///
    /// # Errors
    ///
    /// A metric that cannot be written down.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.all.gather())
    }
}

#[cfg(test)]
mod tests {
    use roadstead_storage::{DriverExt, Key, MemoryDriver};

    use super::*;

    #[tokio::test]
    async fn what_the_store_is_asked_is_counted_by_distributions_names() {
        let metrics = Metrics::new("/").unwrap();
        let driver = metrics.measured(Arc::new(MemoryDriver::new()));
        let key = Key::new("a").unwrap();
        driver.try_stat(&key).await.unwrap();
        driver.try_stat(&key).await.unwrap();
        driver.try_delete(&key).await.unwrap();
        let text = metrics.text().unwrap();
        for line in [
            "# TYPE registry_storage_action_seconds histogram",
            r#"registry_storage_action_seconds_count{action="Stat",driver="inmemory"} 2"#,
            r#"registry_storage_action_seconds_count{action="Delete",driver="inmemory"} 1"#,
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
    }
}
