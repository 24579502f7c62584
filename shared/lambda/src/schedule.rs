//! A function without routes, which is invoked by a schedule.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use lambda_runtime::LambdaEvent;
use roadstead_compose as compose;
use roadstead_configuration::Configuration;
use roadstead_registry::Registry;
use serde_json::Value;

use crate::start;

/// One call by the schedule.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The registry.
    pub registry: Registry,
    /// What it was composed of.
    pub configuration: Arc<Configuration>,
    /// When Lambda ends the function, whatever it is doing.
    pub deadline: SystemTime,
}

/// Does `work` at each invocation, whatever its event: the `main` of a scheduled function. What
/// `work` returns is the invocation's result; an error makes the invocation a failed one, which
/// Lambda counts and retries.
pub fn on_schedule<W, F>(work: W) -> ExitCode
where
    W: Fn(Invocation) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = anyhow::Result<Value>> + Send,
{
    start::run(|configuration| {
        let registry = compose::registry(&configuration)?;
        let configuration = Arc::new(configuration);
        Ok(async move {
            let handler = lambda_runtime::service_fn(move |event: LambdaEvent<Value>| {
                let deadline = Duration::from_millis(event.context.deadline);
                let work = work.clone();
                let invocation = Invocation {
                    registry: registry.clone(),
                    configuration: Arc::clone(&configuration),
                    deadline: SystemTime::UNIX_EPOCH + deadline,
                };
                async move { work(invocation).await.map_err(start::diagnostic) }
            });
            let ended = lambda_runtime::run(handler).await;
            ended.map_err(|error| anyhow!(error))
        })
    })
}
