//! Events, and a sink that does as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use roadstead_events::{
    Action, Actor, Broadcaster, Delivery, Envelope, Event, Filter, Outlet, RequestRecord, Retry,
    Sink, Source, Target, Undelivered,
};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) fn event(action: Action, target: Target) -> Event {
    Event {
        id: Uuid::now_v7(),
        timestamp: OffsetDateTime::UNIX_EPOCH,
        action,
        target,
        request: RequestRecord {
            id: "r".to_owned(),
            addr: "192.0.2.1:7".to_owned(),
            host: "h".to_owned(),
            method: "PUT".to_owned(),
            useragent: String::new(),
        },
        actor: Actor { name: None },
        source: source(),
    }
}

pub(crate) fn push() -> Event {
    let digest = roadstead_oci::Digester::digest(roadstead_oci::Algorithm::Sha256, b"x");
    let name = "a/b".parse().unwrap();
    event(Action::Push, Target::content(&name, &digest, "m", 1))
}

pub(crate) fn source() -> Source {
    Source {
        addr: "host:5000".to_owned(),
        instance_id: "i".to_owned(),
    }
}

/// Fails for as long as it is down, and remembers what it was given.
#[derive(Debug)]
pub(crate) struct Receiver {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Failures still to come.
    failures: u64,
    attempts: u64,
    received: VecDeque<Vec<Uuid>>,
}

impl Receiver {
    pub(crate) fn new(most: usize, failures: u64) -> Arc<Self> {
        let state = State {
            failures,
            ..State::default()
        };
        Arc::new(Self {
            most,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn attempts(&self) -> u64 {
        self.state.lock().unwrap().attempts
    }

    /// The ids of each envelope.
    pub(crate) fn received(&self) -> Vec<Vec<Uuid>> {
        self.state
            .lock()
            .unwrap()
            .received
            .iter()
            .cloned()
            .collect()
    }
}

#[async_trait]
impl Sink for Receiver {
    fn most(&self) -> usize {
        self.most
    }

    async fn deliver(&self, envelope: &Envelope) -> Result<(), Undelivered> {
        let mut state = self.state.lock().unwrap();
        state.attempts += 1;
        if state.failures > 0 {
            state.failures -= 1;
            let (status, reason) = (503, None);
            return Err(Undelivered::Answer { status, reason });
        }
        let ids = envelope.events.iter().map(|event| event.id);
        state.received.push_back(ids.collect());
        Ok(())
    }
}

pub(crate) const RETRY: Retry = Retry {
    threshold: 10,
    backoff: Duration::from_secs(60),
};

pub(crate) fn broadcaster(sink: &Arc<Receiver>, filter: Filter, delivery: Delivery) -> Broadcaster {
    let sink = Arc::clone(sink) as Arc<dyn Sink>;
    let outlet = Outlet::new("test", filter, sink, delivery, RETRY);
    Broadcaster::new(source(), false, vec![outlet])
}
