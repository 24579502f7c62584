//! Launchers of emulators: programs in `tests/emulators` that say in one line how it went,
//! `READY <port>` or `SKIP <reason>`, and end what they started when their standard input ends.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// The URL that a launcher's answer stands for, without a slash at its end, or its reason.
pub(crate) fn url(answer: &str) -> Result<String, String> {
    match answer.trim().split_once(' ') {
        Some(("READY", port)) => Ok(format!("http://127.0.0.1:{port}")),
        Some(("SKIP", reason)) => Err(reason.to_owned()),
        _ => panic!("the launcher says {answer:?}"),
    }
}

/// Where what has this URL listens.
pub(crate) fn address(url: &str) -> SocketAddr {
    let address = url.trim_start_matches("http://").parse();
    address.expect("an address and a port")
}

/// Starts an emulator that ends when this process does: its standard input is closed then.
pub(crate) fn launch(program: &str) -> String {
    static LAUNCHERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let program = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("emulators")
        .join(program);
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
    let mut launchers = LAUNCHERS.lock().unwrap_or_else(PoisonError::into_inner);
    launchers.push(launcher);
    answer
}
