//! Pebble, Let's Encrypt's test server, with a DNS that says every host is this machine.

use std::fs::File;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use roadstead_tests::certificates::Authority;
use roadstead_tests::client::Address;
use roadstead_tests::registry::free_address;
use roadstead_tests::{tool, wait};
use serde_json::json;
use tempfile::TempDir;

/// A running ACME server, whose certificates last for [`LIFE`] seconds.
pub(super) struct Pebble {
    directory: TempDir,
    api: String,
    management: String,
    curl: PathBuf,
    _children: [Running; 2],
}

/// Seconds: long enough to be used on a busy machine, and to be renewed within a test.
pub(super) const LIFE: u32 = 45;

/// A host that the server gives no certificate for.
pub(super) const BLOCKED: &str = "blocked.test";

/// Where challenges are to be answered.
pub(super) struct Challenged<'a> {
    pub(super) tls: &'a Address,
    pub(super) http: &'a Address,
}

impl Pebble {
    /// Starts it, on other ports if others have taken the first ones meanwhile.
    pub(super) fn start(programs: [&Path; 3], challenged: &Challenged<'_>) -> Self {
        wait::until("an ACME server", || Self::try_start(programs, challenged))
    }

    fn try_start([pebble, dns, curl]: [&Path; 3], challenged: &Challenged<'_>) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let authority = Authority::new("pebble's own");
        let (certificate, key) = authority.server().write(path, "api");
        std::fs::write(path.join("api-authority.pem"), authority.pem()).unwrap();
        let [api, management, dns_address, dns_management] =
            std::array::from_fn(|_| free_address().host());
        let config = json!({"pebble": {
            "listenAddress": api,
            "managementListenAddress": management,
            "certificate": certificate,
            "privateKey": key,
            "httpPort": port(challenged.http),
            "tlsPort": port(challenged.tls),
            "certificateValidityPeriod": LIFE,
            "domainBlocklist": [BLOCKED],
        }});
        std::fs::write(path.join("config.json"), config.to_string()).unwrap();

        let mut command = Command::new(dns);
        command.args(["-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""]);
        command.args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        command.args(["-dns01", &dns_address, "-management", &dns_management]);
        let dns = Running::start(command, path, "dns");
        let mut command = Command::new(pebble);
        command.arg("-config").arg(path.join("config.json"));
        command.args(["-dnsserver", &dns_address]);
        command.env("PEBBLE_VA_NOSLEEP", "1");
        command.env("PEBBLE_WFE_NONCEREJECT", "0");
        command.env("PEBBLE_AUTHZREUSE", "0");
        let mut children = [dns, Running::start(command, path, "pebble")];
        let listens = |address: &str| TcpStream::connect(address).is_ok();
        let is_up = wait::until("the ACME server to listen or to end", || {
            if children.iter_mut().any(Running::has_ended) {
                return Some(false);
            }
            let all = [&api, &management, &dns_management];
            all.iter().all(|address| listens(address)).then_some(true)
        });
        is_up.then(|| Self {
            api,
            management,
            curl: curl.to_owned(),
            directory,
            _children: children,
        })
    }

    pub(super) fn directory_url(&self) -> String {
        format!("https://{}/dir", self.api)
    }

    /// The file of the authority of the server's own certificate.
    pub(super) fn api_authority(&self) -> PathBuf {
        self.directory.path().join("api-authority.pem")
    }

    /// The file of the authority of the certificates that it gives.
    pub(super) fn authority(&self) -> PathBuf {
        let path = self.directory.path().join("authority.pem");
        let url = format!("https://{}/roots/0", self.management);
        let (own, out) = (self.api_authority(), path.to_str().unwrap());
        let own = own.to_str().unwrap();
        let arguments = [
            "--silent",
            "--show-error",
            "--fail",
            "--cacert",
            own,
            "--output",
            out,
        ];
        tool::run(&self.curl, [&arguments[..], &[&url]].concat()).success();
        path
    }

    /// What it has said so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("pebble.log")).unwrap()
    }
}

pub(super) fn port(address: &Address) -> u16 {
    match address {
        Address::Tcp(address) => address.port(),
        Address::Unix(_) => panic!("no port"),
    }
}

/// A process that ends with its owner.
struct Running(Child);

impl Running {
    fn start(mut command: Command, directory: &Path, name: &str) -> Self {
        let log = File::create(directory.join(format!("{name}.log"))).unwrap();
        let errors = log.try_clone().unwrap();
        let command = command.stdin(Stdio::null()).stdout(log).stderr(errors);
        Self(command.spawn().unwrap())
    }

    fn has_ended(&mut self) -> bool {
        self.0.try_wait().unwrap().is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
