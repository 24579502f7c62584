//! The server around the routes: where it listens, how bytes reach a connection, what it logs.
//!
//! What the routes answer is not known here; the binary's composition hands one service to
//! [`serve::serve`].

mod duration;
pub mod listen;
pub mod logs;
pub mod serve;
pub mod shutdown;
