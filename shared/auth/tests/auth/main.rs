//! Tokens and token servers from outside: every algorithm, every forgery.

#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod certificates;
mod forgeries;
mod identities;
mod issuer;
mod kit;
mod properties;
mod tokens;
