//! OpenStack Swift with its S3 API, a stricter S3: one process for all tests of a run.

use std::sync::OnceLock;

use crate::emulator;

/// Says what the launcher would say: `READY <port>` or `SKIP <reason>`. `tests/run` sets it;
/// without it, a test program starts a Swift of its own.
pub const ANSWER: &str = "ROADSTEAD_SWIFT";

/// The access key that it knows.
pub const KEY: &str = "test:tester";

/// The secret key of [`KEY`].
pub const SECRET: &str = "testing";

/// The URL at which it answers, without a slash at its end. Like MiniStack it has the bucket
/// [`BUCKET`](crate::ministack::BUCKET) from the start.
///
/// # Errors
/// Why it cannot be had.
///
/// # Panics
/// When its launcher says something else.
pub fn url() -> Result<&'static str, &'static str> {
    static URL: OnceLock<Result<String, String>> = OnceLock::new();
    let url = URL.get_or_init(|| {
        let answer = std::env::var(ANSWER);
        emulator::url(&answer.unwrap_or_else(|_| emulator::launch("swift.py")))
    });
    url.as_deref().map_err(String::as_str)
}
