//! MiniStack, an emulator of S3 and DynamoDB: one process for all tests of a run.

use std::net::SocketAddr;
use std::sync::OnceLock;

use crate::emulator;

/// Says what the launcher would say: `READY <port>` or `SKIP <reason>`. `tests/run` sets it;
/// without it, a test program starts a MiniStack of its own.
pub const ANSWER: &str = "ROADSTEAD_MINISTACK";

/// The bucket that there is from the start.
pub const BUCKET: &str = "registry";

/// What it takes for both key and secret.
pub const KEY: &str = "test";

/// The URL at which it answers, without a slash at its end.
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
        emulator::url(&answer.unwrap_or_else(|_| emulator::launch("ministack.py")))
    });
    url.as_deref().map_err(String::as_str)
}

/// Where it listens.
///
/// # Errors
/// Why it cannot be had.
///
/// # Panics
/// When its launcher says something else.
pub fn address() -> Result<SocketAddr, &'static str> {
    url().map(emulator::address)
}

/// The URL, or a skip that says why there is none.
#[macro_export]
macro_rules! require_ministack {
    () => {
        match $crate::ministack::url() {
            Ok(url) => url,
            Err(reason) => $crate::skip!("{reason}"),
        }
    };
}
