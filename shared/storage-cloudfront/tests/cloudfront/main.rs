//! The middleware from outside, its signatures checked by OpenSSL.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod feed;
mod signatures;
mod support;
