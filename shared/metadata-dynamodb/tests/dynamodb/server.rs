//! MiniStack: DynamoDB's API on a port of this machine, from a Python package.
//!
//! It is installed into `tests/.cache` of the repository when it is first needed, runs as long as
//! a test holds it, and is ended by its own process id. Where it cannot be had the tests say so
//! and do nothing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

const VERSION: &str = "1.5.33";

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// The server that other tests use right now, or a new one; or why there is none.
    pub(crate) fn shared() -> Result<Arc<Self>, String> {
        static RUNNING: Mutex<Weak<Server>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = running.upgrade() {
            return Ok(server);
        }
        let server = Arc::new(Self::start()?);
        *running = Arc::downgrade(&server);
        Ok(server)
    }

    fn start() -> Result<Self, String> {
        if std::env::var_os("ROADSTEAD_EMULATORS").is_none() {
            return Err("emulated AWS is used when ROADSTEAD_EMULATORS is set".to_owned());
        }
        let program = installed()?;
        let address = free_address();
        // The shell waits for the end of its input, which comes however this process ends, and
        // then ends the server that it started.
        let script = r#""$0" & server=$!; read -r _; kill "$server"; wait "$server""#;
        let process = Command::new("/bin/sh")
            .args(["-c", script])
            .arg(&program)
            .env("GATEWAY_PORT", address.port().to_string())
            .env("BIND_HOST", address.ip().to_string())
            .env("IOT_MTLS_ENABLED", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{} does not start: {error}", program.display()))?;
        let server = Self { process, address };
        server.wait_until_ready()?;
        Ok(server)
    }

    fn wait_until_ready(&self) -> Result<(), String> {
        const PATIENCE: Duration = Duration::from_secs(60);
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(self.address).is_err() {
            if Instant::now() > deadline {
                return Err("MiniStack does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().ok();
    }
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap()
}

/// The program, which is installed if need be.
fn installed() -> Result<PathBuf, String> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/.cache");
    std::fs::create_dir_all(&cache).map_err(|error| format!("no place for tools: {error}"))?;
    let folder = cache.join("ministack");
    let program = folder.join("bin/ministack");
    // Other test programs may be installing it just now.
    let lock = File::create(cache.join("ministack.lock")).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    let _lock = lock.map_err(|error| format!("no lock for tools: {error}"))?;
    if program.exists() {
        return Ok(program);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let package = format!("ministack=={VERSION}");
    run(
        Command::new(folder.join("bin/python")).args(["-m", "pip", "install", "--quiet", &package])
    )?;
    Ok(program)
}

fn run(command: &mut Command) -> Result<(), String> {
    let failed = |reason: String| format!("MiniStack cannot be installed: {reason}");
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| failed(error.to_string()))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(failed(said.lines().last().unwrap_or_default().to_owned()))
}

/// Says that the test does nothing: a line for people, and one in the file that `tests/run` counts.
#[expect(
    clippy::print_stderr,
    reason = "a skip must be seen by whoever runs the tests"
)]
pub(crate) fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("ROADSTEAD_TESTS_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.unwrap()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
}
