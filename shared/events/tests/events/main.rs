//! Who is told what, and when.

#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod broadcaster;
#[cfg(feature = "eventbridge")]
mod eventbridge;
mod kit;
mod shape;
