//! `privileged_key`: requests that the owner of an RSA key has signed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use roadstead_tests::image::OCI_MANIFEST;
use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN, by};
use roadstead_tests::{Image, Registry, Request, Response, Store, require, sha256, tool, wait};
use serde_json::{Value, json};

/// An RSA key of OpenSSL's, and what it signs.
struct Key {
    openssl: PathBuf,
    private: PathBuf,
}

impl Key {
    fn new(openssl: &Path, folder: &Path, name: &str, kind: &[&str]) -> Self {
        let private = folder.join(format!("{name}.pem"));
        let mut command = Command::new(openssl);
        command.args(["genpkey", "-algorithm"]).args(kind);
        let _ = tool::finish(with(command, &["-out", text(&private)])).success();
        Self {
            openssl: openssl.to_owned(),
            private,
        }
    }

    fn rsa(openssl: &Path, folder: &Path, name: &str) -> Self {
        let kind = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        Self::new(openssl, folder, name, &kind)
    }

    /// The public key, in OpenSSL's form (`-pubout`) or in v1's (`-RSAPublicKey_out`).
    fn public(&self, form: &str) -> PathBuf {
        let public = self.private.with_extension(&form[1..]);
        let command = with(
            Command::new(&self.openssl),
            &[if form == "-pubout" { "pkey" } else { "rsa" }, form],
        );
        let files = ["-in", text(&self.private), "-out", text(&public)];
        let _ = tool::finish(with(command, &files)).success();
        public
    }

    fn sign(&self, algorithm: &str, message: &str) -> String {
        let (signed, signature) = (
            self.private.with_extension("message"),
            self.private.with_extension("signature"),
        );
        std::fs::write(&signed, message).unwrap();
        let command = with(
            Command::new(&self.openssl),
            &["dgst", &format!("-{algorithm}"), "-sign"],
        );
        let files = [text(&self.private), "-out", text(&signature), text(&signed)];
        let _ = tool::finish(with(command, &files)).success();
        BASE64_STANDARD.encode(std::fs::read(signature).unwrap())
    }
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A time as `date -u +%Y-%m-%dT%H:%M:%SZ` writes it, some seconds from now.
fn time(offset: i64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let time = i64::try_from(now).unwrap() + offset;
    let at = format!("@{time}");
    let written = tool::run("/bin/date", ["-u", "-d", &at, "+%Y-%m-%dT%H:%M:%SZ"]);
    written.success().trim().to_owned()
}

/// A registry in which nobody may do anything, but the owner of a key.
fn registry(store: &Store, public: &Path) -> Registry {
    let config = json!({
        "auth": users::htpasswd(store),
        "access": { "rules": [] },
        "privileged_key": public,
    });
    let setup = Setup::new(Implementation::Roadstead).store(store);
    setup.config(config).start()
}

/// What a request says, and what was signed of it.
#[derive(Clone)]
struct Signed {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Signed {
    fn new(method: &'static str, target: &str, body: &[u8]) -> Self {
        Self {
            method,
            target: target.to_owned(),
            headers: vec![
                ("X-Docker-Content-Sha256", sha256(body)[7..].to_owned()),
                ("X-Docker-Date", time(0)),
            ],
            body: body.to_owned(),
        }
    }

    fn message(&self) -> String {
        let mut parts = vec![self.method.to_owned(), self.target.clone()];
        let headers = self.headers.iter();
        parts.extend(headers.map(|(name, value)| format!("{name}:{value}")));
        parts.join(",")
    }

    fn request(&self, registry: &Registry, signature: &str) -> Request {
        let mut request = registry.request(self.method, &self.target);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.header("Content-Type", OCI_MANIFEST);
        let request = request.header("X-Signature", signature);
        match self.body.is_empty() {
            true => request,
            false => request.body(self.body.clone()),
        }
    }

    fn send(&self, registry: &Registry, key: &Key) -> Response {
        let data = key.sign("sha256", &self.message());
        self.request(registry, &format!("algorithm=sha256;data={data}"))
            .send()
    }
}

fn store_with_image(image: &Image) -> Store {
    let store = Store::new();
    Registry::over(Implementation::Roadstead, &store).push_image("app", "v1", image);
    store
}

/// The script of docs/access.md, word for word.
fn documented_script() -> String {
    let docs = include_str!("../../../docs/access.md");
    let mut blocks = docs.split("```sh\n").skip(1);
    let script = blocks.find(|block| block.contains("X-Signature")).unwrap();
    script.split("```").next().unwrap().to_owned()
}

#[test]
fn the_documented_script_does_everything() {
    let (openssl, sh, _) = (require!("openssl"), require!("sh"), require!("curl"));
    for form in ["-pubout", "-RSAPublicKey_out"] {
        let store = Store::new();
        let key = Key::rsa(&openssl, store.scratch(), "key");
        let registry = registry(&store, &key.public(form));
        let script = store.scratch().join("signed.sh");
        std::fs::write(&script, documented_script()).unwrap();
        let run = |arguments: &[&str]| {
            let mut command = Command::new(&sh);
            command.arg(&script).args(arguments);
            command.env("REGISTRY", format!("http://{}", registry.host()));
            command.env("KEY", &key.private);
            tool::finish(command)
        };
        let image = Image::seeded(720);
        let file = store.scratch().join("file");
        for blob in image.blobs() {
            std::fs::write(&file, blob).unwrap();
            let target = format!("/v2/app/blobs/uploads/?digest={}", sha256(blob));
            let _ = run(&["POST", &target, text(&file)]).success();
        }
        std::fs::write(&file, image.manifest()).unwrap();
        let manifest = ["PUT", "/v2/app/manifests/v1", text(&file), OCI_MANIFEST];
        let _ = run(&manifest).success();
        let pulled = run(&["GET", "/v2/app/manifests/v1"]).success();
        assert_eq!(pulled.as_bytes(), image.manifest());
        let listed = run(&["GET", "/v2/_catalog?n=5"]).success();
        assert_eq!(listed.trim(), r#"{"repositories":["app"]}"#);
        let _ = run(&["DELETE", "/v2/app/manifests/v1"]).success();
        let _ = run(&["GET", "/v2/app/manifests/v1"]).failure();
        if !roadstead_tests::lambda::is_front() {
            assert!(registry.log().contains("auth.user.name=privileged_key"));
        }
    }
}

#[test]
fn a_signature_is_for_one_request_and_a_short_time() {
    let openssl = require!("openssl");
    let image = Image::seeded(721);
    let store = store_with_image(&image);
    let key = Key::rsa(&openssl, store.scratch(), "key");
    let other = Key::rsa(&openssl, store.scratch(), "other");
    let registry = registry(&store, &key.public("-pubout"));
    let read = Signed::new("GET", "/v2/app/tags/list?n=1", b"");
    let write = Signed::new("PUT", "/v2/app/manifests/v2", image.manifest());
    let data = |signed: &Signed| key.sign("sha256", &signed.message());
    let good = |signed: &Signed| format!("algorithm=sha256;data={}", data(signed));
    let edited = |signed: &Signed, edit: fn(&mut Signed)| {
        let signature = good(signed);
        let mut sent = signed.clone();
        edit(&mut sent);
        sent.request(&registry, &signature)
    };
    let signed_as = |edit: &dyn Fn(&mut Signed)| {
        let mut signed = read.clone();
        edit(&mut signed);
        signed.request(&registry, &good(&signed))
    };

    let _ = read.send(&registry, &key).expect(200);
    let v1 = format!("data={}", key.sign("sha1", &read.message()));
    let _ = read.request(&registry, &v1).send().expect(200);

    let by_other = format!(
        "algorithm=sha256;data={}",
        other.sign("sha256", &read.message())
    );
    let refused = [
        ("another key", read.request(&registry, &by_other)),
        (
            "another target",
            edited(&read, |sent| sent.target = "/v2/app/tags/list".into()),
        ),
        (
            "another query",
            edited(&read, |sent| sent.target = "/v2/app/tags/list?n=2".into()),
        ),
        (
            "another method",
            edited(&read, |sent| sent.method = "DELETE"),
        ),
        (
            "another date",
            edited(&read, |sent| sent.headers[1].1 = time(30)),
        ),
        ("no date", edited(&read, |sent| drop(sent.headers.pop()))),
        (
            "a further header",
            edited(&read, |sent| {
                sent.headers.push(("X-Docker-More", "x".into()))
            }),
        ),
        ("another body", edited(&write, |sent| sent.body.push(b' '))),
        (
            "a date long ago",
            signed_as(&|signed| signed.headers[1].1 = time(-900)),
        ),
        (
            "a date to come",
            signed_as(&|signed| signed.headers[1].1 = time(900)),
        ),
        (
            "a date that is none",
            signed_as(&|signed| signed.headers[1].1 = "now".into()),
        ),
        (
            "a comma",
            signed_as(&|signed| signed.target = "/v2/app/tags/list?n=1,2".into()),
        ),
        (
            "the date twice",
            signed_as(&|signed| signed.headers.push(signed.headers[1].clone())),
        ),
        ("a body nobody signed", {
            let mut signed = write.clone();
            drop(signed.headers.remove(0));
            signed.request(&registry, &good(&signed))
        }),
        ("another hash of the body", {
            let mut signed = write.clone();
            signed.headers[0].1 = sha256(b"")[7..].to_owned();
            signed.request(&registry, &good(&signed))
        }),
        (
            "MD5",
            read.request(&registry, &good(&read).replace("sha256", "md5")),
        ),
        (
            "SHA-256 as SHA-1",
            read.request(&registry, &good(&read).replace("sha256", "sha1")),
        ),
        (
            "none",
            read.request(&registry, &format!("algorithm=none;data={}", data(&read))),
        ),
        ("no data", read.request(&registry, "algorithm=sha256")),
        (
            "data twice",
            read.request(&registry, &format!("{};data=AA==", good(&read))),
        ),
        (
            "no base64",
            read.request(&registry, "algorithm=sha256;data=!"),
        ),
        ("nothing", read.request(&registry, "")),
        (
            "two signatures",
            read.request(&registry, &good(&read))
                .header("X-Signature", good(&read)),
        ),
    ];
    for (what, request) in refused {
        let response = request.send();
        assert!(matches!(response.status, 400 | 403), "{what}: {response:?}");
        // A password does not make up for it.
        let response = by(request, Some(ANN)).send();
        assert!(matches!(response.status, 400 | 403), "{what}: {response:?}");
    }
    assert_eq!(
        read.send(&registry, &key).expect(200).json()["tags"],
        json!(["v1"])
    );
    let _ = write.send(&registry, &key).expect(201);
    let _ = registry.get("/v2/app/tags/list").expect(401);
}

#[test]
fn without_the_key_in_the_configuration_a_signature_says_nothing() {
    let openssl = require!("openssl");
    let store = store_with_image(&Image::seeded(722));
    let key = Key::rsa(&openssl, store.scratch(), "key");
    let config = json!({ "auth": users::htpasswd(&store) });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(config).start();
    let read = Signed::new("GET", "/v2/app/tags/list", b"");
    read.send(&registry, &key).expect_error(401, "UNAUTHORIZED");
    let data = key.sign("sha256", &read.message());
    let request = read.request(&registry, &format!("algorithm=sha256;data={data}"));
    let _ = by(request, Some(ANN)).send().expect(200);
}

#[test]
fn a_key_that_changes_counts_at_once() {
    roadstead_tests::only_by_socket!("each function looks at its files in its own time");
    let openssl = require!("openssl");
    let store = store_with_image(&Image::seeded(723));
    let [old, new] = ["old", "new"].map(|name| Key::rsa(&openssl, store.scratch(), name));
    let public = old.public("-pubout");
    let registry = registry(&store, &public);
    let read = || Signed::new("GET", "/v2/app/tags/list", b"");
    let _ = read().send(&registry, &old).expect(200);
    std::fs::write(&public, "no key").unwrap();
    wait::until("the broken key to be noticed", || {
        let _ = read().send(&registry, &old).expect(200);
        registry.log().contains("no public RSA key").then_some(())
    });
    std::fs::copy(new.public("-pubout"), &public).unwrap();
    wait::until("the new key to count", || {
        (read().send(&registry, &new).status == 200).then_some(())
    });
    let _ = read().send(&registry, &old).expect(403);
}

#[test]
fn a_key_that_cannot_be_meant_does_not_start() {
    let openssl = require!("openssl");
    let store = Store::new();
    let folder = store.scratch();
    let key = |name: &str, kind: &[&str]| Key::new(&openssl, folder, name, kind).public("-pubout");
    let rsa = Key::rsa(&openssl, folder, "rsa");
    let weak = key("weak", &["RSA", "-pkeyopt", "rsa_keygen_bits:1024"]);
    let curve = key("curve", &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    let no_key = "no public RSA key of 2048 to 8192 bits";
    let auth = users::htpasswd(&store);
    let is_off: Value = json!(null);
    for (key, auth, message) in [
        (folder.join("missing"), &auth, "No such file"),
        (rsa.private.clone(), &auth, no_key),
        (weak, &auth, no_key),
        (curve, &auth, no_key),
        (
            rsa.public("-pubout"),
            &is_off,
            "everybody may do everything here",
        ),
    ] {
        let config = json!({ "auth": auth, "privileged_key": key });
        let said = Setup::new(Implementation::Roadstead)
            .config(config)
            .try_start();
        let said = said.err().expect("it must not start");
        assert!(
            said.contains("privileged_key") && said.contains(message),
            "{message}: {said}"
        );
    }
}
