//! CNCF Distribution's files as metadata, over any storage driver.
//!
//! A directory or bucket that registry 2 or 3 wrote is served as it is, and they go on with what
//! this crate writes: the tree in `paths.rs` is theirs to the byte. What Roadstead knows beyond
//! it, referrers for one, lies where they do not look. Links are small files; a push is a batch
//! of them in an order that a crash cannot turn into a tag without a manifest.

mod aliases;
mod blobs;
mod cache;
mod catalog;
mod layout;
mod links;
mod manifests;
mod paths;
mod push;
mod referrers;
mod sweep;
mod tags;
mod uploads;

pub use layout::{Layout, Options};
