//! The debug server: what it tells, and that nobody else does.

use roadstead_tests::client::Address;
use roadstead_tests::registry::Setup;
use roadstead_tests::{
    Image, Implementation, Registry, Request, Response, only_over, sha256, wait,
};
use serde_json::{Value, json};

const ELSEWHERE: &str = "functions have no debug server";

const PATHS: [&str; 7] = [
    "/debug/health",
    "/debug/vars",
    "/debug/pprof/",
    "/debug/pprof/profile",
    "/debug/",
    "/metrics",
    "/v2/debug/health",
];

/// A registry with a debug server.
struct Debugged {
    registry: Registry,
    address: Address,
}

impl Debugged {
    fn start(more: Value) -> Self {
        let debug = json!({ "addr": "127.0.0.1:0", "prometheus": { "enabled": true } });
        let registry = Setup::new(Implementation::Roadstead)
            .config(json!({ "http": { "debug": debug } }))
            .config(more)
            .start();
        let address = listening(&registry);
        Self { registry, address }
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.address.clone(), method, path)
    }

    fn get(&self, path: &str) -> Response {
        self.request("GET", path).send()
    }

    /// What is told of a metric with these labels, as they are written.
    fn metric(&self, name_and_labels: &str) -> Option<f64> {
        let text = self.get("/metrics").expect(200).text();
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name_and_labels)?.trim().parse().ok())
    }
}

/// Where the debug server listens, as the log says.
fn listening(registry: &Registry) -> Address {
    let address = wait::until("the debug server's address", || {
        let log = registry.log();
        let (_, rest) = log.split_once("debug server listening ")?;
        let address = rest.split(['"', ' ', '\n']).next()?;
        address.parse().ok()
    });
    Address::Tcp(address)
}

#[test]
fn what_the_debug_server_tells_is_told_nowhere_else() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let debugged = Debugged::start(json!({}));
    let health = debugged.get("/debug/health").expect(200);
    assert_eq!(health.need("content-type"), "application/json");
    assert_eq!(health.json(), json!({}));
    let variables = debugged.get("/debug/vars").expect(200).json();
    assert!(variables["cmdline"].is_array(), "{variables}");
    let metrics = debugged.get("/metrics").expect(200);
    let text = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(metrics.need("content-type"), text);
    let profiles = debugged.get("/debug/pprof/heap").expect(501);
    assert!(profiles.text().contains("perf record"));

    for path in PATHS {
        let there = debugged.registry.get(path);
        assert_eq!(there.status, 404, "{path} is served to everybody");
    }
    // And the other way.
    for path in ["/", "/v2/", "/v2/_catalog"] {
        assert_eq!(debugged.get(path).status, 404, "{path}");
    }
    let post = debugged.request("POST", "/debug/health").send();
    assert_eq!(post.status, 404);
}

#[test]
fn without_an_address_there_is_no_debug_server() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let registry =
        Registry::with(json!({ "http": { "debug": { "prometheus": { "enabled": true } } } }));
    assert_eq!(registry.listeners(), 1);
    for path in PATHS {
        assert_eq!(registry.get(path).status, 404, "{path}");
    }
    assert!(registry.log().contains("http.debug.addr"));
    let debugged = Debugged::start(json!({}));
    assert_eq!(debugged.registry.listeners(), 2);
}

#[test]
fn metrics_are_served_only_when_asked_for_and_where() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let without =
        Debugged::start(json!({ "http": { "debug": { "prometheus": { "enabled": false } } } }));
    assert_eq!(without.get("/metrics").status, 404);
    let prometheus = json!({ "enabled": true, "path": "/figures" });
    let elsewhere = Debugged::start(json!({ "http": { "debug": { "prometheus": prometheus } } }));
    assert_eq!(elsewhere.get("/metrics").status, 404);
    let _ = elsewhere.get("/figures").expect(200);
}

#[test]
fn an_address_that_is_taken_is_no_start() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let setup = Setup::new(Implementation::Roadstead);
    let setup = setup.config(json!({ "http": { "debug": { "addr": address } } }));
    let said = setup.try_start().err().expect("the start is refused");
    assert!(said.contains("http.debug.addr"), "{said}");
}

#[test]
fn a_push_and_a_pull_are_counted_by_distributions_names() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let debugged = Debugged::start(json!({}));
    let image = Image::seeded(51);
    debugged.registry.push_image("team/app", "v1", &image);
    let _ = debugged.registry.get_manifest("team/app", "v1").expect(200);
    let _ = debugged
        .registry
        .get("/v2/team/app/manifests/missing")
        .expect(404);
    let _ = debugged.registry.get("/v2/team/app/tags/list").expect(200);
    for series in [
        r#"registry_http_requests_total{code="201",handler="manifest",method="put"}"#,
        r#"registry_http_requests_total{code="200",handler="manifest",method="get"}"#,
        r#"registry_http_requests_total{code="404",handler="manifest",method="get"}"#,
        r#"registry_http_requests_total{code="200",handler="tags",method="get"}"#,
        r#"registry_http_request_duration_seconds_count{handler="tags",method="get"}"#,
        r#"registry_http_response_size_bytes_count{handler="tags"}"#,
        r#"registry_http_request_size_bytes_count{handler="tags"}"#,
    ] {
        // An answer is counted when it has left, which a client may see before.
        wait::until(series, || (debugged.metric(series)? == 1.0).then_some(()));
    }
    let begun = r#"registry_http_requests_total{code="202",handler="blob_upload",method="post"}"#;
    let pushed = image.blobs().len() as f64;
    wait::until(begun, || (debugged.metric(begun)? == pushed).then_some(()));
    let in_flight = r#"registry_http_in_flight_requests{handler="tags"}"#;
    wait::until(in_flight, || {
        (debugged.metric(in_flight)? == 0.0).then_some(())
    });
    let layer = sha256(&image.blobs()[1]);
    let _ = debugged
        .registry
        .get(&format!("/v2/team/app/blobs/{layer}"))
        .expect(200);
    let text = debugged.get("/metrics").expect(200).text();
    assert!(text.contains("registry_storage_action_seconds_count{action=\"GetContent\",driver="));
    assert!(debugged.metric("process_resident_memory_bytes").unwrap() > 1e6);
    assert!(debugged.metric("process_open_fds").unwrap() > 3.0);
    assert!(
        !text.contains("team"),
        "a client can make up any number of names"
    );
}

/// The registry answers with 503, and the debug server says why.
#[track_caller]
fn assert_falls_ill(debugged: &Debugged, check: &str) -> String {
    let reason = wait::until("the check to fail", || {
        let health = debugged.get("/debug/health");
        (health.status == 503).then(|| health.json()[check].as_str().unwrap().to_owned())
    });
    let refused = debugged
        .registry
        .get("/v2/")
        .expect_error(503, "UNAVAILABLE");
    assert!(refused.header("retry-after").is_some());
    assert!(!refused.text().contains(&reason), "{refused:?}");
    let _ = debugged.registry.get("/").expect(503);
    reason
}

#[track_caller]
fn assert_gets_well(debugged: &Debugged) {
    wait::until("the check to be well again", || {
        (debugged.get("/debug/health").status == 200).then_some(())
    });
    let _ = debugged.registry.get("/v2/").expect(200);
    let _ = debugged.registry.get("/").expect(200);
}

#[test]
fn a_file_takes_the_registry_out_of_service() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maintenance");
    let name = file.to_str().unwrap();
    let debugged =
        Debugged::start(json!({ "health": { "file": [{ "file": name, "interval": "50ms" }] } }));
    std::fs::write(&file, "").unwrap();
    assert_eq!(assert_falls_ill(&debugged, name), "file exists");
    std::fs::remove_file(&file).unwrap();
    assert_gets_well(&debugged);
}

#[test]
fn a_store_that_fails_takes_the_registry_out_of_service() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    only_over!(Filesystem: "it exchanges a folder for a file");
    let check = json!({ "enabled": true, "interval": "50ms", "threshold": 2 });
    let debugged = Debugged::start(json!({ "health": { "storagedriver": check } }));
    debugged.registry.push_blob("app", b"content");
    let root = debugged.registry.store().root();
    let aside = root.with_extension("aside");
    std::fs::rename(&root, &aside).unwrap();
    std::fs::write(&root, "no folder").unwrap();
    assert_falls_ill(&debugged, "storagedriver_filesystem");
    std::fs::remove_file(&root).unwrap();
    std::fs::rename(&aside, &root).unwrap();
    assert_gets_well(&debugged);
}

#[test]
fn what_the_registry_needs_elsewhere_is_looked_at() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    let other = Registry::start();
    let uri = format!("http://{}/", other.host());
    let missing = format!("http://{}/v2/a/tags/list", other.host());
    let debugged = Debugged::start(json!({ "health": {
        "http": [
            { "uri": uri, "interval": "50ms", "timeout": "20s" },
            { "uri": missing, "statuscode": 404, "interval": "50ms", "timeout": "20s" },
        ],
        "tcp": [{ "addr": other.host(), "interval": "50ms", "timeout": "20s" }],
    } }));
    let host = other.host();
    let looks = |other: &Registry| other.log().matches("http.request.method=HEAD").count();
    wait::until("several looks", || (looks(&other) > 4).then_some(()));
    assert_eq!(debugged.get("/debug/health").expect(200).json(), json!({}));
    drop(other.kill());
    wait::until("all three to fail", || {
        let failures = debugged.get("/debug/health").json();
        let all = [&uri, &missing, &host].map(|name| failures[name].is_string());
        (all == [true; 3]).then_some(())
    });
    debugged
        .registry
        .get("/v2/")
        .expect_error(503, "UNAVAILABLE");
}

#[test]
fn a_check_about_nothing_is_no_start() {
    roadstead_tests::only_by_socket!(ELSEWHERE);
    for (check, named) in [
        (json!({ "file": [{ "interval": "1s" }] }), "health.file"),
        (json!({ "http": [{ "statuscode": 200 }] }), "health.http"),
        (json!({ "tcp": [{ "interval": "1s" }] }), "health.tcp"),
    ] {
        let setup = Setup::new(Implementation::Roadstead).config(json!({ "health": check }));
        let said = setup.try_start().err().expect("the start is refused");
        assert!(said.contains(named), "{said}");
    }
}
