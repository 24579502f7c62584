//! The core over the in-memory driver: what a client was told stays true, whatever else goes on.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod drivers;
mod faults;
mod garbage;
mod kit;
mod middleware;
mod model;
mod purge;
mod races;
mod resume;
mod uploads;
