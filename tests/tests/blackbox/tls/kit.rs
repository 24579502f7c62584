//! A registry with TLS, and clients that believe its authority.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use roadstead_tests::certificates::{Authority, Pair};
use roadstead_tests::image::noise;
use roadstead_tests::registry::Setup;
use roadstead_tests::{Implementation, Registry, Store, tool};
use serde_json::{Value, json};

/// A registry with TLS that has a blob of 3 MB in `app`.
pub(super) struct Secure {
    pub(super) registry: Registry,
    pub(super) blob: String,
    /// The file of its authority.
    pub(super) authority: PathBuf,
}

/// What a registry is to be started with: where its files are.
pub(super) struct Prepared {
    pub(super) store: Store,
    pub(super) blob: String,
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Prepared {
    /// A store with a blob, and the files of an authority and a pair in its scratch.
    pub(super) fn new(authority: &Authority, pair: &Pair) -> Self {
        let registry = Registry::start();
        let blob = registry.push_blob("app", &noise(1, 3_000_001));
        let store = registry.store().clone();
        drop(registry);
        let (certificate, key) = pair.write(store.scratch(), "server");
        let path = store.scratch().join("authority.pem");
        std::fs::write(&path, authority.pem()).unwrap();
        Self {
            store,
            blob,
            authority: path,
            certificate,
            key,
        }
    }

    pub(super) fn setup(&self, overrides: Value) -> Setup {
        let tls = json!({"certificate": self.certificate, "key": self.key});
        Setup::new(Implementation::Roadstead)
            .store(&self.store)
            .config(json!({"http": {"tls": tls}}))
            .config(overrides)
    }

    pub(super) fn start(self, overrides: Value) -> Secure {
        Secure {
            registry: self.setup(overrides).start(),
            blob: self.blob,
            authority: self.authority,
        }
    }
}

impl Secure {
    /// With a certificate of an authority of its own.
    pub(super) fn start(overrides: Value) -> Self {
        let authority = Authority::new("root");
        Self::of(&authority, &authority.server(), overrides)
    }

    /// With a certificate of this authority.
    pub(super) fn start_with(authority: &Authority) -> Self {
        Self::of(authority, &authority.server(), json!({}))
    }

    pub(super) fn of(authority: &Authority, pair: &Pair, overrides: Value) -> Self {
        Prepared::new(authority, pair).start(overrides)
    }

    /// With a key that `change` has rewritten.
    pub(super) fn of_key(authority: &Authority, pair: &Pair, change: impl FnOnce(&Path)) -> Self {
        let prepared = Prepared::new(authority, pair);
        change(&prepared.key);
        prepared.start(json!({}))
    }

    pub(super) fn host(&self) -> String {
        self.registry.host()
    }

    pub(super) fn scratch(&self) -> &Path {
        self.registry.store().scratch()
    }

    /// Asks for a path, and fails unless the answer is a success.
    pub(super) fn curl(&self, curl: &Path, path: &str, arguments: &[&str]) -> tool::Outcome {
        let authority = self.authority.to_str().unwrap();
        let url = format!("https://{}{path}", self.host());
        let common = ["--fail", "--cacert", authority, &url];
        self::curl(curl, &[&common, arguments].concat())
    }

    /// The certificate that a new connection gets, in PEM.
    pub(super) fn served(&self, openssl: &Path) -> String {
        let session = s_client(openssl, self, &[]).expect("a handshake");
        let begin = session.find("-----BEGIN").expect("a certificate");
        let end = "-----END CERTIFICATE-----\n";
        let length = session[begin..].find(end).unwrap() + end.len();
        session[begin..begin + length].to_owned()
    }
}

pub(super) fn curl(curl: &Path, arguments: &[&str]) -> tool::Outcome {
    let common = ["--silent", "--show-error", "--max-time", "60"];
    tool::run(curl, [&common, arguments].concat())
}

/// What `openssl s_client` says of a session, if there is one.
pub(super) fn s_client(openssl: &Path, registry: &Secure, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(openssl);
    let authority = registry.authority.to_str().unwrap();
    command
        .args([
            "s_client",
            "-connect",
            &registry.host(),
            "-CAfile",
            authority,
        ])
        .args(["-verify_return_error"])
        .args(arguments)
        .stdin(Stdio::null());
    let outcome = tool::finish(command);
    outcome.status.success().then_some(outcome.stdout)
}
