//! What happened in a registry, and who is told.
//!
//! An [`Event`] is CNCF Distribution's, field for field, so that whoever receives its
//! notifications receives these. A [`Broadcaster`] hands each to its outlets: a [`Filter`], and a
//! [`Sink`] behind a queue, or before which the caller waits. A process that lives on queues and
//! answers; one that may be frozen after its answer has to wait.
//!
//! This crate does not know how an event arises: whoever speaks with clients makes it, as only
//! they know the request.

mod broadcaster;
mod event;
#[cfg(feature = "eventbridge")]
mod eventbridge;
mod filter;
#[cfg(feature = "web")]
mod http;
mod queue;
mod references;
mod sink;

#[cfg(feature = "web")]
pub use crate::http::{HttpEndpoint, InvalidEndpoint};
pub use broadcaster::{Broadcaster, Delivery, Outlet};
pub use event::{Action, Actor, Envelope, Event, RequestRecord, Source, Target};
#[cfg(feature = "eventbridge")]
pub use eventbridge::{EventBridge, EventBridgeOptions};
pub use filter::Filter;
pub use queue::Retry;
pub use references::Reference;
pub use sink::{Sink, Undelivered};
