//! Errors: one JSON form for all of them, and the status that belongs to each code.

use roadstead_tests::digest::absent;
use roadstead_tests::{Image, Registry, Response, only_over};
use serde_json::Value;

/// The form that the specification gives an error document.
#[track_caller]
fn assert_error_document(answer: &Response) {
    assert_eq!(
        answer.need("content-type"),
        "application/json",
        "{answer:?}"
    );
    assert_eq!(
        answer.need("docker-distribution-api-version"),
        "registry/2.0"
    );
    let document = answer.json();
    let errors = document["errors"]
        .as_array()
        .unwrap_or_else(|| panic!("{answer:?}"));
    assert!(!errors.is_empty(), "{answer:?}");
    for error in errors {
        let code = error["code"].as_str().unwrap_or_default();
        assert!(
            !code.is_empty() && code.chars().all(|c| c.is_ascii_uppercase() || c == '_'),
            "{answer:?}"
        );
        assert!(
            matches!(error.get("message"), None | Some(Value::String(_))),
            "{answer:?}"
        );
    }
}

#[test]
fn every_refusal_is_a_json_document() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let digest = absent('a');
    for (method, target, status) in [
        ("GET", "/v2/app/manifests/other".to_owned(), 404),
        ("GET", format!("/v2/app/blobs/{digest}"), 404),
        ("GET", "/v2/nowhere/tags/list".to_owned(), 404),
        ("GET", "/v2/app/blobs/sha256:abc".to_owned(), 400),
        ("GET", "/v2/APP/tags/list".to_owned(), 400),
        ("GET", "/v2/app/tags/list?n=-1".to_owned(), 400),
        ("GET", "/v2/app/referrers/abc".to_owned(), 400),
        ("PUT", "/v2/app/manifests/latest".to_owned(), 400),
        ("GET", "/v2/app/nothing/here".to_owned(), 404),
        ("GET", "/v2/nothing".to_owned(), 404),
        ("GET", "/v1/".to_owned(), 404),
        ("GET", "/favicon.ico".to_owned(), 404),
        ("POST", "/v2/app/tags/list".to_owned(), 405),
        ("PATCH", "/v2/app/manifests/latest".to_owned(), 405),
        ("PUT", format!("/v2/app/blobs/{digest}"), 405),
        ("DELETE", "/v2/_catalog".to_owned(), 405),
        ("PUT", "/v2/app/blobs/uploads/".to_owned(), 405),
        (
            "DELETE",
            "/v2/app/blobs/uploads/no-such-upload".to_owned(),
            404,
        ),
    ] {
        let answer = registry.request(method, &target).send();
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        assert_error_document(&answer);
    }
}

#[test]
fn a_method_that_does_not_fit_is_answered_with_those_that_do() {
    let registry = Registry::start();
    let digest = absent('a');
    for (target, methods) in [
        ("/v2/_catalog".to_owned(), vec!["GET"]),
        ("/v2/app/tags/list".to_owned(), vec!["GET"]),
        (
            "/v2/app/manifests/latest".to_owned(),
            vec!["DELETE", "GET", "HEAD", "PUT"],
        ),
        (
            format!("/v2/app/blobs/{digest}"),
            vec!["DELETE", "GET", "HEAD"],
        ),
        (format!("/v2/app/referrers/{digest}"), vec!["GET"]),
        ("/v2/app/blobs/uploads/".to_owned(), vec!["POST"]),
    ] {
        let answer = registry
            .request("BREW", &target)
            .send()
            .expect_error(405, "UNSUPPORTED");
        let allowed: Vec<&str> = answer.need("allow").split(',').map(str::trim).collect();
        for method in &methods {
            assert!(allowed.contains(method), "{target}: {allowed:?}");
        }
        for method in ["PATCH", "BREW"] {
            assert!(!allowed.contains(&method), "{target}: {allowed:?}");
        }
    }
}

#[test]
fn an_error_tells_nothing_about_the_inside() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let root = registry.store().root();
    for target in [
        "/v2/app/manifests/other".to_owned(),
        format!("/v2/app/blobs/{}", absent('a')),
        "/v2/nowhere/tags/list".to_owned(),
        "/v2/app/blobs/uploads/00000000-0000-4000-8000-000000000000?_state=x".to_owned(),
    ] {
        let text = registry.get(&target).expect_refusal().text();
        for secret in [
            root.to_str().unwrap(),
            "/docker/registry/v2",
            "_manifests",
            "panicked",
            ".rs",
        ] {
            assert!(!text.contains(secret), "{target}: {text}");
        }
    }
}

#[test]
fn a_store_that_fails_is_the_servers_fault_and_is_not_described() {
    only_over!(Filesystem: "it looks at the files");
    let mut registry = Registry::start();
    let image = Image::seeded(2);
    registry.push_image("app", "latest", &image);
    // A directory where a file should be: reading it fails, as on a broken disk.
    let path = registry.store().blob(&image.digest());
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir_all(path.join("in the way")).unwrap();
    // What it remembers of manifests must not help it.
    registry.kill_and_restart();
    let answer = registry.get_manifest("app", "latest");
    assert!(
        (500..=503).contains(&answer.status) || answer.status == 404,
        "{answer:?}"
    );
    assert_error_document(&answer);
    assert!(!answer.text().contains("/docker/registry"), "{answer:?}");
    // It goes on serving.
    let _ = registry.get("/v2/").expect(200);
}

/// A small file system in memory, unmounted at the end.
struct Tmpfs(std::path::PathBuf);

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .arg("--lazy")
            .arg(&self.0)
            .status();
    }
}

#[test]
fn a_full_disk_is_said_and_survived() {
    only_over!(Filesystem: "it looks at the files");
    let store = roadstead_tests::Store::new();
    std::fs::create_dir(store.root()).unwrap();
    let root = store.root();
    let mounted = roadstead_tests::tool::run(
        roadstead_tests::require!("mount"),
        [
            "-t",
            "tmpfs",
            "-o",
            "size=1m",
            "none",
            root.to_str().unwrap(),
        ],
    );
    if !mounted.status.success() {
        roadstead_tests::skip!(
            "a file system cannot be mounted here: {}",
            mounted.stderr.trim()
        );
    }
    let _mounted = Tmpfs(root);
    let registry = Registry::over(roadstead_tests::Implementation::Roadstead, &store);
    let image = Image::seeded(3);
    registry.push_image("app", "latest", &image);
    let content = roadstead_tests::image::noise(4, 4_000_000);
    let location = registry.begin_upload("app");
    let answer = registry.finish_upload(&location, &roadstead_tests::sha256(&content), &content);
    assert!((500..600).contains(&answer.status), "{answer:?}");
    assert_error_document(&answer);
    // What was there is still served, and the space comes back.
    registry.assert_pullable("app", "latest", &image);
    let location = registry.get(&location).expect(204).location();
    let _ = registry.delete(&location).expect(204);
    let another = Image::seeded(5);
    registry.push_image("app", "another", &another);
    registry.assert_pullable("app", "another", &another);
}
