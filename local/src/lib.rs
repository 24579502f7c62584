//! The server around the routes: where it listens, how bytes reach a connection, what it logs.
//!
//! What the routes answer is not known here; the binary's composition hands one service to
//! [`serve::serve`].

pub mod access_log;
mod duration;
pub mod listen;
pub mod logs;
pub mod observe;
mod redact;
pub mod request_log;
pub mod router;
pub mod serve;
pub mod shutdown;
