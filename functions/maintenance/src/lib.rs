//! Maintenance: garbage collection and the purge of uploads, as long as an invocation lasts.
//!
//! What one invocation does not get done, the next one goes on with, also when this one is killed;
//! the schedule need not know how much there is. Pushes may go on meanwhile. Of invocations that
//! overlap one collects garbage, and the others leave it to that one.

#![cfg(feature = "lambda")]

use std::time::{Duration, SystemTime};

use anyhow::Context;
use roadstead_lambda::Invocation;
use roadstead_registry::{CollectOptions, Collected, Finding, Purge, Purged};
use serde_json::{Value, json};

/// What of an invocation's time is left for the step that is under way when the rest is over, and
/// for keeping what was found.
const RESERVE: u32 = 5;

/// What of an invocation's time the purge may take for its steps.
const PURGE: u32 = 3;

/// What of an invocation's time the purge ends after, whatever it is doing.
const PURGE_AT_MOST: u32 = 2;

/// Purges uploads that nobody will finish, then collects garbage; what it did is the result.
///
/// # Errors
///
/// A back end that failed; the next invocation tries again.
pub async fn run(invocation: Invocation) -> anyhow::Result<Value> {
    let left = invocation.deadline.duration_since(SystemTime::now());
    let left = left.unwrap_or_default();
    let stop = invocation.deadline - left / RESERVE;
    let purged = purge(&invocation, left).await?;
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
    let is_purged = purged.is_some_and(|purge| purge.is_finished);
    Ok(json!({
        "uploads": purged.map(|purge| purge.purged.deleted),
        "blobs": deleted,
        "collection": match collected {
            Collected::Finished(_) => "finished",
            Collected::Unfinished => "unfinished",
            Collected::Elsewhere => "elsewhere",
        },
        "finished": is_purged && matches!(collected, Collected::Finished(_)),
    }))
}

/// Nothing when it was cut off; what was purged until then is.
async fn purge(invocation: &Invocation, left: Duration) -> anyhow::Result<Option<Purge>> {
    let purging = &invocation.configuration.storage.maintenance.uploadpurging;
    if !purging.enabled {
        return Ok(Some(Purge {
            purged: Purged::default(),
            is_finished: true,
        }));
    }
    let stop = SystemTime::now() + left / PURGE;
    let go_on = || SystemTime::now() < stop;
    let registry = &invocation.registry;
    let purged = registry.purge_uploads_while(purging.age, purging.dryrun, &go_on);
    match tokio::time::timeout(left / PURGE_AT_MOST, purged).await {
        Ok(purged) => Ok(Some(purged.context("failed to purge uploads")?)),
        Err(_) => Ok(None),
    }
}
