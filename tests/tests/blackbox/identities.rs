//! Tokens of other issuers as passwords, from an issuer on this machine.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, basic};
use roadstead_tests::{Image, Registry, Store, require, tool};
use serde_json::{Value, json};

/// An issuer with one key: its discovery document, its keys, and what it was asked for.
struct Issuer {
    url: String,
    key: EcdsaKeyPair,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Issuer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (point, log) = (key.public_key().as_ref().to_vec(), Arc::clone(&asked));
        // It ends with the process.
        std::thread::spawn(move || serve(&listener, address, &point, &log));
        Self {
            url: format!("http://{address}"),
            key,
            asked,
        }
    }

    fn token(&self, claims: &Value) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let mut all = json!({
            "iss": self.url, "aud": "registry", "iat": now.as_secs(), "exp": now.as_secs() + 600,
        });
        for (name, value) in claims.as_object().unwrap() {
            all[name] = value.clone();
        }
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": "one" });
        let [header, payload] = [header, all].map(|part| BASE64.encode(part.to_string()));
        let signed = format!("{header}.{payload}");
        let random = SystemRandom::new();
        let signature = self.key.sign(&random, signed.as_bytes()).unwrap();
        format!("{signed}.{}", BASE64.encode(signature))
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(listener: &TcpListener, address: SocketAddr, point: &[u8], log: &Mutex<Vec<String>>) {
    let (x, y) = point[1..].split_at(32);
    let keys = json!({ "keys": [{
        "kty": "EC", "crv": "P-256", "kid": "one", "use": "sig",
        "x": BASE64.encode(x), "y": BASE64.encode(y),
    }] });
    for stream in listener.incoming().flatten() {
        let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
        let target = lines.next().unwrap_or_default();
        let target = target.split(' ').nth(1).unwrap_or_default().to_owned();
        lines.take_while(|line| !line.is_empty()).for_each(drop);
        let document = match target.as_str() {
            "/.well-known/openid-configuration" => {
                let issuer = format!("http://{address}");
                json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") })
            }
            _ => keys.clone(),
        };
        log.lock().unwrap().push(target);
        let (body, mut stream) = (document.to_string(), &stream);
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n");
        let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    }
}

fn oidc(issuer: &str) -> Value {
    json!({ "issuers": [{
        "issuer": issuer,
        "audience": "registry",
        "plainhttp": true,
        "rules": [
            // GitHub Actions
            { "claims": { "repository": "acme/app", "ref": "refs/heads/*" }, "user": "ci-app", "groups": ["builders"] },
            // GitLab
            { "claims": { "project_path": "acme/app", "ref_protected": true }, "user": "gitlab", "groups": ["builders"] },
            // Kubernetes
            { "claims": { "sub": "system:serviceaccount:web:*" }, "user": "web" },
        ],
    }] })
}

fn config(store: &Store, issuer: &str, has_tokens: bool) -> Value {
    json!({
        "auth": users::htpasswd(store),
        "oidc": oidc(issuer),
        "tokenserver": users::token_server(store, has_tokens),
        "access": {
            "groups": [{ "name": "builders", "users": [] }],
            "rules": [
                { "groups": ["builders"], "repositories": ["app"], "allow": ["pull", "push"] },
                { "users": ["web"], "repositories": ["app"], "allow": ["pull"] },
            ],
        },
    })
}

fn registry(issuer: &str, has_tokens: bool) -> Registry {
    let store = Store::new();
    let open = Registry::over(Implementation::Roadstead, &store);
    for repository in ["app", "other"] {
        open.push_image(repository, "v1", &Image::seeded(730));
    }
    drop(open);
    let config = config(&store, issuer, has_tokens);
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    setup.config(config).start()
}

fn status(registry: &Registry, method: &str, target: &str, user: &str, token: &str) -> u16 {
    let request = registry.request(method, target);
    let authorization = basic(user, token);
    request.header("Authorization", authorization).send().status
}

#[test]
fn a_token_opens_what_its_claims_are_for() {
    let issuer = Issuer::start();
    let registry = registry(&issuer.url, false);
    let github = json!({ "repository": "acme/app", "ref": "refs/heads/main", "sub": "repo:acme/app:ref:refs/heads/main" });
    let fork = json!({ "repository": "evil/app", "ref": "refs/heads/main" });
    let gitlab =
        json!({ "project_path": "acme/app", "ref_protected": "true", "namespace_id": "1" });
    let kubernetes = json!({ "sub": "system:serviceaccount:web:puller", "aud": ["registry"], "kubernetes.io": { "namespace": "web" } });
    let (read, write) = ("/v2/app/tags/list", "/v2/app/blobs/uploads/");
    for (claims, method, target, expected) in [
        (&github, "GET", read, 200),
        (&github, "POST", write, 202),
        (&github, "DELETE", "/v2/app/manifests/v1", 403),
        (&github, "GET", "/v2/other/tags/list", 403),
        (&gitlab, "POST", write, 202),
        (&kubernetes, "GET", read, 200),
        (&kubernetes, "POST", write, 403),
        (&fork, "GET", read, 401),
        (
            &json!({ "sub": "system:serviceaccount:webx:a" }),
            "GET",
            read,
            401,
        ),
    ] {
        let token = issuer.token(claims);
        let answered = status(&registry, method, target, "oidc", &token);
        assert_eq!(answered, expected, "{claims} {method} {target}");
        assert_eq!(status(&registry, method, target, "ci-app", &token), 401);
    }
    let other = Issuer::start();
    for token in [
        other.token(&github),
        // Signed by a stranger under the name of the issuer, which the keys show.
        other.token(
            &json!({ "iss": issuer.url, "repository": "acme/app", "ref": "refs/heads/main" }),
        ),
    ] {
        assert_eq!(status(&registry, "GET", read, "oidc", &token), 401);
    }
    assert_eq!(
        issuer.asked(),
        ["/.well-known/openid-configuration", "/keys"]
    );
    assert_eq!(other.asked(), [""; 0], "nobody else is asked");
}

#[test]
fn the_token_server_takes_a_token_with_its_groups() {
    let issuer = Issuer::start();
    let registry = registry(&issuer.url, true);
    let claims = json!({ "repository": "acme/app", "ref": "refs/heads/main" });
    let scopes = "scope=repository:app:pull,push&scope=repository:other:pull&offline_token=true";
    let target = format!("/auth/token?service=roadstead&{scopes}");
    let request = registry.request("GET", &target);
    let request = request.header("Authorization", basic("oidc", &issuer.token(&claims)));
    let issued = request.send().expect(200).json();
    assert_eq!(issued["scope"], "repository:app:pull,push");
    assert_eq!(issued["refresh_token"], Value::Null);
    let authorization = format!("Bearer {}", issued["token"].as_str().unwrap());
    for (target, expected) in [("/v2/app/tags/list", 200), ("/v2/other/tags/list", 401)] {
        let request = registry.request("GET", target);
        let response = request.header("Authorization", &*authorization).send();
        assert_eq!(response.status, expected, "{target}");
    }
}

#[test]
fn an_issuer_that_is_down_is_no_wrong_password() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let registry = registry(&url, false);
    let claims = json!({ "iss": url, "repository": "acme/app", "ref": "refs/heads/main" });
    let token = Issuer::start().token(&claims);
    let request = registry.request("GET", "/v2/app/tags/list");
    let response = request
        .header("Authorization", basic("oidc", &token))
        .send();
    response.expect_error(503, "UNAVAILABLE");
    let root = users::ROOT.basic();
    let request = registry
        .request("GET", "/v2/")
        .header("Authorization", root);
    let _ = request.send().expect(200);
}

#[test]
fn what_would_let_in_too_many_does_not_start() {
    let written = |changes: Value| {
        let mut oidc = oidc("https://issuer.test");
        for (name, value) in changes.as_object().unwrap() {
            oidc["issuers"][0][name] = value.clone();
        }
        oidc
    };
    for (changes, message) in [
        (json!({ "issuer": "http://issuer.test" }), "must be https"),
        (
            json!({ "issuer": "http://127.0.0.1", "plainhttp": false }),
            "must be https",
        ),
        (json!({ "jwksuri": "http://issuer.test" }), "must be https"),
        (json!({ "audience": "" }), "audience is missing"),
        (json!({ "rules": [] }), "rules is missing"),
        (
            json!({ "rules": [{ "user": "a", "claims": { "sub": "*" } }] }),
            "demands no claim",
        ),
        (json!({ "rules": [{ "user": "a" }] }), "demands no claim"),
        (
            json!({ "rules": [{ "claims": { "sub": "x" } }] }),
            "has no user",
        ),
        (
            json!({ "rules": [{ "user": "a", "claims": { "sub": "x" }, "groups": ["g"] }] }),
            "not defined",
        ),
        (
            json!({ "rules": [{ "user": "a", "claim": { "sub": "x" } }] }),
            "claim",
        ),
    ] {
        let store = Store::new();
        let mut config = config(&store, "https://issuer.test", false);
        config["oidc"] = written(changes.clone());
        let setup = Setup::new(Implementation::Roadstead).store(&store);
        let said = setup.config(config).try_start().err();
        let said = said.unwrap_or_else(|| panic!("it must not start: {changes}"));
        assert!(said.contains(message), "{message}: {said}");
    }
}

#[test]
fn skopeo_logs_in_with_a_token() {
    let program = require!("skopeo");
    for has_tokens in [false, true] {
        let issuer = Issuer::start();
        let registry = registry(&issuer.url, has_tokens);
        let token = issuer.token(&json!({ "repository": "acme/app", "ref": "refs/heads/main" }));
        let (host, authfile) = (
            registry.host(),
            registry.store().scratch().join("auth.json"),
        );
        let skopeo = |arguments: &[&str]| {
            let authfile = ["--authfile", authfile.to_str().unwrap()];
            let (first, rest) = arguments.split_first().unwrap();
            tool::run(
                &program,
                [&["--insecure-policy", first], &authfile[..], rest].concat(),
            )
        };
        let login = [
            "login",
            "--tls-verify=false",
            "-u",
            "oidc",
            "-p",
            &token,
            &host,
        ];
        let _ = skopeo(&login).success();
        let name = |name: &str| format!("docker://{host}/{name}");
        let copy = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        let copied = |from: &str, to: &str| {
            let (from, to) = (name(from), name(to));
            skopeo(&[&copy[..], &[&from, &to]].concat())
        };
        let _ = copied("app:v1", "app:v2").success();
        let _ = copied("app:v1", "other:v2").failure();
    }
}
