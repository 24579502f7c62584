//! What holds for every text, every byte and every way to cut them.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod digester;
mod grammar;
mod manifest;
