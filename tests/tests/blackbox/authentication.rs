//! Who is who: password files, and challenges as CNCF Distribution writes them.

use std::os::unix::fs::symlink;

use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN, BOB, ROOT, basic};
use roadstead_tests::{Registry, Store, digest, require, tool, wait};
use serde_json::{Value, json};

fn with_passwords(store: &Store) -> Registry {
    let setup = Setup::new(Implementation::Roadstead).store(store);
    setup
        .config(json!({ "auth": users::htpasswd(store) }))
        .start()
}

fn status(registry: &Registry, authorization: &str) -> u16 {
    let request = registry.request("GET", "/v2/");
    request.header("Authorization", authorization).send().status
}

#[test]
fn only_the_right_password_opens() {
    let store = Store::new();
    let registry = with_passwords(&store);
    for (authorization, expected) in [
        (ANN.basic(), 200),
        (ANN.basic().replace("Basic", "bAsIc"), 200),
        (basic("ann", "bob's secret"), 401),
        (basic("ann", ""), 401),
        (basic("ann", "ann's secret "), 401),
        (basic("Ann", "ann's secret"), 401),
        (basic("", "ann's secret"), 401),
        (basic("", ""), 401),
        (basic("nobody", "ann's secret"), 401),
        (basic("ann:", "ann's secret"), 401),
        (basic("ann", &"x".repeat(5000)), 401),
        ("Basic".to_owned(), 401),
        ("Basic !!!".to_owned(), 401),
        ("Basic YW5u".to_owned(), 401),
        (ANN.basic().replace("Basic", "Bearer"), 401),
        ("Negotiate x".to_owned(), 401),
    ] {
        assert_eq!(
            status(&registry, &authorization),
            expected,
            "{authorization}"
        );
    }
    let twice = registry
        .request("GET", "/v2/")
        .header("Authorization", ANN.basic())
        .header("Authorization", BOB.basic());
    twice.send().expect_error(401, "UNAUTHORIZED");
    let refused = registry.get("/v2/").expect_error(401, "UNAUTHORIZED");
    assert_eq!(refused.need("www-authenticate"), r#"Basic realm="a realm""#);
    assert!(
        !registry.log().contains("secret"),
        "a password is in the log"
    );
}

#[test]
fn the_log_names_the_user() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let store = Store::new();
    let config = json!({
        "auth": users::htpasswd(&store),
        "log": { "accesslog": { "disabled": false } },
    });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(config).start();
    let _ = registry.get("/v2/").expect(401);
    assert_eq!(status(&registry, &ANN.basic()), 200);
    wait::until("the user in the log", || {
        let line = r#"127.0.0.1 - ann ["#;
        let is_logged = registry.log().contains("auth.user.name=ann");
        (is_logged && registry.stdout().contains(line)).then_some(())
    });
    let anonymous = registry
        .stdout()
        .lines()
        .filter(|line| line.contains(" 401 "))
        .count();
    assert_eq!(anonymous, 1, "{}", registry.stdout());
}

#[test]
fn a_password_file_that_changes_counts_at_once() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let store = Store::new();
    let registry = with_passwords(&store);
    let path = store.scratch().join("htpasswd");
    assert_eq!(status(&registry, &BOB.basic()), 200);
    std::fs::write(&path, ANN.line()).unwrap();
    wait::until("bob to be shut out", || {
        (status(&registry, &BOB.basic()) == 401).then_some(())
    });
    assert_eq!(status(&registry, &ANN.basic()), 200);
    std::fs::write(&path, "half a li").unwrap();
    wait::until("the broken file to be noticed", || {
        let _ = status(&registry, &ANN.basic());
        registry
            .log()
            .contains("line 1 is not of the form user:hash")
            .then_some(())
    });
    assert_eq!(
        status(&registry, &ANN.basic()),
        200,
        "the old users count on"
    );
    assert_eq!(status(&registry, &BOB.basic()), 401);
    std::fs::write(&path, BOB.line()).unwrap();
    wait::until("bob to be back", || {
        (status(&registry, &BOB.basic()) == 200).then_some(())
    });
}

/// Kubernetes mounts a secret as links and turns one of them.
#[test]
fn a_secret_of_kubernetes_is_followed() {
    let store = Store::new();
    let at = |name: &str| store.scratch().join(name);
    for (version, user) in [("..v1", ANN), ("..v2", BOB)] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("htpasswd"), user.line()).unwrap();
    }
    symlink("..v1", at("..data")).unwrap();
    symlink("..data/htpasswd", at("htpasswd")).unwrap();
    let auth = json!({ "htpasswd": { "realm": "r", "path": at("htpasswd") } });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(json!({ "auth": auth })).start();
    assert_eq!(status(&registry, &ANN.basic()), 200);
    symlink("..v2", at("..tmp")).unwrap();
    std::fs::rename(at("..tmp"), at("..data")).unwrap();
    wait::until("bob to be let in", || {
        (status(&registry, &BOB.basic()) == 200).then_some(())
    });
    assert_eq!(status(&registry, &ANN.basic()), 401);
}

#[test]
fn a_missing_password_file_is_made_and_its_password_shown_once() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let store = Store::new();
    let path = store.scratch().join("secrets/htpasswd");
    let auth = json!({ "htpasswd": { "realm": "r", "path": path } });
    let setup = || Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup().config(json!({ "auth": auth.clone() })).start();
    let said = registry.log();
    let (_, password) = said
        .split_once("password: ")
        .expect("the password is shown");
    let password = password.split_whitespace().next().unwrap().to_owned();
    assert!(password.len() >= 24);
    assert_eq!(status(&registry, &basic("docker", &password)), 200);
    drop(registry);
    let again = setup().config(json!({ "auth": auth })).start();
    assert_eq!(status(&again, &basic("docker", &password)), 200);
    assert!(!again.log().contains(&password), "shown again");
}

#[test]
fn other_hashes_than_bcrypt_are_ignored_with_one_warning() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let store = Store::new();
    let path = users::password_file(&store);
    let lines = std::fs::read_to_string(&path).unwrap();
    let others = "md5:$apr1$gmqyX5oD$/zKyFzvs/1Uqh6sLn8V2c0\nplain:plain\nsha:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n";
    std::fs::write(&path, format!("# people\n\n{others}{lines}")).unwrap();
    let auth = json!({ "htpasswd": { "realm": "r", "path": path } });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    let registry = setup.config(json!({ "auth": auth })).start();
    assert_eq!(status(&registry, &ROOT.basic()), 200);
    assert_eq!(status(&registry, &basic("plain", "plain")), 401);
    assert_eq!(status(&registry, &basic("sha", "password")), 401);
    assert_eq!(registry.log().matches("only bcrypt counts").count(), 1);
}

#[test]
fn what_is_missing_or_broken_refuses_to_start() {
    let store = Store::new();
    let broken = store.scratch().join("broken");
    std::fs::write(&broken, "no colon").unwrap();
    let token = json!({ "realm": "r", "service": "s", "issuer": "i" });
    let with = |key: &str, value: Value| {
        let mut token = token.clone();
        token[key] = value;
        json!({ "token": token })
    };
    for (auth, message) in [
        (
            json!({ "htpasswd": { "realm": "r" } }),
            "auth.htpasswd: path is missing",
        ),
        (
            json!({ "htpasswd": { "realm": "r", "path": broken } }),
            "line 1",
        ),
        (
            json!({ "silly": { "realm": "r" } }),
            "auth.silly: service is missing",
        ),
        (json!({ "token": token }), "at least one token signing key"),
        (with("realm", json!(null)), "auth.token: realm is missing"),
        (
            with("jwks", json!("/nowhere")),
            "auth.token: /nowhere: No such file or directory (os error 2)\n",
        ),
        (with("jwks", json!(broken)), "broken"),
        (
            with("rootcertbundle", json!(broken)),
            "at least one token signing key",
        ),
        (
            json!({ "token": {
                "realm": "r",
                "service": "s",
                "issuer": "i",
                "jwks": "/nowhere",
                "signingalgorithms": ["none"],
            } }),
            "unsupported signing algorithm: none",
        ),
    ] {
        let setup = Setup::new(Implementation::Roadstead).config(json!({ "auth": auth }));
        let said = setup.try_start().err().expect("it must not start");
        assert!(said.contains(message), "{message}: {said}");
    }
}

/// A certificate whose key signs tokens: as Distribution wants one to start.
fn certificate(store: &Store, openssl: &std::path::Path) -> std::path::PathBuf {
    let (key, path) = (
        store.scratch().join("key.pem"),
        store.scratch().join("cert.pem"),
    );
    let arguments = [
        "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
    ];
    let mut command = std::process::Command::new(openssl);
    command
        .args(arguments)
        .arg("/CN=tokens")
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&path);
    let _ = tool::finish(command).success();
    path
}

/// Scopes of one challenge, in a stable order: Distribution's is random.
fn sorted(challenge: &str) -> String {
    let Some((before, scope)) = challenge.split_once("scope=\"") else {
        return challenge.to_owned();
    };
    let (scope, after) = scope.split_once('"').unwrap();
    let mut scopes: Vec<String> = scope
        .split(' ')
        .map(|scope| {
            let (resource, actions) = scope.rsplit_once(':').unwrap();
            let mut actions: Vec<&str> = actions.split(',').collect();
            actions.sort_unstable();
            format!("{resource}:{}", actions.join(","))
        })
        .collect();
    scopes.sort_unstable();
    format!("{before}scope=\"{}\"{after}", scopes.join(" "))
}

#[test]
fn challenges_are_those_of_distribution() {
    let (_, openssl) = (require!("docker-registry"), require!("openssl"));
    let store = Store::new();
    let token = json!({
        "realm": "https://tokens.example/\"quoted\"",
        "service": "a service",
        "issuer": "issuer",
        "rootcertbundle": certificate(&store, &openssl),
    });
    let absent = digest::absent('b');
    for auth in [
        json!({ "silly": { "realm": "silly realm", "service": "silly" } }),
        json!({ "htpasswd": { "realm": "a \\ realm", "path": users::password_file(&store) } }),
        json!({ "token": token }),
    ] {
        let registries = [Implementation::Distribution, Implementation::Roadstead].map(|kind| {
            let config = json!({ "auth": auth.clone() });
            Setup::new(kind).config(config).start()
        });
        for (method, target) in [
            ("GET", "/v2/".to_owned()),
            ("GET", "/v2/_catalog".to_owned()),
            ("GET", "/v2/a/b/tags/list".to_owned()),
            ("GET", "/v2/a/manifests/latest".to_owned()),
            ("HEAD", "/v2/a/manifests/latest".to_owned()),
            ("PUT", "/v2/a/manifests/latest".to_owned()),
            ("DELETE", "/v2/a/manifests/latest".to_owned()),
            ("GET", format!("/v2/a/blobs/{absent}")),
            ("DELETE", format!("/v2/a/blobs/{absent}")),
            ("POST", "/v2/a/blobs/uploads/".to_owned()),
            (
                "POST",
                format!("/v2/a/blobs/uploads/?mount={absent}&from=c/d"),
            ),
            (
                "POST",
                format!("/v2/a/blobs/uploads/?mount={absent}&from=a"),
            ),
        ] {
            for authorization in ["", "Bearer no.such.token", "bearer x", "Basic", "Bearer "] {
                let [theirs, ours] = registries.each_ref().map(|registry| {
                    let request = registry.request(method, &target);
                    let response = match authorization {
                        "" => request.send(),
                        value => request.header("Authorization", value).send(),
                    };
                    let challenge = response.header("www-authenticate").unwrap_or("none");
                    (response.status, sorted(challenge), response.codes())
                });
                // Silly lets anything in, and each registry then goes its way.
                if theirs.1 == "none" {
                    assert_eq!(ours.1, "none", "{method} {target} {authorization}");
                    continue;
                }
                assert_eq!(ours, theirs, "{method} {target} {authorization}");
            }
        }
    }
}

#[test]
fn scopes_come_in_a_stable_order() {
    let auth = json!({ "silly": { "realm": "r", "service": "s" } });
    let registry = Registry::with(json!({ "auth": auth }));
    let response = registry
        .request("POST", "/v2/b/blobs/uploads/?mount=x&from=a")
        .send();
    assert_eq!(
        response.need("www-authenticate"),
        r#"Bearer realm="r",service="s",scope="repository:b:pull repository:b:push repository:a:pull""#
    );
    let passed = registry
        .request("GET", "/v2/")
        .header("Authorization", "x")
        .send();
    let _ = passed.expect(200);
}

/// Behind a proxy that says that its client came by plain HTTP from elsewhere.
#[test]
fn passwords_are_refused_over_plain_http_unless_told_so() {
    for (plainhttp, expected) in [(false, 403), (true, 200)] {
        for tokenserver in [json!({}), json!({ "enabled": true })] {
            let store = Store::new();
            let mut auth = users::htpasswd(&store);
            auth["htpasswd"]["plainhttp"] = json!(plainhttp);
            let config = json!({ "auth": auth, "tokenserver": tokenserver.clone() });
            let setup = Setup::new(Implementation::Roadstead).store(&store);
            let registry = setup.config(config).start();
            let ask = |target: &str, proto: &str, address: &str| {
                let request = registry
                    .request("GET", target)
                    .header("X-Forwarded-For", address);
                let request = request.header("X-Forwarded-Proto", proto);
                request.header("Authorization", ANN.basic()).send()
            };
            let exposed = ask("/v2/", "http", "203.0.113.9").expect(expected);
            assert_eq!(exposed.header("www-authenticate"), None);
            let _ = ask("/v2/", "https", "203.0.113.9").expect(200);
            let _ = ask("/v2/", "http", "127.0.0.1").expect(200);
            if tokenserver["enabled"] == true {
                let _ = ask("/auth/token", "http", "203.0.113.9").expect(expected);
                let _ = ask("/auth/token", "https", "203.0.113.9").expect(200);
            }
        }
    }
}
