//! Where bytes lie: the [`Driver`] contract and what every driver shares.
//!
//! A driver keeps bytes under [`Key`]s and promises little, but that firmly: a write appears
//! whole or not at all, it is durable when it returns, and an outage is never reported as
//! "not found". Everything else, from repositories to tags, is built upon that by other crates;
//! this one knows no digest, no manifest and no HTTP.
//!
//! Small operations that can be put in terms of the contract are in [`DriverExt`]; abilities
//! that only some back ends have are traits of their own, reached by an accessor
//! ([`Driver::signer`]).

mod content;
mod driver;
mod driver_ext;
mod error;
mod key;
mod memory;
pub mod redirection;
mod signer;
#[cfg(any(test, feature = "testkit"))]
pub mod testkit;

pub use content::{ByteStream, Content, FileRange};
pub use driver::{
    Apart, ByteRange, ContentStat, Driver, Entry, EntryKind, ListOptions, MEMO_LENGTH,
    NotedUploads, Object, Share, Stat, Turn, Upload, UploadNotes, Write, WriteMode,
};
pub use driver_ext::DriverExt;
pub use error::Error;
pub use key::Key;
pub use memory::MemoryDriver;
pub use signer::{Recipient, UrlSigner};
