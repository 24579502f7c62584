//! MiniStack, an emulator of S3 and DynamoDB: one process for all tests of a run.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

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
        let answer = std::env::var(ANSWER).unwrap_or_else(|_| launch());
        match answer.trim().split_once(' ') {
            Some(("READY", port)) => Ok(format!("http://127.0.0.1:{port}")),
            Some(("SKIP", reason)) => Err(reason.to_owned()),
            _ => panic!("the launcher says {answer:?}"),
        }
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
    let url = url()?;
    let address = url.trim_start_matches("http://").parse();
    Ok(address.expect("an address and a port"))
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

/// Starts one that ends when this process does: its standard input is closed then.
fn launch() -> String {
    static LAUNCHER: Mutex<Option<Child>> = Mutex::new(None);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulators/ministack.py");
    let mut launcher = match Command::new("python3")
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
    {
        Ok(launcher) => launcher,
        Err(error) => return format!("SKIP there is no python3: {error}"),
    };
    let mut answer = String::new();
    let output = launcher.stdout.take().expect("its output is piped");
    BufReader::new(output)
        .read_line(&mut answer)
        .expect("the launcher answers");
    *LAUNCHER.lock().unwrap_or_else(PoisonError::into_inner) = Some(launcher);
    answer
}
