//! What browsers could be led to do.

use roadstead_tests::client::path_of;
use roadstead_tests::registry::{Implementation, Setup};
use roadstead_tests::users::{self, ANN, by};
use roadstead_tests::{Image, Registry, Response, Store, sha256};
use serde_json::{Value, json};

fn with_passwords(more: Value) -> Registry {
    let store = Store::new();
    let auth = json!({ "auth": users::htpasswd(&store) });
    let setup = Setup::new(Implementation::Roadstead).store(&store);
    setup.config(auth).config(more).start()
}

fn runs_nothing(response: &Response) {
    let policy = response.need("content-security-policy");
    let parts: Vec<&str> = policy.split("; ").collect();
    for part in ["default-src 'none'", "frame-ancestors 'none'", "sandbox"] {
        assert!(parts.contains(&part), "{part}: {response:?}");
    }
    assert_eq!(response.need("x-content-type-options"), "nosniff");
    assert_eq!(response.header("set-cookie"), None);
}

/// The type of a manifest is its pusher's to say, and `text/html` is a type.
#[test]
fn what_somebody_has_pushed_runs_nothing_in_a_browser() {
    let registry = Registry::start();
    let script = "<script>alert(document.domain)</script>";
    let config = registry.push_blob("app", script.as_bytes());
    for media_type in ["text/html", "image/svg+xml", "application/xhtml+xml"] {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": { "mediaType": media_type, "digest": config, "size": script.len() },
            "layers": [],
            "annotations": { "title": script },
        });
        let manifest = manifest.to_string();
        let push = registry.request("PUT", "/v2/app/manifests/v1");
        let push = push
            .header("Content-Type", media_type)
            .body(manifest.clone());
        let _ = push.send().expect(201);
        for reference in ["v1", &sha256(manifest.as_bytes())] {
            runs_nothing(&registry.get_manifest("app", reference).expect(200));
        }
    }
    let blob = registry.get(&format!("/v2/app/blobs/{config}")).expect(200);
    assert_eq!(blob.need("content-type"), "application/octet-stream");
    runs_nothing(&blob);
    for target in [
        "/",
        "/v2/",
        "/v2/_catalog",
        "/v2/app/tags/list",
        "/v2/app/manifests/none",
        "/x",
    ] {
        let response = registry.get(target);
        runs_nothing(&response);
        assert!(!response.text().contains(script), "{response:?}");
    }
}

#[test]
fn the_operators_policy_wins() {
    let headers = json!({ "Content-Security-Policy": ["default-src 'self'"] });
    let registry = Registry::with(json!({ "http": { "headers": headers } }));
    let response = registry.get("/v2/");
    let policies: Vec<_> = response.headers_named("content-security-policy").collect();
    assert_eq!(policies, ["default-src 'self'"]);
}

/// A cache between may keep what anybody may have, and that it was not there a moment ago is not such.
#[test]
fn caches_keep_nothing_for_others_and_no_error() {
    let registry = with_passwords(json!({}));
    let image = Image::seeded(740);
    let get = |target: &str| by(registry.request("GET", target), Some(ANN)).send();
    for blob in image.blobs() {
        let target = format!("/v2/app/blobs/uploads/?digest={}", sha256(blob));
        let push = by(registry.request("POST", &target), Some(ANN));
        let _ = push.body(blob.clone()).send().expect(201);
    }
    let push = by(registry.request("PUT", "/v2/app/manifests/v1"), Some(ANN));
    let push = push
        .header("Content-Type", image.media_type())
        .body(image.manifest());
    let _ = push.send().expect(201);
    for target in [
        format!("/v2/app/blobs/{}", sha256(&image.blobs()[0])),
        format!("/v2/app/manifests/{}", image.digest()),
        "/v2/app/manifests/v1".to_owned(),
        "/v2/app/tags/list".to_owned(),
        "/v2/_catalog".to_owned(),
        "/v2/".to_owned(),
    ] {
        // RFC 9111, section 3.5: without these words no shared cache keeps what a password opened.
        let response = get(&target).expect(200);
        let kept = response.header("cache-control").unwrap_or_default();
        for word in ["public", "s-maxage", "must-revalidate"] {
            assert!(!kept.contains(word), "{target}: {kept}");
        }
        let refused = registry.get(&target).expect(401);
        assert_eq!(refused.need("cache-control"), "no-store");
    }
    for target in [
        "/v2/app/manifests/v2",
        "/v2/none/tags/list",
        "/nowhere",
        "/v2/A/tags/list",
    ] {
        let missing = get(target).expect_refusal();
        assert_eq!(missing.need("cache-control"), "no-store", "{target}");
    }
}

#[test]
fn no_redirect_leads_to_another_host() {
    let registry = Registry::start();
    for target in [
        "//evil.example",
        "//evil.example/v2",
        "//evil.example/..",
        "///evil.example/v2",
        "/\\evil.example",
        "/\\evil.example/v2",
        "/%09/evil.example",
        "/%09/evil.example/v2",
        "/%5cevil.example/v2",
        "/v2//evil.example",
        "/v2?//evil.example",
        "/v2?@evil.example",
        "/v2?%0d%0aLocation:%20//evil.example",
        "/v2/..//evil.example",
        "/@evil.example/v2",
        "/v2/a/blobs/uploads?//evil.example",
        "http://a@evil.example/v2",
        "http://evil.example/v2",
    ] {
        let Ok(response) = registry.request("GET", target).try_send() else {
            continue; // no HTTP, and hung up on
        };
        let Some(location) = response.header("location") else {
            continue;
        };
        let here = format!("http://{}/", registry.host());
        let is_path = location.starts_with('/') && !location[1..].starts_with(['/', '\\', '\t']);
        assert!(
            is_path || location.starts_with(&here),
            "{target}: {location}"
        );
        assert!(
            path_of(location).starts_with("/v2/"),
            "{target}: {location}"
        );
    }
}

/// A form needs no permission to be sent, and a browser that remembers a password adds it.
#[test]
fn a_page_elsewhere_changes_nothing_with_its_visitors_password() {
    let ui = "https://ui.example.com";
    let cors = json!({ "http": { "cors": { "origins": [ui], "supports_credentials": true } } });
    for (registry, is_let_in) in [
        (with_passwords(json!({})), false),
        (with_passwords(cors), true),
    ] {
        let begin = |site: &str, origin: &str| {
            let request = by(
                registry.request("POST", "/v2/app/blobs/uploads/"),
                Some(ANN),
            );
            let request = request
                .header("Sec-Fetch-Site", site)
                .header("Origin", origin);
            request.send()
        };
        begin("cross-site", "https://evil.example").expect_error(403, "DENIED");
        begin("cross-site", "null").expect_error(403, "DENIED");
        let expected = if is_let_in { 202 } else { 403 };
        let _ = begin("cross-site", ui).expect(expected);
        // A page of the registry's own host, and an address that is typed in.
        let _ = begin("same-origin", "https://registry.example.com").expect(202);
        let _ = begin("none", "null").expect(202);
        let read = by(registry.request("GET", "/v2/"), Some(ANN));
        let _ = read
            .header("Sec-Fetch-Site", "cross-site")
            .send()
            .expect(200);
    }
}
