//! Maintenance: garbage collection and the purge of uploads, as long as an invocation lasts.
//!
//! What one invocation does not get done, the next one goes on with; the schedule need not know
//! how much there is. Pushes may go on meanwhile, and invocations may overlap.

#![cfg(feature = "lambda")]

use std::time::{Duration, SystemTime};

use anyhow::Context;
use roadstead_lambda::Invocation;
use roadstead_registry::{CollectOptions, Finding, Purged};
use serde_json::{Value, json};

/// What of an invocation's time is left for the step that is under way when the rest is over, and
/// for keeping what was found.
const RESERVE: u32 = 5;

/// Purges uploads that nobody will finish, then collects garbage; what it did is the result.
///
/// # Errors
///
/// A back end that failed; the next invocation tries again.
pub async fn run(invocation: Invocation) -> anyhow::Result<Value> {
    let left = invocation.deadline.duration_since(SystemTime::now());
    let left = left.unwrap_or_default();
    let stop = invocation.deadline - left / RESERVE;
    let purged = purge(&invocation, left / 2).await?;
    let maintenance = &invocation.configuration.storage.maintenance;
    let options = CollectOptions {
        dry_run: false,
        delete_untagged: false,
        grace: maintenance.garbagecollect.graceage,
    };
    let mut deleted = 0_u64;
    let mut report = |finding| match finding {
        Finding::BlobDeleted(digest, location) => {
            deleted += 1;
            tracing::info!(blob.digest = %digest, "deleting the blob at {location}");
        }
        Finding::Unreadable(repository, digest) => {
            tracing::error!(repository.name = %repository, manifest.digest = %digest, "a manifest cannot be read: everything in its repository is kept");
        }
        _ => {}
    };
    let go_on = || SystemTime::now() < stop;
    let collected = invocation
        .registry
        .collect_garbage_while(options, &go_on, &mut report);
    let collected = collected.await.context("failed to collect garbage")?;
    Ok(json!({
        "uploads": purged.as_ref().map(|purged| purged.deleted),
        "blobs": deleted,
        "finished": purged.is_some() && collected.is_some(),
    }))
}

/// Nothing when the time was up; what was purged until then is.
async fn purge(invocation: &Invocation, time: Duration) -> anyhow::Result<Option<Purged>> {
    let purging = &invocation.configuration.storage.maintenance.uploadpurging;
    if !purging.enabled {
        return Ok(Some(Purged::default()));
    }
    let purged = invocation
        .registry
        .purge_uploads(purging.age, purging.dryrun);
    match tokio::time::timeout(time, purged).await {
        Ok(purged) => Ok(Some(purged.context("failed to purge uploads")?)),
        Err(_) => Ok(None),
    }
}
