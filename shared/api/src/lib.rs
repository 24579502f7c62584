//! The HTTP edge: folding paths, extracting, answering, and the one table from error codes to statuses.

pub mod body;
pub mod connection;

pub use connection::{Connection, Peer, RequestId};
