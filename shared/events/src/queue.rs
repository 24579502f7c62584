//! Events that wait for their receiver, in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Envelope, Event, Sink};

/// How often it is tried again.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// After how many failures in a row there is a pause before each further attempt:
    /// Distribution's `threshold`.
    pub threshold: u64,
    /// How long the pause is: Distribution's `backoff`.
    pub backoff: Duration,
}

/// Delivers in the background, in the order in which events come, and tries until it succeeds.
///
/// Whoever adds an event never waits. What has no room is lost, and the log has its id.
#[derive(Debug)]
pub(crate) struct Queue {
    name: Arc<str>,
    waiting: UnboundedSender<Waiting>,
    /// Bytes that are free.
    room: Arc<Semaphore>,
    bytes: u32,
    count: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Waiting {
    event: Arc<Event>,
    _room: OwnedSemaphorePermit,
    _counted: Counted,
}

/// One of those that wait, until it is dropped.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    /// A queue for `bytes` of JSON before `sink`, which the current runtime empties.
    pub(crate) fn start(name: &str, sink: Arc<dyn Sink>, retry: Retry, bytes: u32) -> Self {
        let (waiting, receiver) = unbounded_channel();
        let name: Arc<str> = name.into();
        let worker = Worker {
            name: Arc::clone(&name),
            sink,
            retry,
            failures: 0,
        };
        tokio::spawn(worker.run(receiver));
        Self {
            name,
            waiting,
            room: Arc::new(Semaphore::new(bytes as usize)),
            bytes,
            count: Arc::default(),
        }
    }

    /// Adds an event that is so many bytes of JSON.
    pub(crate) fn add(&self, event: &Arc<Event>, bytes: u32) {
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes);
        let added = room.ok().is_some_and(|room| {
            let waiting = Waiting {
                event: Arc::clone(event),
                _room: room,
                _counted: Counted::new(&self.count),
            };
            self.waiting.send(waiting).is_ok()
        });
        if !added {
            tracing::error!(
                event.id = %event.id,
                event.action = %event.action,
                event.repository = event.target.repository,
                "the queue of notifications for {} is full: an event is lost", self.name
            );
        }
    }

    /// Waits until everything is delivered, for `time` at the most; gives how many events are not.
    pub(crate) async fn drained(&self, time: Duration) -> usize {
        // All room is free when nothing waits.
        let empty = self.room.acquire_many(self.bytes);
        match tokio::time::timeout(time, empty).await {
            Ok(_) => 0,
            Err(_) => self.count.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

struct Worker {
    name: Arc<str>,
    sink: Arc<dyn Sink>,
    retry: Retry,
    /// In a row.
    failures: u64,
}

impl Worker {
    async fn run(mut self, mut receiver: UnboundedReceiver<Waiting>) {
        let most = self.sink.most();
        let mut waiting = Vec::new();
        while receiver.recv_many(&mut waiting, most).await > 0 {
            let events = waiting.iter().map(|waiting| Arc::clone(&waiting.event));
            let envelope = Envelope {
                events: events.collect(),
            };
            self.deliver(&envelope).await;
            waiting.clear();
        }
    }

    async fn deliver(&mut self, envelope: &Envelope) {
        while let Err(error) = self.sink.deliver(envelope).await {
            self.failures += 1;
            // A receiver that is down for long is not worth a line each time.
            if self.failures.is_power_of_two() {
                let ids: Vec<_> = envelope.events.iter().map(|event| event.id).collect();
                tracing::warn!(
                    event.id = ?ids,
                    error = error.chain(),
                    "a notification for {} failed {} times in a row, and is tried again", self.name, self.failures
                );
            }
            if self.failures >= self.retry.threshold {
                tokio::time::sleep(self.retry.backoff).await;
            }
        }
        if self.failures > 0 {
            tracing::info!(
                "notifications for {} are delivered again, after {} failures",
                self.name,
                self.failures
            );
            self.failures = 0;
        }
    }
}
