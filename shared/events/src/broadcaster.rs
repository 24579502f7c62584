//! From one event to all who are told.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::queue::Queue;
use crate::{Action, Envelope, Event, Filter, Retry, Sink, Source};

/// The most bytes of events that wait for one receiver: some 15,000 events without references.
const ROOM: u32 = 16 * 1024 * 1024;

/// How often delivery is tried before the answer.
const ATTEMPTS: u32 = 3;

/// How long there is nothing between two of these attempts; twice that after the second one.
const PAUSE: Duration = Duration::from_millis(100);

/// When events are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// In the background, by the runtime that the outlet is made in.
    Queued,
    /// Before [`Broadcaster::publish`] returns, in a few attempts: for a process that may be frozen
    /// or ended as soon as it has answered.
    BeforeAnswer,
}

/// One receiver, and what it wants.
#[derive(Debug)]
pub struct Outlet {
    name: String,
    filter: Filter,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Queue(Queue),
    Sink(Arc<dyn Sink>),
}

impl Outlet {
    /// `sink`, which logs call `name`.
    pub fn new(
        name: &str,
        filter: Filter,
        sink: Arc<dyn Sink>,
        delivery: Delivery,
        retry: Retry,
    ) -> Self {
        let way = match delivery {
            Delivery::Queued => Way::Queue(Queue::start(name, sink, retry, ROOM)),
            Delivery::BeforeAnswer => Way::Sink(sink),
        };
        let name = name.to_owned();
        Self { name, filter, way }
    }

    async fn publish(&self, events: &[(Arc<Event>, u32)]) {
        let wanted = events.iter().filter(|(event, _)| self.filter.passes(event));
        match &self.way {
            Way::Queue(queue) => wanted.for_each(|(event, bytes)| queue.add(event, *bytes)),
            Way::Sink(sink) => {
                let wanted: Vec<_> = wanted.map(|(event, _)| Arc::clone(event)).collect();
                for events in wanted.chunks(sink.most()) {
                    let events = events.to_vec();
                    self.deliver(sink.as_ref(), &Envelope { events }).await;
                }
            }
        }
    }

    /// What cannot be delivered is lost: what it is about is done, and the client has to be told so.
    async fn deliver(&self, sink: &dyn Sink, envelope: &Envelope) {
        let mut attempt = 1;
        while let Err(error) = sink.deliver(envelope).await {
            if attempt == ATTEMPTS {
                let error = error.chain();
                for event in &envelope.events {
                    tracing::error!(
                        event.id = %event.id,
                        event.action = %event.action,
                        event.repository = event.target.repository,
                        error,
                        "an event was not delivered to {}", self.name
                    );
                }
                return;
            }
            tokio::time::sleep(PAUSE * attempt).await;
            attempt += 1;
        }
    }
}

/// Hands every event to all outlets.
#[derive(Debug)]
pub struct Broadcaster {
    source: Source,
    includes_references: bool,
    outlets: Vec<Outlet>,
}

impl Broadcaster {
    /// Events are from `source`, and list what manifests consist of if `includes_references`.
    pub fn new(source: Source, includes_references: bool, outlets: Vec<Outlet>) -> Self {
        Self {
            source,
            includes_references,
            outlets,
        }
    }

    /// Where events are from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Distribution's `notifications.events.includereferences`.
    pub fn includes_references(&self) -> bool {
        self.includes_references
    }

    /// Whether anybody wants to know of this action on content of this media type.
    pub fn is_wanted(&self, action: Action, media_type: &str) -> bool {
        let mut outlets = self.outlets.iter();
        outlets.any(|outlet| outlet.filter.would_pass(action, media_type))
    }

    /// Hands on what one request brought about. It cannot fail: what happened has happened, and
    /// what is not delivered is in the log, with its id.
    pub async fn publish(&self, events: Vec<Event>) {
        let sized = |event: Event| {
            let json = serde_json::to_string(&event).unwrap_or_default();
            (
                Arc::new(event),
                u32::try_from(json.len()).unwrap_or(u32::MAX),
            )
        };
        let events: Vec<_> = events.into_iter().map(sized).collect();
        join_all(self.outlets.iter().map(|outlet| outlet.publish(&events))).await;
    }

    /// Waits until nothing is queued, for `time` at the most, before a process ends; what is left
    /// then is lost, and the log says how many events that are.
    pub async fn drain(&self, time: Duration) {
        let queues = self.outlets.iter().filter_map(|outlet| match &outlet.way {
            Way::Queue(queue) => Some(queue),
            Way::Sink(_) => None,
        });
        join_all(queues.map(async |queue| match queue.drained(time).await {
            0 => {}
            lost => tracing::error!(
                "{lost} events for {} were not delivered before the end: they are lost",
                queue.name()
            ),
        }))
        .await;
    }
}
