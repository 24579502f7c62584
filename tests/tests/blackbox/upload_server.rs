//! Functions with an upload server beside them: what is too large for a function goes there.

use roadstead_tests::image::noise;
use roadstead_tests::receiver::Receiver;
use roadstead_tests::registry::{Setup, with_query};
use roadstead_tests::{
    Image, Implementation, Registry, Request, Response, Store, path_of, require,
};
use roadstead_tests::{sha256, tool};
use serde_json::{Value, json};

/// More than a function takes.
const LARGE: usize = 6_000_000;

/// A registry of functions, and the upload server that has its uploads.
struct Pair {
    registry: Registry,
    uploads: Registry,
}

impl Pair {
    /// Both behind one host, as behind one CloudFront distribution.
    fn start() -> Self {
        Self::with(json!({}))
    }

    fn with(overrides: Value) -> Self {
        let store = Store::new();
        let setup = |implementation| {
            let setup = Setup::new(implementation).store(&store);
            let setup = setup.config(json!({"http": {"uploadorigin": "/"}}));
            setup.config(overrides.clone())
        };
        let uploads = setup(Implementation::Roadstead)
            .subcommand("uploads")
            .start();
        let registry = setup(Implementation::Lambda).env("ROADSTEAD_UPLOADS", &uploads.host());
        let registry = registry.start();
        Self { registry, uploads }
    }

    /// Where an upload goes on, begun at the registry.
    fn begin(&self) -> String {
        let location = self.registry.begin_upload("a/b");
        assert!(location.starts_with("/_uploads/"), "{location}");
        location
    }
}

fn expect_blob(finished: Response, digest: &str) {
    let finished = finished.expect(201);
    assert_eq!(finished.need("docker-content-digest"), digest);
    let blob = format!("/v2/a/b/blobs/{digest}");
    assert_eq!(path_of(finished.need("location")), blob);
}

#[test]
fn a_large_blob_is_pushed_as_each_family_of_clients_does_it() {
    let pair = Pair::start();
    let registry = &pair.registry;
    let blob = noise(1, LARGE);
    let digest = sha256(&blob);
    // As docker and skopeo: all in a PATCH, of a length that is told or not, then an empty PUT.
    let location = registry.append(&pair.begin(), &blob);
    expect_blob(registry.finish_upload(&location, &digest, b""), &digest);
    let chunked = registry.request("PATCH", &pair.begin());
    let location = chunked
        .chunked(blob.chunks(100_000))
        .send()
        .expect(202)
        .location();
    expect_blob(registry.finish_upload(&location, &digest, b""), &digest);
    // As containerd and oras: all in the PUT.
    expect_blob(
        registry.finish_upload(&pair.begin(), &digest, &blob),
        &digest,
    );
    assert_eq!(registry.blob_size("a/b", &digest), LARGE);
}

#[test]
fn credentials_are_neither_needed_nor_in_the_way() {
    let pair = Pair::start();
    for credentials in [
        None,
        Some("Bearer nothing"),
        Some("Basic bm9ib2R5OndyaXRlcw=="),
    ] {
        let digest = sha256(b"blob");
        let target = with_query(&pair.begin(), &format!("digest={digest}"));
        let mut request = pair.registry.request("PUT", &target).body("blob");
        if let Some(credentials) = credentials {
            request = request.header("Authorization", credentials);
        }
        expect_blob(request.send(), &digest);
    }
}

#[test]
fn an_upload_goes_on_in_another_server_and_in_a_function() {
    let mut pair = Pair::start();
    let location = pair.registry.append(&pair.begin(), b"one ");
    // Another replica: nothing but the store is the same.
    pair.uploads.kill_and_restart();
    let in_server = pair.uploads.append(&location, b"two ");
    // A function of the registry, past whatever splits the paths.
    let config = pair.registry.config().to_str().unwrap();
    let function = roadstead_tests::lambda::Function::built("roadstead-combined");
    let function = function.env("REGISTRY_CONFIGURATION_PATH", config);
    let digest = sha256(b"one two three");
    let target = with_query(&in_server, &format!("digest={digest}"));
    let headers = [("host", "r"), ("content-length", "5")];
    let event = roadstead_tests::lambda::event("PUT", &target, &headers, b"three");
    let result = function.invoke(&event).unwrap();
    assert_eq!(result["statusCode"], 201, "{result}");
    let pulled = pair
        .registry
        .get(&format!("/v2/a/b/blobs/{digest}"))
        .expect(200);
    assert_eq!(pulled.text(), "one two three");
}

#[test]
fn an_upload_server_serves_nothing_else_and_nothing_without_a_token() {
    let pair = Pair::start();
    let uploads = &pair.uploads;
    let location = pair.begin();
    let (path, token) = location.split_once('?').unwrap();
    for target in [
        path.to_owned(),
        format!("{path}?token=x"),
        format!("/_uploads/other?{token}"),
    ] {
        let _ = uploads.get(&target).expect_error(403, "DENIED");
        let _ = uploads.patch(&target, b"bytes").expect_error(403, "DENIED");
        let _ = uploads.delete(&target).expect_error(403, "DENIED");
    }
    let _ = uploads.get("/v2/_catalog").expect_error(404, "UNSUPPORTED");
    let begin = uploads.request("POST", "/v2/a/b/blobs/uploads/").send();
    let _ = begin.expect_error(404, "UNSUPPORTED");
    let _ = uploads.delete(&location).expect(204);
    let _ = uploads
        .patch(&location, b"bytes")
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[test]
fn a_refusal_reaches_a_client_that_sends_all_before_it_listens() {
    let pair = Pair::start();
    let path = pair.begin();
    let path = path.split('?').next().unwrap();
    // More than what lies in the buffers between client and server.
    let refused = pair.uploads.patch(path, &noise(2, 32 * 1024 * 1024));
    let _ = refused.expect_error(403, "DENIED");
}

#[test]
fn on_a_host_of_its_own_it_sends_clients_back_to_the_registry() {
    let elsewhere = "https://uploads.example.com";
    let pair = Pair::with(json!({"http": {"uploadorigin": elsewhere}}));
    let begin = pair
        .registry
        .request("POST", "/v2/a/b/blobs/uploads/")
        .send()
        .expect(202);
    let location = begin.need("location").to_owned();
    let path = location.strip_prefix(elsewhere).unwrap();
    let digest = sha256(b"blob");
    let target = with_query(path, &format!("digest={digest}"));
    let request = Request::new(pair.uploads.address().clone(), "PUT", &target);
    let created = request
        .header("Host", "uploads.example.com")
        .body("blob")
        .send()
        .expect(201);
    let blob = format!("http://{}/v2/a/b/blobs/{digest}", pair.registry.host());
    assert_eq!(created.need("location"), blob);
}

#[test]
fn skopeo_pushes_layers_that_no_function_could_take() {
    let skopeo = require!("skopeo");
    let pair = Pair::start();
    let directory = tempfile::tempdir().unwrap();
    let image = Image::large(3, LARGE);
    let layer = &image.blobs()[1];
    let source = directory.path().join("source");
    image.write_layout(&source, "latest");
    let source = format!("oci:{}:latest", source.display());
    let target = format!("docker://{}/a/b:latest", pair.registry.host());
    tool::run(
        &skopeo,
        ["copy", "--dest-tls-verify=false", &source, &target],
    )
    .success();
    let digest = sha256(layer);
    assert_eq!(pair.registry.blob_size("a/b", &digest), layer.len());
    assert!(pair.registry.get_manifest("a/b", "latest").expect(200).body == image.manifest());
}

#[test]
fn an_upload_server_without_a_registry_does_not_start() {
    let setup = Setup::new(Implementation::Roadstead).subcommand("uploads");
    for overrides in [
        json!({}),
        json!({"http": {"uploadorigin": "/", "secret": null}}),
    ] {
        let said = setup.clone().config(overrides).try_start().err().unwrap();
        assert!(
            said.contains("http.uploadorigin") && said.contains("http.secret"),
            "{said}"
        );
    }
}

#[test]
fn who_ends_an_upload_tells_of_it_as_the_registry_would() {
    let receiver = Receiver::start();
    let pair = Pair::with(json!({"notifications": {"endpoints": [{"url": receiver.url("/")}]}}));
    let digest = sha256(b"content");
    let location = pair.registry.append(&pair.begin(), b"con");
    let finished = pair
        .registry
        .finish_upload(&location, &digest, b"tent")
        .expect(201);
    let events = receiver.wait_for(1).remove(0).events();
    assert_eq!(events[0]["action"], "push");
    let expected = json!({
        "mediaType": "application/octet-stream",
        "digest": digest,
        "size": 7,
        "length": 7,
        "repository": "a/b",
        "url": finished.need("location"),
    });
    assert_eq!(events[0]["target"], expected);
    assert_eq!(events[0]["actor"], json!({}));
    let host = pair.uploads.host();
    let (_, port) = host.rsplit_once(':').unwrap();
    let source = events[0]["source"]["addr"].as_str().unwrap();
    assert!(source.ends_with(&format!(":{port}")), "{source}");
}
