//! CNCF Distribution's files: what is written is theirs to the byte, what they left is served.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod catalog;
mod damage;
mod deleted;
mod golden;
mod kit;
mod order;
mod referrers;
