//! The HTTP edge: what every route group needs to speak the specification's HTTP.
//!
//! A route group is an [`axum::Router`] over [`Api`] whose handlers take the extractors of
//! [`extract`], make one call of the core and answer with [`response`]; [`edge()`] surrounds one
//! group or all of them with what is the same everywhere. Only this crate writes errors down,
//! and only [`error::status`] knows which status belongs to which code.

mod authorize;
pub mod body;
pub mod client;
pub mod conditional;
pub mod connection;
mod cors;
mod detached;
mod edge;
pub mod error;
pub mod extract;
pub mod fold;
mod forwarded;
mod notifier;
mod origin_secret;
pub mod response;
mod signature;
mod state;
mod upload_origin;
mod upload_state;
mod urls;

pub use authorize::{Caller, User, authorized, open_to_all, refused};
pub use client::{Client, TrustedProxies};
pub use connection::{Connection, Peer, RequestId};
pub use cors::{Cors, CorsOptions, InvalidCors, with_cors};
pub use detached::detached;
pub use edge::edge;
pub use error::Error;
pub use notifier::Notifier;
pub use origin_secret::{ORIGIN_SECRET, OriginSecret, guarded};
pub use state::{Api, ApiOptions};
pub use upload_origin::{UploadOrigin, UploadToken};
pub use upload_state::{Secret, UploadState};
pub use urls::{RegistryOrigin, UrlOptions, Urls};
