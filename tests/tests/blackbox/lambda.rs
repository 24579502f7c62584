//! The registry as a Lambda function: what events do to requests and answers, and what a function
//! is by itself. That the rest is the same is seen by running the other tests over functions.

use std::time::Duration;

use roadstead_tests::lambda::{Function, event};
use roadstead_tests::registry::Setup;
use roadstead_tests::{
    Address, Image, Implementation, Registry, Store, only_over, require, sha256, tool,
};
use serde_json::{Value, json};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// More than a function takes or gives in one piece.
const TOO_MUCH: usize = 4_500_001;

fn registry(overrides: Value) -> Registry {
    Setup::new(Implementation::Lambda).config(overrides).start()
}

/// A configuration of a function, which lies in the store's folder.
fn config(store: &Store, overrides: Value) -> String {
    let address = Address::Tcp("127.0.0.1:0".parse().unwrap());
    let setup = Setup::new(Implementation::Lambda)
        .store(store)
        .config(overrides);
    setup.write_config(&address).to_str().unwrap().to_owned()
}

fn function(name: &str, config: &str) -> Function {
    Function::built(name).env("REGISTRY_CONFIGURATION_PATH", config)
}

#[test]
fn a_manifest_comes_back_byte_for_byte_whatever_a_gateway_makes_of_json() {
    let registry = registry(json!({}));
    let blob = registry.push_blob("a/b", b"{}");
    let empty =
        json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": blob, "size": 2});
    for (index, (media_type, filler)) in [
        (MANIFEST, "\u{1f6a2} \u{e9} \u{feff} \\u00e9"),
        (
            "application/vnd.docker.distribution.manifest.v2+json",
            "\u{2028}\u{0085}",
        ),
        (
            "application/vnd.oci.image.manifest.v1+json; charset=utf-16",
            "charset",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let plain = media_type.split(';').next().unwrap();
        let manifest = format!(
            "\r\n{{ \"schemaVersion\" :2,\t\"mediaType\": \"{plain}\", \"config\": {empty}, \"layers\": [],\n \"annotations\": {{\"x\": \"{filler}\"}} }}\r\n \n"
        );
        let tag = format!("t{index}");
        let pushed = registry.put_manifest("a/b", &tag, media_type, manifest.as_bytes());
        let digest = sha256(manifest.as_bytes());
        assert_eq!(pushed.expect(201).need("docker-content-digest"), digest);
        let pulled = registry.get_manifest("a/b", &tag).expect(200);
        assert!(pulled.body == manifest.as_bytes(), "{media_type}");
        assert_eq!(pulled.need("docker-content-digest"), digest);
    }
}

#[test]
fn bytes_sent_as_text_and_bytes_sent_in_base64_are_the_same() {
    let store = Store::new();
    let config = config(&store, json!({}));
    let function = function("roadstead-combined", &config);
    let blob = "\u{feff}{\"ship\": \"\u{1f6a2}\"}\r\n".as_bytes();
    let digest = sha256(blob);
    // As a gateway does it: `application/json` is text, other types are not.
    for (content_type, is_base64) in [("application/json", false), ("application/x", true)] {
        let headers = [("host", "r"), ("content-type", content_type)];
        let target = format!("/v2/a/blobs/uploads/?digest={digest}");
        let event = event("POST", &target, &headers, blob);
        assert_eq!(event["isBase64Encoded"], json!(is_base64));
        let result = function.invoke(&event).unwrap();
        assert_eq!(result["statusCode"], 201, "{result}");
        assert_eq!(result["headers"]["docker-content-digest"], digest);
    }
}

#[test]
fn a_blob_comes_back_byte_for_byte() {
    let registry = registry(json!({}));
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let digest = registry.push_blob("a", &all);
    let pulled = registry.get(&format!("/v2/a/blobs/{digest}")).expect(200);
    assert!(pulled.body == all);
    let part = registry.request("GET", &format!("/v2/a/blobs/{digest}"));
    let part = part.header("Range", "bytes=128-255").send().expect(206);
    assert!(part.body == all[128..256]);
}

#[test]
fn what_is_too_large_for_a_function_is_refused_with_the_way_out() {
    let registry = registry(json!({}));
    let blob = vec![7; TOO_MUCH];
    let digest = sha256(&blob);
    let location = registry.begin_upload("a");
    let refused = registry
        .patch(&location, &blob)
        .expect_error(413, "SIZE_INVALID");
    let message = refused.json()["errors"][0]["message"].to_string();
    assert!(
        message.contains("http.uploadorigin") && message.contains("chunks"),
        "{message}"
    );
    // The way out that needs nothing else: chunks.
    let (first, second) = blob.split_at(TOO_MUCH / 2);
    let location = registry.append(&location, first);
    let location = registry.append(&location, second);
    let _ = registry.finish_upload(&location, &digest, b"").expect(201);
    // There is no one here to redirect to.
    let target = format!("/v2/a/blobs/{digest}");
    let refused = registry.get(&target).expect_error(501, "UNSUPPORTED");
    let message = refused.json()["errors"][0]["message"].to_string();
    assert!(message.contains("storage.redirect.disable"), "{message}");
    // Nor a length that would get to the client.
    let _ = registry.head(&target).expect(501);
    let part = registry
        .request("GET", &target)
        .header("Range", "bytes=0-4499999");
    assert_eq!(part.send().expect(206).body.len(), TOO_MUCH - 1);
}

#[test]
fn who_comes_past_the_proxy_is_refused() {
    let registry = registry(json!({"http": {"originsecret": "known to the proxy"}}));
    let refused = registry.get("/v2/").expect_error(403, "DENIED");
    assert!(!refused.text().contains("known to the proxy"));
    let asked = |secret: &str| {
        let request = registry.request("GET", "/v2/");
        request.header("X-Origin-Secret", secret).send()
    };
    let _ = asked("unknown to the proxy").expect_error(403, "DENIED");
    let _ = asked("known to the proxy").expect(200);
}

#[test]
fn names_that_a_gateway_could_mistake_are_taken_as_they_are_written() {
    let registry = registry(json!({}));
    for (path, status, code) in [
        ("/v2/a/../b/tags/list", 400, "NAME_INVALID"),
        ("/v2/a/%2e%2e/b/tags/list", 400, "NAME_INVALID"),
        ("/v2/a%2Fb/tags/list", 404, "NAME_UNKNOWN"),
        ("/v2/a/b/tags/list?n=%31&last=x%26y", 404, "NAME_UNKNOWN"),
        ("/../v2/", 404, "UNSUPPORTED"),
    ] {
        let answer = registry.get(path);
        let _ = answer.expect_error(status, code);
    }
}

#[test]
fn a_function_that_cannot_start_says_why_and_no_secret() {
    only_over!(Filesystem: "it takes the storage out of the configuration");
    let store = Store::new();
    for (overrides, said) in [
        (json!({"http": {"secret": null}}), "http.secret is missing"),
        (json!({"storage": {"filesystem": null}}), "storage"),
        (
            json!({"http": {"uploadorigin": "uploads.example.com"}}),
            "http.uploadorigin",
        ),
    ] {
        let config = config(&store, overrides);
        let failure = function("roadstead-combined", &config).start();
        let failure = failure
            .err()
            .unwrap_or_else(|| panic!("it starts without {said}"));
        assert!(failure.0.contains(said), "{}", failure.0);
        assert!(!failure.0.contains("panicked"), "{}", failure.0);
    }
    let failure = function("roadstead-combined", "/nowhere/roadstead.yml").start();
    assert!(failure.unwrap_err().0.contains("/nowhere/roadstead.yml"));
}

#[test]
fn variables_lie_over_the_file_and_the_log_is_json_without_secrets() {
    let store = Store::new();
    let config = config(&store, json!({}));
    let function = function("roadstead-combined", &config).env("REGISTRY_HTTP_PREFIX", "/over/");
    let ask = |path: &str| {
        let result = function
            .invoke(&event("GET", path, &[("host", "r")], b""))
            .unwrap();
        result["statusCode"].as_u64().unwrap()
    };
    assert_eq!(ask("/over/v2/?_state=sesame"), 200);
    assert_eq!(ask("/v2/"), 404);
    let log = function.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let answered = lines
        .iter()
        .find(|line| line["message"] == "response completed");
    let answered = answered.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(answered["span"]["http.request.path"], "/over/v2/");
    assert_eq!(answered["http.response.status"], 200);
    assert!(!log.contains("sesame"), "{log}");
}

#[test]
fn an_event_that_is_no_request_fails_and_the_function_goes_on() {
    let store = Store::new();
    let config = config(&store, json!({}));
    let function = function("roadstead-combined", &config);
    assert!(function.invoke(&json!({"hello": "there"})).is_err());
    let result = function
        .invoke(&event("GET", "/v2/", &[("host", "r")], b""))
        .unwrap();
    assert_eq!(result["statusCode"], 200);
}

#[test]
fn maintenance_collects_garbage_and_purges_uploads() {
    let store = Store::new();
    let overrides = json!({"storage": {"maintenance": {
        "uploadpurging": {"enabled": true, "age": "1ns"},
        "garbagecollect": {"graceage": "1ns"},
    }}});
    let registry = Setup::new(Implementation::Lambda).store(&store).start();
    let image = Image::seeded(7);
    registry.push_image("kept", "latest", &image);
    let garbage = registry.push_blob("kept", b"garbage");
    let upload = registry.begin_upload("kept");
    let maintenance = function("roadstead-maintenance", &config(&store, overrides));
    store.wait_for_the_past();
    let result = maintenance
        .invoke(&json!({"source": "aws.scheduler"}))
        .unwrap();
    assert_eq!(
        (&result["uploads"], &result["blobs"]),
        (&json!(1), &json!(1)),
        "{result}"
    );
    let _ = registry
        .get(&format!("/v2/kept/blobs/{garbage}"))
        .expect(404);
    let _ = registry.patch(&upload, b"more").expect(404);
    registry.assert_pullable("kept", "latest", &image);
}

#[test]
fn skopeo_pushes_and_pulls_through_a_function() {
    let skopeo = require!("skopeo");
    let registry = registry(json!({}));
    let directory = tempfile::tempdir().unwrap();
    let image = Image::seeded(3);
    let source = directory.path().join("source");
    image.write_layout(&source, "latest");
    let source = format!("oci:{}:latest", source.display());
    let reference = format!("docker://{}/a/b:latest", registry.host());
    let target = format!("oci:{}:latest", directory.path().join("target").display());
    let push = ["copy", "--dest-tls-verify=false", &source, &reference];
    tool::run(&skopeo, push).success();
    let pull = ["copy", "--src-tls-verify=false", &reference, &target];
    tool::run(&skopeo, pull).success();
    registry.assert_pullable("a/b", "latest", &image);
}

#[test]
fn the_deadline_that_an_invocation_has_is_kept() {
    let store = Store::new();
    let config = config(&store, json!({}));
    let maintenance = function("roadstead-maintenance", &config).timeout(Duration::ZERO);
    let result = maintenance.invoke(&json!({})).unwrap();
    assert_eq!(result["finished"], json!(false), "{result}");
}
