//! `notifications.eventbridge`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use aws_credential_types::provider::SharedCredentialsProvider;
use roadstead_configuration::notifications::EventBridge;
use roadstead_events::{Delivery, EventBridgeOptions, Filter, Outlet, Retry};

use crate::aws::{self, NO_REGION};

/// A bus has no keys for these: AWS throttles for seconds.
const RETRY: Retry = Retry {
    threshold: 1,
    backoff: Duration::from_secs(1),
};

pub(super) fn eventbridge(
    written: &EventBridge,
    delivery: Delivery,
    shared: SharedCredentialsProvider,
) -> anyhow::Result<Outlet> {
    let region = written.region.as_deref().unwrap_or(NO_REGION);
    let keys = aws::keys(written.accesskey.as_deref(), written.secretkey.as_ref());
    let credentials = keys.unwrap_or(shared);
    let options = EventBridgeOptions {
        bus: written.bus.clone().context("no bus is named")?,
        source: written.source.clone(),
        region: region.to_owned(),
        endpoint: written.endpoint.clone(),
        timeout: written.timeout,
    };
    let sink = roadstead_events::EventBridge::new(options, credentials)?;
    let filter = Filter {
        media_types: written.ignore.mediatypes.clone(),
        actions: written.ignore.actions.clone(),
    };
    Ok(Outlet::new(
        "EventBridge",
        filter,
        Arc::new(sink),
        delivery,
        RETRY,
    ))
}
