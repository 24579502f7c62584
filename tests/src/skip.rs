//! Skipping a test so that it is seen: a line for people, and a line in a file for `tests/run`.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file to which every skip adds a line; `tests/run` sets it and counts the lines,
/// since cargo swallows what a passing test prints.
pub const FILE: &str = "ROADSTEAD_TESTS_SKIPPED";

/// Leaves the test, having said why: `SKIPPED <test>: <reason>`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::skip::record(&format!($($reason)*));
        return;
    }};
}

/// The path of a program, or a skip that names it.
#[macro_export]
macro_rules! require {
    ($program:expr) => {
        match $crate::tool::find($program) {
            Some(path) => path,
            None => $crate::skip!("{} is not installed", $program),
        }
    };
}

/// What [`skip!`] does besides leaving. Use the macro.
///
/// # Panics
/// When the file of skips cannot be written: an unseen skip would be a silent pass.
#[expect(
    clippy::print_stderr,
    reason = "a skip must be seen by whoever runs the tests"
)]
pub fn record(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os(FILE) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .expect("the file of skips opens");
        file.write_all(format!("{line}\n").as_bytes())
            .expect("a skip is recorded");
    }
}
