//! The Lambda front: from configuration to a function that answers events.
//!
//! [`serve`] is the `main` of a function with routes, [`on_schedule`] of one without. Both read
//! the configuration that the server reads, compose the same registry of it, and poll the runtime
//! API; before the first poll nothing is asked of S3, DynamoDB or the machine, so that a cold
//! start costs no more than the process itself.
//!
//! AWS's `lambda_runtime` speaks to the runtime API. Its companion `lambda_http`, which makes
//! requests of events, is left out: it reads an answer's body as text when the type is JSON or
//! alike, which changes manifests; it sends one of several headers of a name, where a push of many
//! tags answers with several; it resolves dots in paths; and it panics at a `X-Forwarded-Proto`
//! that is none. What it would save is two structs.

mod answer;
mod event;
mod limit;
mod logs;
mod schedule;
mod serve;
mod start;

pub use limit::MOST;
pub use schedule::{Invocation, on_schedule};
pub use serve::serve;
