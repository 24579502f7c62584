//! OpenStack Swift with its S3 API, a stricter S3: one process for all tests of a program.

use std::sync::OnceLock;

use crate::emulator;

/// The access key that it knows.
pub const KEY: &str = "test:tester";

/// The secret key of [`KEY`].
pub const SECRET: &str = "testing";

/// The URL at which it answers, without a slash at its end. It has no bucket at the start.
///
/// # Errors
/// Why it cannot be had.
///
/// # Panics
/// When its launcher says something else.
pub fn url() -> Result<&'static str, &'static str> {
    static URL: OnceLock<Result<String, String>> = OnceLock::new();
    let url = URL.get_or_init(|| emulator::url(&emulator::launch("swift.py")));
    url.as_deref().map_err(String::as_str)
}
