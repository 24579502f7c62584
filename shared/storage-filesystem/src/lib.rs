//! The filesystem driver: durable writes, atomic renames, reads without a copy.
//!
//! A key is a path below the root, and its content a file there, byte for byte and name for name
//! what CNCF Distribution keeps; both may work on one tree. Writes are renamed into place, an
//! upload is its own file that grows, and what is read is the open file or, when small, its
//! bytes. What the kernel has in memory is answered without a change of threads.
//!
//! Symbolic links are followed, also out of the root, as Distribution does, so that an operator
//! can put a part of the tree on another disk; deleting removes the link alone. Whoever can make
//! links below the root can make the driver read and write what it may: the tree is trusted.
//!
//! A crash can leave files named `<name>.<uuid>.tmp`. No operation shows them, and deleting the
//! directory they are in deletes them; keys of that form cannot be written.
//!
//! Beside the keys, a process keeps its journal in the folder `roadstead~journal` (see
//! [`Sync::Journal`]), which is gone when it ends cleanly.
//!
//! A key cannot be both content and a prefix here, and a component has at most 255 bytes.

mod cached;
mod config;
mod delete;
mod directory;
mod disk;
mod driver;
mod durable;
mod error;
mod journal;
mod listing;
mod ordered;
mod range;
mod read;
mod rename;
mod temporary;
mod together;
mod turn;
mod upload;
mod write;

pub use config::{Config, Sync};
pub use driver::FilesystemDriver;
