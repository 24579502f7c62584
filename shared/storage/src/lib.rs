//! Where bytes lie: the `Driver` contract, its in-memory implementation, decorators, and the test kit that every driver passes.

mod content;
mod error;

pub use content::{ByteStream, Content, FileRange};
pub use error::Error;
