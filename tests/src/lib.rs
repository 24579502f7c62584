//! Black-box tests of Roadstead: what they share.
//!
//! The tests talk to a registry as its users do: they write a configuration file, start the binary,
//! send bytes over a socket and look at the answer and at the files on disk. They link no crate of the
//! registry, so nothing here can drift along with a mistake in it.
//!
//! - [`Registry`] starts, stops, kills and restarts a registry; [`Implementation`] says which one, so that
//!   the same requests can go to Roadstead and to Distribution's `docker-registry`.
//! - [`Connection`] and [`Request`] are a small HTTP/1.1 client that sends exactly what it is told to.
//! - [`Image`] makes images from a seed; [`Digest`](digest) names content.
//! - A [`receiver::Receiver`] is who is told what happens.
//! - A [`Store`] is a directory, a bucket, or a bucket and a table, as ROADSTEAD_STORE says.
//! - [`users`] are three people with passwords.
//! - [`tool`] runs real clients such as skopeo, and [`skip!`] says aloud when one is missing.
//!
//! Nothing waits for a fixed time: [`wait::until`] polls a condition and fails at a deadline.

pub mod certificates;
pub mod client;
pub mod digest;
mod emulator;
pub mod event_bus;
pub mod faults;
pub mod http2;
pub mod image;
pub mod journal;
pub mod lambda;
pub mod ministack;
pub mod receiver;
pub mod registry;
pub mod skip;
pub mod store;
pub mod swift;
pub mod template;
pub mod tool;
pub mod users;
pub mod wait;
mod yaml;

pub use client::{Address, Connection, Request, Response, path_of};
pub use digest::{sha256, sha512};
pub use image::Image;
pub use registry::{Implementation, Registry};
pub use store::Store;
