//! The deployment: what template.yaml and infra/ say, and what becomes of it.

#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

mod defaults;
mod deployed;
mod every_option;
mod permissions;
mod routes;
mod stack;
