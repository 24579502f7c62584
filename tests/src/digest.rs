//! Content digests, as the specification writes them.

use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};

/// `sha256:<hex>` of the content.
#[must_use]
pub fn sha256(content: &[u8]) -> String {
    format!("sha256:{}", hex(&SHA256, content))
}

/// `sha512:<hex>` of the content.
#[must_use]
pub fn sha512(content: &[u8]) -> String {
    format!("sha512:{}", hex(&SHA512, content))
}

/// A digest that nothing in any test has: 64 times the given hex digit.
#[must_use]
pub fn absent(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn hex(algorithm: &'static Algorithm, content: &[u8]) -> String {
    digest(algorithm, content)
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
