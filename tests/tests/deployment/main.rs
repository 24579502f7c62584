//! The deployment: what template.yaml and infra/ say, and what becomes of it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod defaults;
mod permissions;
mod routes;
mod stack;
