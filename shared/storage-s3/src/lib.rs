//! The S3 driver: Distribution's bucket, uploads that any process resumes, few requests.
//!
//! A key is the name of an object after the root directory, as CNCF Distribution has it: a bucket
//! that registry 2 or 3 has written is served as it is, and the other way round. An object appears
//! whole and is durable when the request that makes it returns, and what a request has written
//! the next one sees; that is S3's own promise, and the driver is not for stores without it.
//!
//! All state lies in the bucket. At the key of an upload lies an object with those of its bytes
//! that are in no part yet, the whole content as long as it is small, and a list of the parts;
//! its metadata names the multipart upload, and what its user notes. One request takes up an upload
//! in any process; none where it is to be ended, and the client brings along what was synced last
//! (`Upload::memo`). Conditional writes keep two processes from mixing theirs; a store that does
//! not honour them is found out before the first one, and only loses that.
//!
//! Every request is tried again after an outage, a time-out or a lost answer, where the driver
//! finds out whether it had been done. What fails for good is [`Unavailable`]; nothing is
//! [`NotFound`] but what the store says is not there, nor is a list ever less than whole.
//!
//! [`Unavailable`]: roadstead_storage::Error::Unavailable
//! [`NotFound`]: roadstead_storage::Error::NotFound
//!
//! Not offered: signature version 2 (`v4auth: false`), stores that want all parts of an upload to
//! be of one size, and the storage classes whose objects have to be restored before they are read.

mod bucket;
mod claims;
mod client;
mod conditions;
mod config;
mod delete;
mod driver;
mod error;
mod etag;
mod insecure;
mod listing;
mod read;
mod rename;
mod seal;
mod session;
mod signer;
mod synced;
mod upload;

pub use config::{Acl, Config, ConfigError, Encryption, Patience, StorageClass};
pub use driver::S3Driver;
