//! What runs functions: an emulated runtime API for one function's instances, and an HTTP front
//! that makes events of requests, as a Function URL does.
//!
//! AWS documents both: Lambda Developer Guide, "Using the Lambda runtime API" and "Invoking Lambda
//! function URLs". An instance gets one event at a time; while it has one, the next event goes to
//! another instance. Nothing is shared between instances but what they store.

mod front;
pub(crate) mod server;

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::wait::PATIENCE;
use server::{Exchange, Incoming};

pub use front::{Front, event};

/// Chooses what stands between the tests and the registry: `lambda`, or a socket without it.
pub const FRONT: &str = "ROADSTEAD_FRONT";

/// Whether functions are under test instead of the server.
///
/// # Panics
/// When the environment names a front that there is not.
#[must_use]
pub fn is_front() -> bool {
    match std::env::var(FRONT).as_deref() {
        Err(_) | Ok("socket") => false,
        Ok("lambda") => true,
        Ok(other) => panic!("{FRONT}={other}: there are socket and lambda"),
    }
}

/// Leaves a test that only makes sense with a socket of the registry's own, having said why.
#[macro_export]
macro_rules! only_by_socket {
    ($reason:expr) => {
        if $crate::lambda::is_front() {
            $crate::skip!("not over functions: {}", $reason);
        }
    };
}

/// How many instances of a function there are at most.
const INSTANCES: usize = 8;

/// A function: a program that polls the runtime API.
pub struct Function {
    program: PathBuf,
    environment: Vec<(String, String)>,
    timeout: Duration,
    instances: Mutex<Instances>,
    returned: Condvar,
}

#[derive(Default)]
struct Instances {
    idle: Vec<Instance>,
    busy: usize,
}

/// Why an invocation gave no result: what the function said, or that it ended.
#[derive(Debug)]
pub struct Failure(pub String);

impl Function {
    /// The function that cargo built under this name, as `roadstead-combined`.
    ///
    /// # Panics
    /// When it has not been built.
    #[must_use]
    pub fn built(name: &str) -> Self {
        let own = std::env::current_exe().expect("the path of the running program");
        // target/debug/deps/<test>-<hash>, or target/debug/<program>
        let mut folders = own.ancestors().skip(1).take(2);
        let program = folders.find_map(|folder| Some(folder.join(name)).filter(|it| it.is_file()));
        let program = program.unwrap_or_else(|| {
            panic!("{name} is missing: cargo build -p {name} --features lambda")
        });
        Self::new(&program)
    }

    /// The function that this program is.
    #[must_use]
    pub fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            environment: vec![(
                "REGISTRY_HTTP_RELAYCHALLENGES".to_owned(),
                "true".to_owned(),
            )],
            timeout: PATIENCE,
            instances: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// Set an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// How long an invocation is told to have.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Invokes an instance with an event, a new instance when all are busy.
    ///
    /// # Errors
    /// What the function says, or that it ended.
    pub fn invoke(&self, event: &Value) -> Result<Value, Failure> {
        let mut instance = self.instance()?;
        let result = instance.invoke(event, self.timeout);
        let mut instances = self.instances.lock().expect("no thread panics here");
        instances.busy -= 1;
        if instance.is_running() {
            instances.idle.push(instance);
        }
        self.returned.notify_one();
        result
    }

    fn instance(&self) -> Result<Instance, Failure> {
        let mut instances = self.instances.lock().expect("no thread panics here");
        loop {
            if let Some(instance) = instances.idle.pop() {
                instances.busy += 1;
                return Ok(instance);
            }
            if instances.busy < INSTANCES {
                instances.busy += 1;
                drop(instances);
                return Ok(Instance::start(&self.program, &self.environment));
            }
            instances = self
                .returned
                .wait(instances)
                .expect("no thread panics here");
        }
    }

    /// What the instances that wait for an event have logged.
    #[must_use]
    pub fn log(&self) -> String {
        let instances = self.instances.lock().expect("no thread panics here");
        instances.idle.iter().map(Instance::said).collect()
    }

    /// Starts an instance without an event, and gives the time until it asked for one.
    ///
    /// # Errors
    /// What it said instead.
    pub fn start(&self) -> Result<Duration, Failure> {
        let begun = Instant::now();
        let mut instance = Instance::start(&self.program, &self.environment);
        let polled = instance.next()?;
        let took = begun.elapsed();
        drop(polled);
        Ok(took)
    }
}

/// A running process of a function, with a runtime API of its own.
struct Instance {
    child: Child,
    requests: Receiver<Exchange>,
    address: SocketAddr,
    closing: Arc<AtomicBool>,
    log: tempfile::NamedTempFile,
}

impl Instance {
    fn start(program: &Path, environment: &[(String, String)]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("the port it got");
        let closing = Arc::new(AtomicBool::new(false));
        let requests = accept(listener, Arc::clone(&closing));
        let log = tempfile::NamedTempFile::new().expect("a temporary file");
        let output = || log.reopen().expect("the log opens");
        let mut command = Command::new(program);
        // A test's own environment must not become part of the configuration.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("REGISTRY_") {
                command.env_remove(name);
            }
        }
        let child = command
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "test")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(output())
            .stderr(output())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        Self {
            child,
            requests,
            address,
            closing,
            log,
        }
    }

    fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Waits for the instance to ask for an event.
    fn next(&mut self) -> Result<Exchange, Failure> {
        let exchange = self.receive()?;
        match exchange.path() {
            "/2018-06-01/runtime/invocation/next" => Ok(exchange),
            _ => Err(Failure(format!("{}: {}", exchange.path(), exchange.text()))),
        }
    }

    fn invoke(&mut self, event: &Value, timeout: Duration) -> Result<Value, Failure> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id());
        let deadline = SystemTime::now() + timeout;
        let deadline = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        self.next()?.answer(
            200,
            &[
                ("Content-Type", "application/json"),
                ("Lambda-Runtime-Aws-Request-Id", &id),
                (
                    "Lambda-Runtime-Deadline-Ms",
                    &deadline.as_millis().to_string(),
                ),
                (
                    "Lambda-Runtime-Invoked-Function-Arn",
                    "arn:aws:lambda:us-east-1:0:function:test",
                ),
                ("Lambda-Runtime-Trace-Id", "Root=1-0-0"),
            ],
            event.to_string().as_bytes(),
        );
        let done = self.receive()?;
        let result = match done
            .path()
            .strip_prefix(&format!("/2018-06-01/runtime/invocation/{id}/"))
        {
            Some("response") => serde_json::from_slice(done.body())
                .map_err(|error| Failure(format!("{error}: {}", done.text()))),
            _ => Err(Failure(format!("{}: {}", done.path(), done.text()))),
        };
        let body = json!({ "status": "OK" }).to_string();
        done.answer(
            202,
            &[("Content-Type", "application/json")],
            body.as_bytes(),
        );
        result
    }

    fn receive(&mut self) -> Result<Exchange, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.requests.recv_timeout(Duration::from_millis(20)) {
                Ok(exchange) => return Ok(exchange),
                Err(RecvTimeoutError::Timeout)
                    if self.is_running() && Instant::now() < deadline => {}
                Err(_) => return Err(Failure(self.said())),
            }
        }
    }

    fn said(&self) -> String {
        let said = std::fs::read(self.log.path()).unwrap_or_default();
        String::from_utf8_lossy(&said).into_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Relaxed);
        // Wakes the one that accepts; already gone is fine, as is a child that has ended.
        let _ = TcpStream::connect(self.address);
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(folder) = std::env::var_os("ROADSTEAD_TESTS_FUNCTION_LOGS") {
            let name = format!("{}.log", self.child.id());
            let _ = std::fs::copy(self.log.path(), Path::new(&folder).join(name));
        }
    }
}

/// Hands on the requests of every connection, in the order in which they come.
fn accept(listener: TcpListener, closing: Arc<AtomicBool>) -> Receiver<Exchange> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if closing.load(Ordering::Relaxed) {
                break;
            }
            let sender = sender.clone();
            std::thread::spawn(move || hand_on(stream, &sender));
        }
    });
    receiver
}

fn hand_on(stream: TcpStream, sender: &Sender<Exchange>) {
    let Ok(mut incoming) = Incoming::new(stream) else {
        return;
    };
    while let Ok(Some(request)) = incoming.request() {
        let (exchange, answered) = Exchange::new(request, &incoming);
        // An exchange that nobody answers ends the connection.
        if sender.send(exchange).is_err() || answered.recv().is_err() {
            return;
        }
    }
}
