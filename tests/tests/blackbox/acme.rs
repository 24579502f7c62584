//! Certificates by ACME, from Debian's `pebble`.

mod pebble;

use std::path::{Path, PathBuf};
use std::thread;

use roadstead_tests::certificates::Authority;
use roadstead_tests::client::Address;
use roadstead_tests::registry::{Setup, free_address};
use roadstead_tests::{Implementation, Registry, Request, Store, require, tool, wait};
use serde_json::{Value, json};

use pebble::{BLOCKED, Challenged, Pebble, port};

const HOST: &str = "registry.test";

/// The programs that the tests need, or a skip.
macro_rules! programs {
    () => {
        [
            &*require!("pebble"),
            &*require!("pebble-challtestsrv"),
            &*require!("curl"),
        ]
    };
}

/// A registry with certificates by ACME, and where they come from.
struct Certified {
    registry: Registry,
    pebble: Pebble,
    curl: PathBuf,
    http: Address,
}

impl Certified {
    fn start(programs: [&Path; 3], store: &Store, letsencrypt: Value) -> Self {
        let curl = programs[2].to_owned();
        // Another process may take the port meanwhile.
        wait::until(
            "a registry on the port that the ACME server challenges",
            || {
                let (tls, http) = (free_address(), free_address());
                let challenged = Challenged {
                    tls: &tls,
                    http: &http,
                };
                let pebble = Pebble::start(programs, &challenged);
                let setup = setup(store, &pebble, &http, letsencrypt.clone());
                let registry = setup.at(&tls).try_start().ok()?;
                Some(Self {
                    registry,
                    pebble,
                    curl: curl.clone(),
                    http,
                })
            },
        )
    }

    /// Asks the registry by a name, believing the ACME server alone.
    fn ask(&self, host: &str) -> tool::Outcome {
        ask(
            &self.curl,
            &self.pebble.authority(),
            self.registry.address(),
            host,
        )
    }

    fn until_certified(&self, host: &str) {
        wait::until("a certificate", || {
            self.ask(host).status.success().then_some(())
        });
    }

    fn cached(&self, name: &str) -> String {
        let file = self.registry.store().scratch().join("acme").join(name);
        std::fs::read_to_string(file).unwrap_or_default()
    }
}

/// A registry whose certificates lie in the scratch of its store.
fn setup(store: &Store, pebble: &Pebble, http: &Address, letsencrypt: Value) -> Setup {
    let defaults = json!({
        "cachefile": store.scratch().join("acme"),
        "email": "admin@example.com",
        "hosts": [HOST],
        "directoryurl": pebble.directory_url(),
        "rootcas": [pebble.api_authority()],
        "httpaddr": http.host(),
    });
    Setup::new(Implementation::Roadstead)
        .store(store)
        .config(json!({"http": {"tls": {"letsencrypt": defaults}}}))
        .config(json!({"http": {"tls": {"letsencrypt": letsencrypt}}}))
}

fn ask(curl: &Path, authority: &Path, address: &Address, host: &str) -> tool::Outcome {
    let port = port(address);
    let resolve = format!("{host}:{port}:127.0.0.1");
    let url = format!("https://{host}:{port}/v2/");
    let authority = authority.to_str().unwrap();
    let common = ["--silent", "--show-error", "--fail", "--cacert", authority];
    tool::run(curl, [&common[..], &["--resolve", &resolve, &url]].concat())
}

#[test]
fn each_challenge_brings_a_certificate_that_outlives_a_restart() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let programs = programs!();
    for challenge in ["tls-alpn-01", "http-01"] {
        let store = Store::new();
        let certified = Certified::start(programs, &store, json!({"challenge": challenge}));
        certified.until_certified(HOST);
        let (kept, account) = (certified.cached(HOST), certified.cached("acme_account+key"));
        assert!(kept.contains("PRIVATE KEY") && kept.contains("BEGIN CERTIFICATE"));
        assert!(!certified.registry.log().contains("PRIVATE"));

        let Certified {
            registry,
            pebble,
            curl,
            http,
        } = certified;
        let address = registry.address().clone();
        drop(registry);
        let orders = pebble.log().matches("Issued certificate").count();
        let registry = setup(&store, &pebble, &http, json!({"challenge": challenge}));
        let Ok(registry) = registry.at(&address).try_start() else {
            continue; // another process has the port: the rest is proved by the other challenge
        };
        let certified = Certified {
            registry,
            pebble,
            curl,
            http,
        };
        // At once, without a word with the server.
        certified.ask(HOST).success();
        assert_eq!(
            certified.pebble.log().matches("Issued certificate").count(),
            orders
        );
        assert_eq!(certified.cached(HOST), kept);
        assert_eq!(certified.cached("acme_account+key"), account);
    }
}

/// A folder in the form of Go's `autocert` (`DirCache`), which is Distribution's.
struct Autocert {
    openssl: PathBuf,
    folder: PathBuf,
}

impl Autocert {
    fn new(openssl: PathBuf, store: &Store) -> Self {
        let folder = store.scratch().join("acme");
        std::fs::create_dir(&folder).unwrap();
        Self { openssl, folder }
    }

    /// `x509.MarshalECPrivateKey`: SEC 1, where others write PKCS#8.
    fn sec1(&self, pkcs8: &str) -> String {
        let file = self.folder.join("pkcs8");
        std::fs::write(&file, pkcs8).unwrap();
        let key = tool::run(&self.openssl, ["ec", "-in", file.to_str().unwrap()]).success();
        std::fs::remove_file(file).unwrap();
        assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----"), "{key}");
        key
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    fn account(&self) -> String {
        let arguments = [
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
        ];
        self.sec1(&tool::run(&self.openssl, arguments).success())
    }
}

#[test]
fn a_folder_that_autocert_has_filled_goes_on_to_serve() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let (programs, openssl) = (programs!(), require!("openssl"));
    let (store, authority) = (Store::new(), Authority::new("an authority"));
    let folder = Autocert::new(openssl, &store);
    let account = folder.account();
    folder.write("acme_account+key", &account);
    let pair = authority.server();
    let kept = folder.sec1(&pair.key) + &pair.certificate + &authority.pem();
    folder.write(HOST, &kept);
    let rsa = authority.rsa_server();
    folder.write(&format!("{HOST}+rsa"), &(rsa.key + &rsa.certificate));
    let certified = Certified::start(programs, &store, json!({}));
    let trusted = store.scratch().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let address = certified.registry.address();
    ask(&certified.curl, &trusted, address, HOST).success();
    assert_eq!(certified.cached(HOST), kept);
    assert_eq!(certified.cached("acme_account+key"), account);
    assert!(!certified.pebble.log().contains("Issued certificate"));
}

#[test]
fn what_is_of_another_host_is_got_anew_with_the_account_that_is_there() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let (programs, openssl) = (programs!(), require!("openssl"));
    for name in ["acme_account+key", "acme_account.key"] {
        let store = Store::new();
        let folder = Autocert::new(openssl.clone(), &store);
        let account = folder.account();
        folder.write(name, &account);
        let stranger = Authority::new("an authority").client();
        folder.write(HOST, &(folder.sec1(&stranger.key) + &stranger.certificate));
        let certified = Certified::start(programs, &store, json!({}));
        certified.until_certified(HOST);
        assert_eq!(certified.cached(name), account);
        let accounts = std::fs::read_dir(&folder.folder).unwrap();
        let accounts = accounts.filter(|file| {
            let name = file.as_ref().unwrap().file_name();
            name.to_string_lossy().starts_with("acme_account")
        });
        assert_eq!(accounts.count(), 1);
        // autocert's Manager.cacheGet: a key, then certificates, then nothing, not even an empty line.
        let got = certified.cached(HOST);
        let mut blocks = got.split_inclusive("-----END ");
        assert!(
            blocks
                .next()
                .unwrap()
                .starts_with("-----BEGIN PRIVATE KEY-----\n")
        );
        assert!(got.matches("-----BEGIN CERTIFICATE-----\n").count() >= 2);
        assert!(got.ends_with("-----END CERTIFICATE-----\n") && !got.contains("\n\n"));
    }
}

#[test]
fn a_certificate_is_renewed_under_traffic() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let programs = programs!();
    let certified = Certified::start(programs, &Store::new(), json!({}));
    certified.until_certified(HOST);
    let first = certified.cached(HOST);
    let authority = certified.pebble.authority();
    let pulls = || {
        let mut count = 0;
        while certified.cached(HOST) == first || count < 10 {
            ask(
                &certified.curl,
                &authority,
                certified.registry.address(),
                HOST,
            )
            .success();
            count += 1;
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(pulls);
        }
    });
    // What is served now is what was got then.
    let renewed = certified.cached(HOST);
    assert_ne!(renewed, first);
    certified.ask(HOST).success();
    let log = certified.registry.log();
    assert!(!log.contains("no certificate for"), "{log}");
}

#[test]
fn a_host_that_is_refused_takes_no_other_with_it() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let programs = programs!();
    let hosts = json!({"hosts": [BLOCKED, HOST]});
    let certified = Certified::start(programs, &Store::new(), hosts);
    certified.until_certified(HOST);
    let refusal = format!("no certificate for {BLOCKED}");
    wait::until("the refusal in the log", || {
        certified.registry.log().contains(&refusal).then_some(())
    });
    let log = certified.registry.log();
    assert!(
        log.contains("policy") || log.contains("blocked") || log.contains("rejected"),
        "{log}"
    );
    certified.ask(BLOCKED).failure();
    // Nor does a host get one that nobody configured.
    certified.ask("stranger.test").failure();
    assert!(!certified.registry.log().contains("stranger.test"));
    certified.ask(HOST).success();
}

#[test]
fn replicas_that_share_a_folder_share_certificates_and_challenges() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let programs = programs!();
    let store = Store::new();
    let certified = Certified::start(programs, &store, json!({}));
    // The second replica is not where the ACME server looks.
    let second = setup(&store, &certified.pebble, &free_address(), json!({})).start();
    certified.until_certified(HOST);
    let authority = certified.pebble.authority();
    wait::until("the certificate on the other replica", || {
        let asked = ask(&certified.curl, &authority, second.address(), HOST);
        asked.status.success().then_some(())
    });
    assert_eq!(
        certified.pebble.log().matches("Issued certificate").count(),
        1
    );

    // And a replica answers for another: the one that asks is not the one that is asked.
    let folder = store.scratch().join("acme");
    drop(second);
    let address = certified.registry.address().clone();
    let text = std::fs::read_to_string(folder.join(HOST)).unwrap();
    std::fs::write(folder.join(format!("{HOST}+token")), &text).unwrap();
    let openssl = require!("openssl");
    let arguments = ["-alpn", "acme-tls/1", "-servername", HOST];
    let connect = ["s_client", "-connect", &address.host()];
    let session = tool::run(&openssl, [&connect[..], &arguments].concat());
    assert!(
        session.stdout.contains("ALPN protocol: acme-tls/1"),
        "{}",
        session.stdout
    );
}

#[test]
fn who_comes_by_http_is_sent_to_https() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let programs = programs!();
    let certified = Certified::start(programs, &Store::new(), json!({"challenge": "http-01"}));
    let get = |host: &str, target: &str| {
        Request::new(certified.http.clone(), "GET", target)
            .header("Host", host)
            .send()
    };
    let answer = get(HOST, "/v2/?a=b").expect(308);
    assert_eq!(answer.need("location"), format!("https://{HOST}/v2/?a=b"));
    let _ = get("evil.example", "/v2/").expect(404);
    for token in [
        "absent",
        "..%2Facme_account+key",
        "..%2f..%2fetc%2fpasswd",
        "%00",
    ] {
        let _ = get(HOST, &format!("/.well-known/acme-challenge/{token}")).expect(404);
    }
}

#[test]
fn what_is_missing_or_twice_is_said_at_the_start() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let store = Store::new();
    let file = store.scratch().join("file");
    std::fs::write(&file, "").unwrap();
    for (letsencrypt, more, part) in [
        (
            json!({"cachefile": "/tmp/x"}),
            json!({}),
            "needs http.tls.letsencrypt.hosts",
        ),
        (
            json!({"hosts": [HOST]}),
            json!({}),
            "needs http.tls.letsencrypt.cachefile",
        ),
        (
            json!({"cachefile": file, "hosts": [HOST]}),
            json!({}),
            "http.tls.letsencrypt.cachefile",
        ),
        (
            json!({"cachefile": store.scratch().join("a"), "hosts": [HOST]}),
            json!({"certificate": "/c", "key": "/k"}),
            "cannot specify both certificate and Let's Encrypt",
        ),
        (
            json!({"cachefile": store.scratch().join("a"), "hosts": [HOST], "rootcas": ["/absent"]}),
            json!({}),
            "http.tls.letsencrypt.rootcas /absent",
        ),
    ] {
        let setup = Setup::new(Implementation::Roadstead)
            .config(json!({"http": {"tls": {"letsencrypt": letsencrypt}}}))
            .config(json!({"http": {"tls": more}}));
        let said = setup.try_start().err().expect("a refusal to start");
        assert!(said.contains(part), "{part} in {said}");
    }
}
