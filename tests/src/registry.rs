//! A registry as a process: start it, talk to it, stop it, kill it, start it again.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::client::{Address, Connection, Request, Response};
use crate::digest::sha256;
use crate::image::Image;
use crate::store::Store;
use crate::{lambda, tool, wait, yaml};

/// The `http.secret` of every registry here, so that one can finish what another began.
pub const SECRET: &str = "a secret that all registries of a test share";

/// Which registry to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// The one under test.
    Roadstead,
    /// The one under test as a Lambda function, behind an emulated Function URL.
    Lambda,
    /// CNCF Distribution: the first `docker-registry` of `PATH`, that of Debian's package as a rule.
    Distribution,
}

impl Implementation {
    /// The program, if it is there. Roadstead always has to be.
    ///
    /// # Panics
    /// When Roadstead has not been built.
    #[must_use]
    pub fn program(self) -> Option<PathBuf> {
        match self {
            Self::Roadstead => Some(roadstead()),
            Self::Lambda => Some(built("roadstead-on-lambda")),
            Self::Distribution => tool::find("docker-registry"),
        }
    }
}

/// The binary under test: `ROADSTEAD_BIN`, or what cargo built beside the tests; with
/// `ROADSTEAD_FRONT=lambda` the functions in its stead.
fn roadstead() -> PathBuf {
    let program = std::env::var_os("ROADSTEAD_BIN")
        .map(PathBuf::from)
        .unwrap_or_else(|| match lambda::is_front() {
            true => built("roadstead-on-lambda"),
            false => built("roadstead"),
        });
    assert!(
        program.is_file(),
        "{} is missing: run `cargo build -p roadstead` first",
        program.display()
    );
    program
}

/// What cargo built beside the tests: target/debug/deps/blackbox-<hash> -> target/debug/<name>
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of the running test");
    let profile = test.ancestors().nth(2).expect("cargo's target directory");
    profile.join(name)
}

/// What a registry is started with, when the defaults do not do.
#[derive(Clone)]
pub struct Setup {
    implementation: Implementation,
    store: Store,
    overrides: Value,
    environment: Vec<(String, String)>,
    launcher: Vec<String>,
    subcommand: &'static str,
    unix: bool,
    address: Option<Address>,
}

impl Setup {
    /// This registry over an empty store.
    #[must_use]
    pub fn new(implementation: Implementation) -> Self {
        let (environment, launcher) = (Vec::new(), Vec::new());
        Self {
            implementation,
            store: Store::new(),
            overrides: json!({}),
            environment,
            launcher,
            subcommand: "serve",
            unix: false,
            address: None,
        }
    }

    /// Serve this store.
    #[must_use]
    pub fn store(mut self, store: &Store) -> Self {
        self.store = store.clone();
        self
    }

    /// Lay this over the default configuration; `null` removes a key.
    #[must_use]
    pub fn config(mut self, overrides: Value) -> Self {
        yaml_merge_keeping_null(&mut self.overrides, overrides);
        self
    }

    /// Run this command instead of `serve`.
    #[must_use]
    pub fn subcommand(mut self, subcommand: &'static str) -> Self {
        self.subcommand = subcommand;
        self
    }

    /// Set an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Start through another program: its arguments, then the registry's command line.
    /// The word `{address}` becomes the address at which the test will look for the registry.
    #[must_use]
    pub fn launcher(mut self, launcher: &[&str]) -> Self {
        self.launcher = launcher.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Listen here. Another process may have taken the port: then the start fails.
    #[must_use]
    pub fn at(mut self, address: &Address) -> Self {
        self.address = Some(address.clone());
        self
    }

    /// Listen on a Unix socket instead of a TCP port.
    #[must_use]
    pub fn unix(mut self) -> Self {
        self.unix = true;
        self
    }

    /// Writes the configuration file and gives its path.
    ///
    /// # Panics
    /// When it cannot be written.
    #[must_use]
    pub fn write_config(&self, address: &Address) -> PathBuf {
        let mut document = json!({
            "version": 0.1,
            "log": { "level": "info", "accesslog": { "disabled": true } },
            "storage": {
                "delete": { "enabled": true },
                "maintenance": { "uploadpurging": { "enabled": false } },
            },
            "http": { "secret": SECRET },
        });
        yaml::merge(&mut document, &self.store.config());
        let listen = match address {
            Address::Tcp(address) => json!({"http": {"addr": address.to_string()}}),
            Address::Unix(path) => json!({"http": {"net": "unix", "addr": path}}),
        };
        yaml::merge(&mut document, &listen);
        yaml::merge(&mut document, &self.overrides);
        let path = self.store.scratch().join(format!("config-{}.yml", next()));
        std::fs::write(&path, yaml::render(&document)).expect("the configuration can be written");
        self.store.prepare(&roadstead());
        path
    }

    /// The command that runs a subcommand of this registry.
    ///
    /// # Panics
    /// When the program is missing.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let program = self
            .implementation
            .program()
            .expect("the registry is installed");
        let mut words = self.launcher.clone();
        words.push(program.to_str().expect("a path of text").to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(arguments);
        // A test's own environment must not become part of the configuration.
        let is_foreign = |name: &str| name.starts_with("REGISTRY_") || name.starts_with("AWS_");
        for (name, _) in std::env::vars_os() {
            if is_foreign(&name.to_string_lossy()) {
                command.env_remove(name);
            }
        }
        command
            .envs(self.environment.iter().cloned())
            .env("OTEL_TRACES_EXPORTER", "none");
        command
    }

    /// Starts the registry and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Registry {
        // Another process may take the free port before the registry does; then try another port.
        let mut said = String::new();
        for _ in 0..5 {
            match self.clone().try_start() {
                Ok(registry) => return registry,
                Err(stderr) if stderr.to_lowercase().contains("address already in use") => {
                    said = stderr
                }
                Err(stderr) => panic!("the registry does not start:\n{stderr}"),
            }
        }
        panic!("the registry finds no free port:\n{said}");
    }

    /// Starts the registry and waits until it answers where it listens itself (another may have
    /// taken the port before it), or gives what it said as it ended.
    ///
    /// # Errors
    /// When the process ends instead of answering.
    ///
    /// # Panics
    /// When it does neither.
    pub fn try_start(self) -> Result<Registry, String> {
        let address = match &self.address {
            Some(address) => address.clone(),
            None if self.unix => Address::Unix(self.store.scratch().join("socket")),
            None => free_address(),
        };
        let config = self.write_config(&address);
        let mut resolved = self.clone();
        resolved
            .launcher
            .iter_mut()
            .for_each(|word| *word = word.replace("{address}", &address.host()));
        let mut command =
            resolved.command(&[self.subcommand, config.to_str().expect("a path of text")]);
        let (stdout, stderr) = (
            config.with_extension("stdout"),
            config.with_extension("stderr"),
        );
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("a file for standard output"))
            .stderr(File::create(&stderr).expect("a file for standard error"))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let mut process = Process { child, log: stderr };
        let ended = wait::until("the registry to answer", || {
            if process.has_ended() {
                return Some(true);
            }
            let answer = Request::new(address.clone(), "GET", "/").try_send();
            let its_own = || match &address {
                Address::Tcp(address) => process.ports().contains(&address.port()),
                Address::Unix(_) => true,
            };
            (answer.is_ok() && its_own()).then_some(false)
        });
        if ended {
            return Err(process.said());
        }
        Ok(Registry {
            address,
            config,
            process,
            setup: self,
        })
    }
}

/// Keeps `null`s, which only have a meaning when laid over the defaults.
fn yaml_merge_keeping_null(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                yaml_merge_keeping_null(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// A port that was free a moment ago, each time another. It lies below those that Linux gives to whoever
/// asks for any (`ip_local_port_range` begins at 32768): a listener of another test that has got
/// one would answer, and fail, where this test looks for its registry.
///
/// # Panics
/// When all are taken.
#[must_use]
pub fn free_address() -> Address {
    const PORTS: std::ops::Range<u16> = 16_384..32_768;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Processes that test at the same time begin elsewhere.
    let begin = std::process::id() as usize * 331;
    let port = PORTS.into_iter().find_map(|_| {
        let place = begin + NEXT.fetch_add(1, Ordering::Relaxed);
        let port = PORTS.start + u16::try_from(place % PORTS.len()).ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
    });
    let listener = port.expect("a free port");
    Address::Tcp(listener.local_addr().expect("the port it got"))
}

fn next() -> usize {
    static COUNTER: AtomicUsize = AtomicUsize::new(0);
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// A running process that ends with its owner.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn has_ended(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("the registry can be waited for")
            .is_some()
    }

    /// The TCP ports it listens on.
    fn ports(&self) -> Vec<u16> {
        const LISTENING: &str = "0A";
        let process = format!("/proc/{}", self.child.id());
        // One that has ended has none.
        let files: Vec<_> = std::fs::read_dir(format!("{process}/fd"))
            .into_iter()
            .flatten()
            .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
            .collect();
        let is_its_own = |inode: &str| {
            let socket = PathBuf::from(format!("socket:[{inode}]"));
            files.contains(&socket)
        };
        ["tcp", "tcp6"]
            .iter()
            .filter_map(|table| std::fs::read_to_string(format!("{process}/net/{table}")).ok())
            .flat_map(|table| table.lines().map(str::to_owned).collect::<Vec<_>>())
            .filter_map(|line| {
                let fields: Vec<_> = line.split_ascii_whitespace().collect();
                let its_own = *fields.get(3)? == LISTENING && is_its_own(fields.get(9)?);
                let (_, port) = fields.get(1)?.rsplit_once(':')?;
                u16::from_str_radix(port, 16).ok().filter(|_| its_own)
            })
            .collect()
    }

    fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the registry can be signalled");
    }

    fn kill(&mut self) {
        // Already ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    #[expect(
        clippy::print_stderr,
        reason = "a failing test shows what the registry said"
    )]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = self.said();
            let tail = said.lines().rev().take(40).collect::<Vec<_>>();
            eprintln!("--- the registry said:");
            tail.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

/// A running registry.
pub struct Registry {
    address: Address,
    config: PathBuf,
    process: Process,
    setup: Setup,
}

impl Registry {
    /// Roadstead over an empty store.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        Setup::new(Implementation::Roadstead).start()
    }

    /// Roadstead over an empty store, with this laid over the default configuration.
    #[must_use]
    #[track_caller]
    pub fn with(overrides: Value) -> Self {
        Setup::new(Implementation::Roadstead)
            .config(overrides)
            .start()
    }

    /// This registry over this store.
    #[must_use]
    #[track_caller]
    pub fn over(implementation: Implementation, store: &Store) -> Self {
        Setup::new(implementation).store(store).start()
    }

    /// What it stores.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.setup.store
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// `host:port`, as clients name it.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.host()
    }

    /// The path of its configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.said()
    }

    /// What it has written to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        let path = self.config.with_extension("stdout");
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The most memory it has held so far, in bytes.
    ///
    /// # Panics
    /// When the kernel does not tell.
    #[must_use]
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))
            .expect("its status");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("its peak");
        let kilobytes: u64 = peak
            .trim()
            .trim_end_matches("kB")
            .trim()
            .parse()
            .expect("a figure");
        kilobytes * 1024
    }

    /// How many TCP ports it listens on.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.process.ports().len()
    }

    /// Whether the process is still there.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        !self.process.has_ended()
    }

    /// Kills it without warning, as a power cut would, and serves the same store again on a new port.
    #[track_caller]
    pub fn kill_and_restart(&mut self) {
        self.process.kill();
        let restarted = self.setup.clone().start();
        *self = restarted;
    }

    /// Kills it without warning and leaves the store.
    #[must_use]
    pub fn kill(mut self) -> Store {
        self.process.kill();
        self.setup.store.clone()
    }

    /// Asks it to end (SIGTERM), without waiting.
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Waits for it to end by itself.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn wait(mut self) -> ExitStatus {
        wait::until("the registry to end", || {
            self.process
                .child
                .try_wait()
                .expect("the registry can be waited for")
        })
    }

    /// Opens a connection.
    ///
    /// # Panics
    /// When it is refused.
    #[must_use]
    #[track_caller]
    pub fn connect(&self) -> Connection {
        self.address
            .connect()
            .expect("the registry accepts connections")
    }

    /// A request to this registry.
    #[must_use]
    pub fn request(&self, method: &str, target: &str) -> Request {
        Request::new(self.address.clone(), method, target)
    }

    /// Sends a GET request.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target).send()
    }

    /// Sends a HEAD request.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn head(&self, target: &str) -> Response {
        self.request("HEAD", target).send()
    }

    /// Sends a DELETE request.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn delete(&self, target: &str) -> Response {
        self.request("DELETE", target).send()
    }

    /// Begins an upload and gives its location.
    #[must_use]
    #[track_caller]
    pub fn begin_upload(&self, repository: &str) -> String {
        self.request("POST", &format!("/v2/{repository}/blobs/uploads/"))
            .send()
            .expect(202)
            .location()
    }

    /// Appends a chunk to an upload, without `Content-Range`, and gives its next location.
    #[must_use]
    #[track_caller]
    pub fn append(&self, location: &str, chunk: &[u8]) -> String {
        self.patch(location, chunk).expect(202).location()
    }

    /// Sends a chunk without `Content-Range`.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn patch(&self, location: &str, chunk: &[u8]) -> Response {
        let request = self
            .request("PATCH", location)
            .header("Content-Type", "application/octet-stream");
        request.body(chunk).send()
    }

    /// Closes an upload.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn finish_upload(&self, location: &str, digest: &str, rest: &[u8]) -> Response {
        let request = self.request("PUT", &with_query(location, &format!("digest={digest}")));
        request
            .header("Content-Type", "application/octet-stream")
            .body(rest)
            .send()
    }

    /// The size that the registry tells of a blob, by any front: functions refuse `HEAD` of what is too
    /// large for them.
    ///
    /// # Panics
    /// When it tells none.
    #[must_use]
    #[track_caller]
    pub fn blob_size(&self, repository: &str, digest: &str) -> usize {
        let part = self.request("GET", &format!("/v2/{repository}/blobs/{digest}"));
        let part = part.header("Range", "bytes=0-0").send().expect(206);
        let (_, size) = part.need("content-range").rsplit_once('/').expect("a size");
        size.parse().expect("a number")
    }

    /// Pushes a blob by POST and PUT, and gives its digest.
    #[track_caller]
    pub fn push_blob(&self, repository: &str, content: &[u8]) -> String {
        let digest = sha256(content);
        let location = self.begin_upload(repository);
        let _ = self.finish_upload(&location, &digest, content).expect(201);
        digest
    }

    /// Pushes a manifest, and gives the answer whatever it is.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        content: &[u8],
    ) -> Response {
        let request = self.request("PUT", &format!("/v2/{repository}/manifests/{reference}"));
        request
            .header("Content-Type", media_type)
            .body(content)
            .send()
    }

    /// Pushes an image with its blobs under a tag or its digest.
    #[track_caller]
    pub fn push_image(&self, repository: &str, reference: &str, image: &Image) {
        for blob in image.blobs() {
            self.push_blob(repository, blob);
        }
        let _ = self
            .put_manifest(repository, reference, image.media_type(), image.manifest())
            .expect(201);
    }

    /// Asks for a manifest as clients do, accepting every type they know.
    #[must_use = "an answer that nobody looks at proves nothing"]
    #[track_caller]
    pub fn get_manifest(&self, repository: &str, reference: &str) -> Response {
        let request = self.request("GET", &format!("/v2/{repository}/manifests/{reference}"));
        request
            .header("Accept", crate::image::MANIFEST_TYPES.join(", "))
            .send()
    }

    /// Asserts that an image can be pulled whole, byte for byte.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn assert_pullable(&self, repository: &str, reference: &str, image: &Image) {
        let manifest = self.get_manifest(repository, reference).expect(200);
        assert_eq!(manifest.text(), String::from_utf8_lossy(image.manifest()));
        for blob in image.blobs() {
            let digest = sha256(blob);
            let answer = self
                .get(&format!("/v2/{repository}/blobs/{digest}"))
                .expect(200);
            assert!(answer.body == *blob, "{digest} came back changed");
        }
    }

    /// The tags of a repository.
    #[must_use]
    #[track_caller]
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let document = self
            .get(&format!("/v2/{repository}/tags/list"))
            .expect(200)
            .json();
        strings(&document["tags"])
    }

    /// The repositories of the catalog.
    #[must_use]
    #[track_caller]
    pub fn repositories(&self) -> Vec<String> {
        strings(&self.get("/v2/_catalog").expect(200).json()["repositories"])
    }
}

/// The strings of a JSON list.
///
/// # Panics
/// When it is not a list of strings.
#[must_use]
#[track_caller]
pub fn strings(list: &Value) -> Vec<String> {
    let list = list
        .as_array()
        .unwrap_or_else(|| panic!("{list} is no list"));
    list.iter()
        .map(|item| item.as_str().expect("a list of strings").to_owned())
        .collect()
}

/// Adds to the query of a location.
#[must_use]
pub fn with_query(location: &str, query: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}{query}")
}
