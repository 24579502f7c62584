//! DynamoDB as metadata, over MiniStack: the suite that every back end passes, and what a network
//! and other processes do to it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod contract;
mod expiry;
mod gone;
mod import;
mod kit;
mod proxy;
mod races;
mod refused;
mod registry;
mod retries;
mod store;
