//! Moving what a registry holds from one store of metadata to another, over the same storage.
//!
//! [`import`] makes a store that can point anywhere, such as a table, say what Distribution's
//! layout says: no blob is touched, as the new rows point to where the layout has it. [`export`]
//! is the way back: blobs that lie elsewhere are moved to their places in the layout, so that
//! another registry finds them.
//!
//! Both only add, unless they are told to mirror; both go on where they were stopped, as what is
//! there already is left alone, and change nothing when they are done again. Uploads under way
//! stay behind. While they run nothing else may write to either store, nor collect garbage: this
//! crate has no way to see to that.
//!
//! It knows the traits of metadata and storage, and neither a layout nor a table.

mod blobs;
mod finding;
mod migration;
mod repository;

pub use finding::{Finding, Part, Summary};
pub use migration::{Error, Options, Stores, export, import};
