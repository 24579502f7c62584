//! What holds for every path, header, query and token that a client can send.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod conditional;
mod fold;
mod names;
mod query;
mod upload_state;
mod urls;
