//! Events as entries of a call, as many as one takes.

use serde::Serialize;

use super::{EventBridge, EventBridgeOptions};
use crate::Event;

/// The most entries of a call (EventBridge API Reference, "PutEvents").
pub(super) const MOST: usize = 10;

/// The most bytes of all entries of a call (EventBridge User Guide, "Calculating PutEvents event
/// entry size").
const LARGEST: usize = 256 * 1024;

/// The body of a call.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Call<'a> {
    pub(super) entries: &'a [Entry],
}

/// An event on a bus.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    /// In seconds since 1970.
    time: i64,
    source: String,
    detail_type: &'static str,
    /// JSON.
    detail: String,
    event_bus_name: String,
}

impl Entry {
    /// `event`; one that is too large is without the references of its manifest.
    pub(super) fn of(event: &Event, options: &EventBridgeOptions) -> serde_json::Result<Self> {
        let entry = Self::with(serde_json::to_string(event)?, event, options);
        if entry.bytes() <= LARGEST || event.target.references.is_empty() {
            return Ok(entry);
        }
        tracing::warn!(
            event.id = %event.id,
            "an event is too large for EventBridge: it is sent without references"
        );
        let mut shorter = event.clone();
        shorter.target.references.clear();
        Ok(Self::with(serde_json::to_string(&shorter)?, event, options))
    }

    fn with(detail: String, event: &Event, options: &EventBridgeOptions) -> Self {
        Self {
            time: event.timestamp.unix_timestamp(),
            source: options.source.clone(),
            detail_type: EventBridge::DETAIL_TYPE,
            detail,
            event_bus_name: options.bus.clone(),
        }
    }

    /// As EventBridge counts them: 14 for the time, and all texts but the bus in UTF-8.
    fn bytes(&self) -> usize {
        14 + self.source.len() + self.detail_type.len() + self.detail.len()
    }
}

/// Cuts `entries` into calls.
pub(super) fn batches(entries: &[Entry]) -> impl Iterator<Item = &[Entry]> {
    let mut rest = entries;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = rest.iter().take(MOST).take_while(|entry| {
            bytes += entry.bytes();
            bytes <= LARGEST
        });
        // One that is too large alone is for EventBridge to refuse.
        let count = fits.count().max(1).min(rest.len());
        let (batch, later) = rest.split_at(count);
        rest = later;
        (!batch.is_empty()).then_some(batch)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry {
            time: 0,
            source: String::new(),
            detail_type: "",
            detail: "x".repeat(bytes - 14),
            event_bus_name: "a bus of any length".to_owned(),
        }
    }

    #[test]
    fn a_call_has_no_more_than_one_takes() {
        for (sizes, expected) in [
            (vec![], vec![]),
            (vec![100; 10], vec![10]),
            (vec![100; 21], vec![10, 10, 1]),
            (vec![LARGEST], vec![1]),
            (vec![LARGEST / 2, LARGEST / 2, 100], vec![2, 1]),
            (vec![100, LARGEST, 100], vec![1, 1, 1]),
            (vec![LARGEST + 1, 100, 100], vec![1, 2]),
        ] {
            let entries: Vec<_> = sizes.iter().map(|bytes| entry(*bytes)).collect();
            let lengths: Vec<_> = batches(&entries).map(<[Entry]>::len).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
        }
    }
}
