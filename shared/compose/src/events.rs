//! Who is told what happens: the configuration's `notifications`.

#[cfg(feature = "eventbridge")]
mod eventbridge;

use std::sync::Arc;

use anyhow::Context;
use http::{HeaderName, HeaderValue};
use roadstead_configuration::Configuration;
use roadstead_configuration::notifications::Endpoint;
use roadstead_events::{Broadcaster, Delivery, Filter, HttpEndpoint, Outlet, Retry, Source};

use crate::{Shared, Storage};

/// Whoever the configuration names; `None` where it names nobody. Of the [`storage`](crate::storage)
/// it takes what that shares with other back ends.
///
/// To deliver in the background takes a runtime, which this has to be called in.
///
/// # Errors
///
/// A URL or a header that cannot be one.
pub fn events(
    configuration: &Configuration,
    storage: &Storage,
    delivery: Delivery,
) -> anyhow::Result<Option<Arc<Broadcaster>>> {
    let notifications = &configuration.notifications;
    let mut outlets = Vec::new();
    for (index, written) in notifications.endpoints.iter().enumerate() {
        if written.disabled {
            continue;
        }
        let outlet = endpoint(written, delivery);
        outlets.push(outlet.with_context(|| format!("notifications.endpoints[{index}]"))?);
    }
    if let Some(written) = &notifications.eventbridge {
        let outlet = eventbridge(written, delivery, &storage.shared);
        outlets.push(outlet.context("notifications.eventbridge")?);
    }
    if outlets.is_empty() {
        return Ok(None);
    }
    let includes_references = notifications.events.includereferences;
    let source = source(&configuration.http.addr);
    let events = Broadcaster::new(source, includes_references, outlets);
    Ok(Some(Arc::new(events)))
}

fn endpoint(written: &Endpoint, delivery: Delivery) -> anyhow::Result<Outlet> {
    let mut headers = Vec::new();
    for (name, values) in &written.headers {
        let name: HeaderName = name.parse().with_context(|| format!("headers: {name}"))?;
        for value in values {
            // The error does not show the value.
            let value = HeaderValue::from_str(value.expose());
            let mut value = value.with_context(|| format!("headers: {name}"))?;
            value.set_sensitive(true);
            headers.push((name.clone(), value));
        }
    }
    let url = written.url.as_deref().unwrap_or_default();
    let sink = HttpEndpoint::new(url, headers, written.timeout).context("url")?;
    let mut ignored = written.ignoredmediatypes.clone();
    ignored.extend(written.ignore.mediatypes.iter().cloned());
    let filter = Filter {
        media_types: ignored,
        actions: written.ignore.actions.clone(),
    };
    let retry = Retry {
        threshold: written.threshold,
        backoff: written.backoff,
    };
    let name = written
        .name
        .as_deref()
        .unwrap_or("an endpoint without a name");
    Ok(Outlet::new(name, filter, Arc::new(sink), delivery, retry))
}

#[cfg(feature = "eventbridge")]
fn eventbridge(
    written: &roadstead_configuration::notifications::EventBridge,
    delivery: Delivery,
    shared: &Shared,
) -> anyhow::Result<Outlet> {
    eventbridge::eventbridge(written, delivery, shared.credentials.clone())
}

#[cfg(not(feature = "eventbridge"))]
fn eventbridge(
    _: &roadstead_configuration::notifications::EventBridge,
    _: Delivery,
    _: &Shared,
) -> anyhow::Result<Outlet> {
    anyhow::bail!("EventBridge is not built")
}

/// This process: the host and the port that it listens on, and an id of its own, as Distribution
/// has them.
fn source(addr: &str) -> Source {
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy().into_owned();
    let port = addr.rsplit_once(':').map(|(_, port)| port);
    let addr = match port.filter(|port| !port.is_empty()) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    };
    Source {
        addr,
        instance_id: uuid::Uuid::now_v7().to_string(),
    }
}
