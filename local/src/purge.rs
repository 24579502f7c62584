//! The purging of old uploads, again and again while the server runs.

use std::time::Duration;

use roadstead_configuration::storage::UploadPurging;
use roadstead_registry::Registry;
use tokio::task::JoinHandle;

use crate::duration::Go;

/// Purges on the configured schedule until the handle is aborted. The first run comes within the
/// first hour, at a minute that differs from process to process, so that the replicas of one
/// store do not all walk it at once.
pub fn spawn(registry: Registry, schedule: &UploadPurging) -> JoinHandle<()> {
    let UploadPurging {
        enabled,
        age,
        interval,
        dryrun,
        delay,
    } = *schedule;
    tokio::spawn(async move {
        if !enabled {
            return;
        }
        let mut pause = delay.unwrap_or_else(first_pause);
        loop {
            tracing::info!("Starting upload purge in {}", Go(pause));
            tokio::time::sleep(pause).await;
            run(&registry, age, dryrun).await;
            pause = interval;
        }
    })
}

async fn run(registry: &Registry, age: Duration, dry_run: bool) {
    let delete = !dry_run;
    tracing::info!(
        "PurgeUploads starting: olderThan={}, actuallyDelete={delete}",
        Go(age)
    );
    match registry.purge_uploads(age, dry_run).await {
        Ok(purged) => tracing::info!(
            "Purge uploads finished. Num deleted={}, num errors={}",
            purged.deleted,
            purged.errors
        ),
        Err(error) => tracing::error!(%error, "uploads cannot be purged"),
    }
}

fn first_pause() -> Duration {
    let minutes = uuid::Uuid::new_v4().as_bytes()[0] % 60;
    Duration::from_secs(u64::from(minutes) * 60)
}
