//! The edge: the URLs that are built, the sockets that are served, and HTTP that is bent or broken (list C).

mod crowds;
mod messages;
mod sockets;
mod urls;

use roadstead_tests::image::noise;
use roadstead_tests::registry::{Setup, with_query};
use roadstead_tests::{Implementation, Registry, sha256, wait};
use serde_json::json;

fn setup() -> Setup {
    Setup::new(Implementation::Roadstead)
}

#[test]
fn secrets_are_not_logged() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let registry =
        Registry::with(json!({"log": {"level": "debug", "accesslog": {"disabled": false}}}));
    let location = registry.append(&registry.begin_upload("app"), b"content");
    let state = location.split_once("_state=").unwrap().1.to_owned();
    let request = registry
        .request("GET", "/v2/")
        .header("Authorization", "Basic c2VjcmV0LXBhc3N3b3Jk");
    let _ = request.send().expect(200);
    let _ = registry
        .finish_upload(&location, &sha256(b"content"), b"")
        .expect(201);
    let line = wait::until("the access log", || {
        registry
            .stdout()
            .lines()
            .find(|line| line.contains("PUT "))
            .map(str::to_owned)
    });
    assert!(line.contains("201"), "{line}");
    for log in [registry.log(), registry.stdout()] {
        for secret in [
            "c2VjcmV0LXBhc3N3b3Jk",
            roadstead_tests::registry::SECRET,
            &*state,
        ] {
            assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
        }
    }
}

#[test]
fn a_line_break_in_a_request_makes_no_line_in_the_log() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let registry =
        Registry::with(json!({"log": {"level": "debug", "accesslog": {"disabled": false}}}));
    let request = registry.request("GET", "/v2/app/manifests/x%0aFORGED%0d%0aFORGED?%0aFORGED");
    let _ = request
        .header("User-Agent", "a\tFORGED\u{85}\u{2028}FORGED")
        .send()
        .expect_refusal();
    wait::until("the access log", || {
        registry.stdout().contains("manifests").then_some(())
    });
    for log in [registry.log(), registry.stdout()] {
        assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    }
}

#[test]
fn an_upload_that_trickles_in_is_taken() {
    let registry = Registry::start();
    let content = noise(6, 300);
    let target = with_query(
        &registry.begin_upload("app"),
        &format!("digest={}", sha256(&content)),
    );
    let request = registry.request("PUT", &target).body(&*content);
    let mut connection = registry.connect();
    for piece in request.bytes().chunks(3) {
        connection.send(piece).unwrap();
    }
    let _ = connection.receive("PUT").unwrap().expect(201);
}
