//! Real clients that log in: by passwords alone, and by the token server.

use std::path::Path;

use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN, BOB, User};
use roadstead_tests::{Image, Registry, Store, require, tool};
use serde_json::{Value, json};

use crate::clients::{Containerd, containers, require_root};

/// A registry with `public/app:v1`, which everybody may pull, and `team/...`, which is ann's; bob
/// may read nothing but what everybody may.
fn registry(has_tokens: bool) -> (Registry, Image) {
    let store = Store::new();
    let image = Image::seeded(710);
    let open = Registry::over(Implementation::Roadstead, &store);
    open.push_image("public/app", "v1", &image);
    open.push_image("team/secret", "v1", &Image::seeded(711));
    drop(open);
    let config = json!({
        "auth": users::htpasswd(&store),
        "tokenserver": users::token_server(&store, has_tokens),
        "access": { "rules": [
            { "users": ["ann"], "repositories": ["team/**"], "allow": ["pull", "push", "delete"] },
            { "anonymous": true, "repositories": ["public/*"], "allow": ["pull"] },
        ] },
    });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    (setup.config(config).start(), image)
}

pub(crate) fn doors() -> [(Registry, Image); 2] {
    [false, true].map(registry)
}

struct Skopeo<'a> {
    program: &'a Path,
    registry: &'a Registry,
    authfile: std::path::PathBuf,
}

impl Skopeo<'_> {
    fn run(&self, arguments: &[&str]) -> tool::Outcome {
        let (first, rest) = arguments.split_first().unwrap();
        let authfile = ["--authfile", self.authfile.to_str().unwrap()];
        tool::run(
            self.program,
            [&["--insecure-policy", first], &authfile[..], rest].concat(),
        )
    }

    fn login(&self, user: User, password: &str) -> tool::Outcome {
        let host = self.registry.host();
        let arguments = [
            "login",
            "--tls-verify=false",
            "-u",
            user.name,
            "-p",
            password,
            &host,
        ];
        self.run(&arguments)
    }

    fn copy(&self, from: &str, to: &str) -> tool::Outcome {
        let name = |name: &str| format!("docker://{}/{name}", self.registry.host());
        let flags = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        self.run(&[&flags[..], &[&name(from), &name(to)]].concat())
    }

    fn inspect(&self, name: &str) -> tool::Outcome {
        let name = format!("docker://{}/{name}", self.registry.host());
        self.run(&["inspect", "--tls-verify=false", &name])
    }
}

#[test]
fn skopeo_logs_in_and_may_do_what_its_user_may() {
    let program = require!("skopeo");
    for (registry, image) in doors() {
        let authfile = registry.store().scratch().join("auth.json");
        let skopeo = Skopeo {
            program: &program,
            registry: &registry,
            authfile,
        };
        let inspected = skopeo.inspect("public/app:v1").success();
        assert!(inspected.contains(&image.digest()), "{inspected}");
        let _ = skopeo.inspect("team/secret:v1").failure();
        let _ = skopeo.copy("public/app:v1", "team/new:v1").failure();

        let _ = skopeo.login(ANN, "wrong").failure();
        let _ = skopeo.login(ANN, ANN.password).success();
        let _ = skopeo.inspect("team/secret:v1").success();
        // The blobs are mounted from where they are.
        let _ = skopeo.copy("public/app:v1", "team/new:v1").success();
        let _ = skopeo.copy("team/new:v1", "team/other:v2").success();
        let _ = skopeo.copy("team/new:v1", "public/app:v2").failure();
        let name = format!("docker://{}/team/other:v2", registry.host());
        let _ = skopeo
            .run(&["delete", "--tls-verify=false", &name])
            .success();
        let _ = skopeo.inspect("team/other:v2").failure();

        let _ = skopeo.login(BOB, BOB.password).success();
        let _ = skopeo.inspect("public/app:v1").success();
        let _ = skopeo.inspect("team/secret:v1").failure();
        let _ = skopeo.copy("public/app:v1", "team/bobs:v1").failure();
        let _ = skopeo.copy("team/secret:v1", "public/stolen:v1").failure();
    }
}

#[test]
fn podman_logs_in_pulls_and_pushes() {
    require_root!();
    let program = require!("podman");
    for (registry, _) in doors() {
        let state = registry.store().scratch().join("state");
        let authfile = registry.store().scratch().join("auth.json");
        std::fs::write(&authfile, "{}").unwrap();
        let run = |arguments: &[&str]| {
            let (first, rest) = arguments.split_first().unwrap();
            let flags = [
                "--tls-verify=false",
                "--authfile",
                authfile.to_str().unwrap(),
            ];
            containers(&program, &state, &[&[*first], &flags[..], rest].concat())
        };
        let (host, local) = (registry.host(), |arguments: &[&str]| {
            let _ = containers(&program, &state, arguments).success();
        });
        let (public, mine) = (
            format!("{host}/public/app:v1"),
            format!("{host}/team/app:v1"),
        );
        let _ = run(&["pull", &public]).success();
        local(&["tag", &public, &mine]);
        let _ = run(&["push", &mine]).failure();
        let _ = run(&["login", "-u", "ann", "-p", "wrong", &host]).failure();
        let _ = run(&["login", "-u", "ann", "-p", ANN.password, &host]).success();
        let _ = run(&["push", &mine]).success();
        let _ = run(&["push", &mine, &format!("{host}/public/app:v2")]).failure();
        local(&["rmi", "--all", "--force"]);
        let _ = run(&["pull", &mine]).success();
        let _ = run(&["login", "-u", "bob", "-p", BOB.password, &host]).success();
        let _ = run(&["pull", &format!("{host}/team/secret:v1")]).failure();
    }
}

#[test]
fn containerd_pulls_and_pushes_as_a_user() {
    let (daemon, ctr) = (require!("containerd"), require!("ctr"));
    require_root!();
    for (registry, image) in doors() {
        let daemon = match Containerd::start(&daemon, &ctr, registry.store().scratch()) {
            Ok(daemon) => daemon,
            Err(why) => roadstead_tests::skip!("containerd does not run here: {why}"),
        };
        let host = registry.host();
        let name = |name: &str| format!("{host}/{name}");
        let ann = format!("{}:{}", ANN.name, ANN.password);
        let bob = format!("{}:{}", BOB.name, BOB.password);
        let fetch = |user: &[&str], image: &str| {
            let flags = ["content", "fetch", "--plain-http"];
            daemon.run(&[&flags[..], user, &[&name(image)]].concat())
        };
        let _ = fetch(&[], "public/app:v1").success();
        let _ = fetch(&[], "team/secret:v1").failure();
        let _ = fetch(&["--user", &bob], "team/secret:v1").failure();
        let _ = fetch(&["--user", &ann], "team/secret:v1").success();
        let _ = daemon
            .run(&[
                "images",
                "tag",
                &name("public/app:v1"),
                &name("team/new:v1"),
            ])
            .success();
        let push = |user: &str, image: &str| {
            daemon.run(&[
                "images",
                "push",
                "--plain-http",
                "--user",
                user,
                &name(image),
            ])
        };
        let _ = push(&bob, "team/new:v1").failure();
        let _ = push(&ann, "team/new:v1").success();
        let pulled = fetch(&["--user", &ann], "team/new:v1").success();
        assert!(pulled.contains(&image.digest()[7..19]), "{pulled}");
    }
}

#[test]
fn curl_logs_in_both_ways() {
    let program = require!("curl");
    let (registry, _) = registry(true);
    let url = |path: &str| format!("http://{}{path}", registry.host());
    let curl = |arguments: &[&str]| tool::run(&program, [&["-fsS"], arguments].concat());
    let pair = format!("{}:{}", ANN.name, ANN.password);
    let tags = url("/v2/team/secret/tags/list");
    let listed = curl(&["-u", &pair, &tags]).success();
    assert_eq!(listed.trim(), r#"{"name":"team/secret","tags":["v1"]}"#);
    let _ = curl(&[&tags]).failure();
    let wanted = url("/auth/token?service=roadstead&scope=repository:team/secret:pull");
    let answer: Value = serde_json::from_str(&curl(&["-u", &pair, &wanted]).success()).unwrap();
    let bearer = format!(
        "Authorization: Bearer {}",
        answer["token"].as_str().unwrap()
    );
    let _ = curl(&["-H", &bearer, &tags]).success();
    let _ = curl(&["-H", &bearer, &url("/v2/team/other/tags/list")]).failure();
}
