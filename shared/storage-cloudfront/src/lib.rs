//! Distribution's storage middleware `cloudfront`: clients fetch content from Amazon CloudFront
//! by signed URLs, and those within AWS, if so configured, from the store itself.
//!
//! [`CloudFront`] decorates the signer of any driver that tells the names of its objects
//! ([`UrlSigner::object`](roadstead_storage::UrlSigner::object)); the distribution must have the
//! same store as its origin. Nothing is asked of AWS to sign a URL: the key is in a file, the
//! addresses of AWS are fetched beside the requests that need them.

mod addresses;
mod config;
mod feed;
mod key;
mod policy;
mod signer;

pub use config::{AddressFilter, Config, ConfigError};
pub use key::{Hash, InvalidKey, PrivateKey};
pub use signer::CloudFront;
