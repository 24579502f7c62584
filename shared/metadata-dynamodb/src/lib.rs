//! Metadata in one DynamoDB table.
//!
//! Each write of a noun is one transaction with conditions, each read is by key and strongly
//! consistent, a pull of a manifest is one read, and a finished upload is never copied: the key
//! at which its bytes grew becomes that of the blob. The table, and why it is as it is, is
//! described in `keys.rs`.
//!
//! This crate knows no store of bytes: it is handed one as [`Contents`], for manifests that are
//! too large for an item and to delete what no row points to. Endpoints, regions, credentials,
//! timeouts and retries are those of the client that it is handed.

mod aliases;
mod blobs;
mod catalog;
mod contents;
mod create;
mod dynamodb;
mod expression;
mod keys;
mod links;
mod manifests;
mod referrers;
mod row;
mod table;
mod tags;
mod uploads;

pub use aws_sdk_dynamodb as sdk;
pub use contents::{Contents, ContentsError};
pub use create::{Creation, create_table};
pub use dynamodb::{DynamoDb, Options};
