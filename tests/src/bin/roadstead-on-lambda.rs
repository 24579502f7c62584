//! `roadstead serve` in words, functions in deed: lets every black-box test meet the functions.
//!
//! `ROADSTEAD_BIN=target/debug/roadstead-on-lambda cargo test -p roadstead-tests`. Commands other
//! than `serve` are the server's.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use roadstead_tests::lambda::{Front, Function};

#[expect(clippy::print_stderr, reason = "a program that fails says why")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let error = match arguments.as_slice() {
        [serve, config] if serve == "serve" => served(config),
        _ => server(&arguments).to_string(),
    };
    eprintln!("{error}");
    ExitCode::FAILURE
}

/// Serves until the process ends; gives why it does not.
fn served(config: &str) -> String {
    let text = match std::fs::read_to_string(config) {
        Ok(text) => text,
        Err(error) => return format!("{config}: {error}"),
    };
    let Some(address) = address(&text) else {
        return "http.addr is missing, or no TCP address".to_owned();
    };
    let listener = match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => return error.to_string(),
    };
    let mut function =
        Function::built("roadstead-combined").env("REGISTRY_CONFIGURATION_PATH", config);
    for (name, value) in std::env::vars().filter(|(name, _)| name.starts_with("REGISTRY_")) {
        function = function.env(&name, value);
    }
    if let Err(failure) = function.start() {
        return failure.0;
    }
    let uploads = std::env::var("ROADSTEAD_UPLOADS").ok();
    let uploads = uploads.and_then(|uploads| uploads.parse().ok());
    Front::to(function).uploads(uploads).serve(listener);
    "the listener has ended".to_owned()
}

/// `http.addr`, in the form in which the tests write it.
fn address(config: &str) -> Option<SocketAddr> {
    let (_, http) = config
        .split_once("\nhttp:\n")
        .or(config.split_once("http:\n"))?;
    let mut lines = http.lines().take_while(|line| line.starts_with(' '));
    let addr = lines.find_map(|line| line.strip_prefix("  addr: "))?;
    addr.trim_matches('"').parse().ok()
}

/// Becomes the server; comes back only with why that failed.
fn server(arguments: &[String]) -> std::io::Error {
    let own = std::env::current_exe().unwrap_or_default();
    Command::new(own.with_file_name("roadstead"))
        .args(arguments)
        .exec()
}
