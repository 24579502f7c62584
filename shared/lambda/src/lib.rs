//! The Lambda front: from configuration to a function that answers events.
//!
//! [`serve`] is the `main` of a function with routes, [`on_schedule`] of one without. Both read
//! the configuration that the server reads, compose the same registry of it, and poll the runtime
//! API; before the first poll nothing is asked of S3, DynamoDB or the machine, so that a cold
//! start costs no more than the process itself.
//!
//! Events come and go through `lambda_http`, which takes them apart as AWS documents them. It is
//! not left to guess what of an answer is text: every body is sent as the bytes it has.

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
