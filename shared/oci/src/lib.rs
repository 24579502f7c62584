//! The vocabulary of the OCI distribution specification, as types that cannot hold anything else.
//!
//! Parse once at the edge; past it no `String` stands for a [`RepositoryName`], a [`Tag`] or a
//! [`Digest`]. A [`Manifest`] is a view on pushed bytes: what a registry must know of them, and
//! no more; the bytes themselves are stored and served untouched and never written again from
//! the view. [`ErrorCode`] names what a registry answers when it refuses.
//!
//! This crate does no I/O and knows no other crate of the project.

mod digest;
mod digester;
mod error_code;
mod keys;
mod manifest;
pub mod media_type;
mod object;
mod reference;
mod repository_name;
mod tag;

pub use digest::{Algorithm, Digest, InvalidDigest};
pub use digester::{Digester, InvalidState, SHA256_STATE_LENGTH, Sha256State};
pub use error_code::ErrorCode;
pub use manifest::{
    Descriptor, InvalidManifest, Kind, MAX_MANIFEST_SIZE, Manifest, Platform, Role,
};
pub use reference::{InvalidReference, Reference};
pub use repository_name::{InvalidName, RepositoryName};
pub use tag::{InvalidTag, Tag};
