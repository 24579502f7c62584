//! Maintenance: garbage collection and the purge of uploads.

#![cfg(feature = "lambda")]

use anyhow::Context;
use roadstead_lambda::Invocation;
use roadstead_registry::CollectOptions;
use serde_json::{Value, json};

/// Purges uploads that nobody will finish, then collects garbage.
///
/// # Errors
///
/// A back end that failed; the next invocation tries again.
pub async fn run(invocation: Invocation) -> anyhow::Result<Value> {
    let maintenance = &invocation.configuration.storage.maintenance;
    let age = maintenance.uploadpurging.age;
    let purged = invocation.registry.purge_uploads(age, false).await;
    let purged = purged.context("failed to purge uploads")?;
    let options = CollectOptions {
        dry_run: false,
        delete_untagged: false,
        grace: maintenance.garbagecollect.graceage,
    };
    let mut unheard = |_| ();
    let collected = invocation.registry.collect_garbage(options, &mut unheard);
    let collected = collected.await.context("failed to collect garbage")?;
    Ok(json!({
        "uploads": purged.deleted,
        "blobs": collected.blobs,
        "manifests": collected.manifests,
    }))
}
