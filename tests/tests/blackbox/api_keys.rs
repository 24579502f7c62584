//! API keys: made by the command, taken as a password.

use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::tool::{self, Outcome};
use roadstead_tests::users::{self, ANN, basic};
use roadstead_tests::{Image, Registry, Store, require, wait};
use serde_json::{Value, json};

/// Ann may do what she likes below `team`, and look at the rest; bob nothing but look at `public`.
fn registry(has_tokens: bool) -> Registry {
    let store = Store::new();
    let open = Registry::over(Implementation::Roadstead, &store);
    for repository in ["team/app", "team/other", "public/app"] {
        open.push_image(repository, "v1", &Image::seeded(720));
    }
    drop(open);
    let config = json!({
        "auth": users::htpasswd(&store),
        "apikeys": { "path": store.scratch().join("keys/keys.json") },
        "tokenserver": users::token_server(&store, has_tokens),
        "access": { "rules": [
            { "users": ["ann"], "repositories": ["team/**"], "allow": ["pull", "push", "delete", "list"] },
            { "users": ["*"], "repositories": ["public/*"], "allow": ["pull", "list"] },
        ] },
    });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    setup.config(config).start()
}

fn api_key(registry: &Registry, arguments: &[&str]) -> Outcome {
    let arguments = [&["api-key"], arguments].concat();
    let mut command = Setup::new(Implementation::Roadstead).command(&arguments);
    command.arg(registry.config());
    tool::finish(command)
}

fn created(registry: &Registry, arguments: &[&str]) -> String {
    let arguments = [&["create"], arguments].concat();
    let key = api_key(registry, &arguments).success().trim().to_owned();
    wait::until("the registry to know the key", || {
        (status(registry, "GET", "/v2/", "ann", &key) == 200
            || status(registry, "GET", "/v2/", "bob", &key) == 200)
            .then_some(())
    });
    key
}

fn status(registry: &Registry, method: &str, target: &str, user: &str, key: &str) -> u16 {
    let request = registry.request(method, target);
    request
        .header("Authorization", basic(user, key))
        .send()
        .status
}

#[test]
fn a_key_opens_what_its_owner_may_until_it_is_revoked() {
    let registry = registry(false);
    let key = created(&registry, &["--owner", "ann"]);
    assert!(key.starts_with("rsk_"), "{key}");
    for (user, target, expected) in [
        ("ann", "/v2/team/app/tags/list", 200),
        ("ann", "/v2/public/app/tags/list", 200),
        ("ann", "/v2/elsewhere/tags/list", 403),
        ("bob", "/v2/public/app/tags/list", 401),
        ("nobody", "/v2/public/app/tags/list", 401),
        ("", "/v2/public/app/tags/list", 401),
    ] {
        let answered = status(&registry, "GET", target, user, &key);
        assert_eq!(answered, expected, "{user} {target}");
    }
    let other = created(&registry, &["--owner", "ann", "--expires", "never"]);
    let id = &key[4..16];
    let listed = api_key(&registry, &["list"]).success();
    assert!(listed.contains(id) && listed.contains("never"), "{listed}");
    assert!(!listed.contains(&key[17..]), "{listed}");
    let _ = api_key(&registry, &["revoke", id]).success();
    wait::until("the key to be worth nothing", || {
        (status(&registry, "GET", "/v2/", "ann", &key) == 401).then_some(())
    });
    assert_eq!(status(&registry, "GET", "/v2/", "ann", &other), 200);
    let again = api_key(&registry, &["revoke", id]).failure();
    assert!(again.contains("there is no key"), "{again}");
    assert_eq!(status(&registry, "GET", "/v2/", "ann", ANN.password), 200);
}

#[test]
fn a_scope_is_the_most_that_a_key_may_do() {
    for has_tokens in [false, true] {
        let registry = registry(has_tokens);
        let scopes = [
            "--scope",
            "repository:team/app:pull,list",
            "--scope",
            "repository:elsewhere:pull,push",
        ];
        let key = created(&registry, &[&["--owner", "ann"], &scopes[..]].concat());
        for (method, target, expected) in [
            ("GET", "/v2/team/app/tags/list", 200),
            ("GET", "/v2/team/other/tags/list", 403),
            ("POST", "/v2/team/app/blobs/uploads/", 403),
            ("DELETE", "/v2/team/app/manifests/v1", 403),
            // Its owner may not either.
            ("GET", "/v2/elsewhere/tags/list", 403),
        ] {
            let answered = status(&registry, method, target, "ann", &key);
            assert_eq!(answered, expected, "{method} {target}");
        }
        let request = registry.request("GET", "/v2/_catalog");
        let catalog = request.header("Authorization", basic("ann", &key)).send();
        assert_eq!(
            catalog.expect(200).json()["repositories"],
            json!(["team/app"])
        );
    }
}

#[test]
fn the_token_server_takes_a_key_and_grants_no_more_than_it() {
    let registry = registry(true);
    let key = created(
        &registry,
        &["--owner", "ann", "--scope", "repository:team/app:pull"],
    );
    let scopes = "scope=repository:team/app:pull,push&scope=repository:team/other:pull&scope=registry:catalog:*";
    let target = format!("/auth/token?service=roadstead&offline_token=true&{scopes}");
    let request = registry.request("GET", &target);
    let issued = request.header("Authorization", basic("ann", &key)).send();
    let issued = issued.expect(200).json();
    assert_eq!(issued["scope"], "repository:team/app:pull");
    assert_eq!(issued["refresh_token"], Value::Null);
    let authorization = format!("Bearer {}", issued["token"].as_str().unwrap());
    for (target, expected) in [
        ("/v2/team/app/tags/list", 200),
        ("/v2/team/other/tags/list", 401),
        ("/v2/_catalog", 401),
    ] {
        let request = registry.request("GET", target);
        let response = request.header("Authorization", &*authorization).send();
        assert_eq!(response.status, expected, "{target}");
    }
}

#[test]
fn a_key_ends_with_its_owner() {
    let registry = registry(false);
    let key = created(&registry, &["--owner", "ann"]);
    let bobs = users::BOB.line();
    std::fs::write(registry.store().scratch().join("htpasswd"), bobs).unwrap();
    wait::until("ann to be gone", || {
        (status(&registry, "GET", "/v2/", "ann", &key) == 401).then_some(())
    });
}

#[test]
fn what_makes_no_sense_makes_no_key() {
    let registry = registry(false);
    for (arguments, said) in [
        (&["--owner", "nobody"][..], "has no user \"nobody\""),
        (&["--owner", "ann", "--expires", "0d"], "90d"),
        (&["--owner", "ann", "--expires", "soon"], "90d"),
        (&["--owner", "ann", "--scope", "repository:a"], "scope"),
        (&["--owner", "ann", "--scope", "repository:A:pull"], "scope"),
    ] {
        let arguments = [&["create"], arguments].concat();
        let failure = api_key(&registry, &arguments).failure();
        assert!(failure.contains(said), "{arguments:?}: {failure}");
    }
    assert_eq!(api_key(&registry, &["list"]).success().lines().count(), 1);
    let keys = registry.store().scratch().join("other.json");
    let setup = Setup::new(Implementation::Roadstead);
    let setup = setup.config(json!({ "apikeys": { "path": keys } }));
    let said = setup.try_start().err().expect("it must not start");
    assert!(said.contains("apikeys"), "{said}");
}

#[test]
fn skopeo_logs_in_with_a_key() {
    let program = require!("skopeo");
    for has_tokens in [false, true] {
        let registry = registry(has_tokens);
        let scope = "repository:team/app:pull,push";
        let key = created(&registry, &["--owner", "ann", "--scope", scope]);
        let authfile = registry.store().scratch().join("auth.json");
        let skopeo = |arguments: &[&str]| {
            let authfile = ["--authfile", authfile.to_str().unwrap()];
            let (first, rest) = arguments.split_first().unwrap();
            let flags = ["--insecure-policy", first, "--tls-verify=false"];
            tool::run(&program, [&flags[..], &authfile[..], rest].concat())
        };
        let host = registry.host();
        let login = |password: &str| skopeo(&["login", "-u", "ann", "-p", password, &host]);
        let _ = login(&key.replace("rsk_", "rsk_0")).failure();
        let _ = login(&key).success();
        let inspect = |name: &str| skopeo(&["inspect", &format!("docker://{host}/{name}")]);
        let _ = inspect("team/app:v1").success();
        let _ = inspect("team/other:v1").failure();
    }
}
