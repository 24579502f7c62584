//! The server around the routes: where it listens, how bytes reach a connection, what it logs.
//!
//! What the routes answer is not known here; the binary's composition hands one service to
//! [`serve::serve`].

pub mod access_log;
pub mod command;
pub mod debug;
mod duration;
pub mod file_limit;
pub mod front;
pub mod health;
pub mod listen;
pub mod logs;
pub mod memory;
pub mod metrics;
pub mod observe;
pub mod purge;
mod redact;
pub mod request_log;
pub mod router;
pub mod serve;
pub mod shutdown;
pub mod tls;

/// The runtime that commands run on: a worker a processor.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
