//! The core over the in-memory driver: what a client was told stays true, whatever else goes on.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::duplicate_mod,
    reason = "the same tests over two kinds of stores"
)]

mod drivers;
mod garbage;
mod kit;
mod middleware;
mod model;
mod noted;
mod purge;
mod recent;
mod recorded;
mod relinked;
mod resume;
mod servers;
