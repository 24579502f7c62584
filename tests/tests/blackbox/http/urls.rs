//! What URLs are built from: headers, the host and prefix of the operator.

use roadstead_tests::{Image, Registry, path_of, sha256};
use serde_json::json;

/// The `Location` of a new upload, as it stands in the header.
fn location(registry: &Registry, headers: &[(&str, &str)]) -> String {
    let request = registry.request("POST", "/v2/app/blobs/uploads/");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(name, *value)
    });
    request.send().expect(202).need("location").to_owned()
}

#[test]
fn urls_are_built_from_what_the_client_and_its_proxies_say() {
    let registry = Registry::start();
    let own = format!("http://{}", registry.host());
    for (headers, origin) in [
        (&[][..], &*own),
        (
            &[("Host", "registry.example:5000")],
            "http://registry.example:5000",
        ),
        (
            &[("X-Forwarded-Proto", "https")],
            &own.replace("http:", "https:"),
        ),
        (
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "a.example"),
            ],
            "https://a.example",
        ),
        (
            &[("X-Forwarded-Host", "a.example, b.example")],
            "http://a.example",
        ),
        (
            &[("Forwarded", "proto=https;host=b.example")],
            "https://b.example",
        ),
        (
            &[(
                "Forwarded",
                "for=1.2.3.4; Proto=HTTPS; host=\"b.example:8443\", for=5.6.7.8",
            )],
            "https://b.example:8443",
        ),
        (
            &[("Forwarded", "host=\"[2001:db8::1]:8443\";proto=https")],
            "https://[2001:db8::1]:8443",
        ),
        (
            &[
                ("Forwarded", "proto=https;host=b.example"),
                ("X-Forwarded-Host", "a.example"),
            ],
            "https://b.example",
        ),
    ] {
        let location = location(&registry, headers);
        assert!(
            location
                .to_lowercase()
                .starts_with(&format!("{origin}/v2/app/blobs/uploads/")),
            "{headers:?}: {location}"
        );
    }
}

#[test]
fn a_client_that_is_no_trusted_proxy_forges_no_url() {
    roadstead_tests::only_by_socket!(
        "a gateway speaks TLS for functions, and says where a request is from"
    );
    for proxies in [json!([]), json!(["192.0.2.0/24", "unix"])] {
        let registry = Registry::with(json!({"http": {"trustedproxies": proxies}}));
        for headers in [
            &[
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "evil.example"),
            ][..],
            &[("Forwarded", "proto=https;host=evil.example")],
        ] {
            let location = location(&registry, headers);
            let own = format!("http://{}/v2/", registry.host());
            assert!(
                location.starts_with(&own),
                "{proxies} {headers:?}: {location}"
            );
        }
    }
}

#[test]
fn a_header_that_makes_no_sense_breaks_no_url() {
    let registry = Registry::start();
    for headers in [
        &[("X-Forwarded-Host", "a b")][..],
        &[("X-Forwarded-Host", "a/b")],
        &[("X-Forwarded-Host", "user@evil.example")],
        &[("X-Forwarded-Host", "\"<script>")],
        &[("X-Forwarded-Host", "")],
        &[("X-Forwarded-Proto", "javascript")],
        &[("X-Forwarded-Proto", "https,http")],
        &[("X-Forwarded-Proto", "")],
        &[("Forwarded", "")],
        &[("Forwarded", "=;=,,;host=")],
        &[("Forwarded", "host=\"unfinished")],
        &[("Forwarded", "host=a b;proto=x y")],
        &[("Forwarded", "proto=gopher;host=\"a\\\"b\"")],
        &[("Host", "")],
        &[("Host", "a b")],
    ] {
        let request = registry.request("POST", "/v2/app/blobs/uploads/");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(name, *value)
        });
        let answer = request.send();
        if answer.status == 400 {
            continue; // a request that names no host may be refused
        }
        let location = answer.expect(202).need("location").to_owned();
        assert!(
            path_of(&location).starts_with("/v2/app/blobs/uploads/"),
            "{headers:?}: {location}"
        );
        let scheme = location.split("://").next().unwrap_or_default();
        assert!(
            location.starts_with('/') || ["http", "https"].contains(&scheme),
            "{headers:?}: {location}"
        );
        for bad in [' ', '"', '<', '@', ','] {
            assert!(!location.contains(bad), "{headers:?}: {location}");
        }
    }
}

#[test]
fn the_operators_host_wins_over_every_header() {
    let registry = Registry::with(json!({"http": {"host": "https://registry.example"}}));
    for headers in [
        &[][..],
        &[
            ("X-Forwarded-Host", "evil.example"),
            ("Host", "evil.example"),
        ],
    ] {
        let location = location(&registry, headers);
        assert!(
            location.starts_with("https://registry.example/v2/app/blobs/uploads/"),
            "{location}"
        );
    }
    // And the upload it names goes on.
    let digest = registry.push_blob("app", b"content");
    assert_eq!(
        registry
            .get(&format!("/v2/app/blobs/{digest}"))
            .expect(200)
            .body,
        b"content"
    );
}

#[test]
fn relative_urls_name_no_host() {
    let registry = Registry::with(json!({"http": {"relativeurls": true}}));
    let location = location(&registry, &[("X-Forwarded-Host", "evil.example")]);
    assert!(location.starts_with("/v2/app/blobs/uploads/"), "{location}");
    registry.push_image("app", "latest", &Image::seeded(1));
    registry.assert_pullable("app", "latest", &Image::seeded(1));
}

#[test]
fn everything_moves_under_a_prefix() {
    for relative in [false, true] {
        let registry =
            Registry::with(json!({"http": {"prefix": "/some/where/", "relativeurls": relative}}));
        let _ = registry.get("/some/where/v2/").expect(200);
        for target in [
            "/v2/",
            "/somewhere/v2/",
            "/some/where/else/v2/",
            "/some/v2/",
        ] {
            let _ = registry.get(target).expect(404);
        }
        let begun = registry
            .request("POST", "/some/where/v2/app/blobs/uploads/")
            .send()
            .expect(202);
        let created = registry
            .finish_upload(&begun.location(), &sha256(b"content"), b"content")
            .expect(201);
        assert!(
            created.location().starts_with("/some/where/v2/app/blobs/"),
            "{created:?}"
        );
        assert_eq!(
            registry.get(&created.location()).expect(200).body,
            b"content"
        );
    }
}

#[test]
fn links_to_the_next_page_keep_the_prefix() {
    let registry = Registry::with(json!({"http": {"prefix": "/mirror/"}}));
    let image = Image::seeded(1);
    for blob in image.blobs() {
        let begun = registry
            .request("POST", "/mirror/v2/app/blobs/uploads/")
            .send()
            .expect(202);
        let _ = registry
            .finish_upload(&begun.location(), &sha256(blob), blob)
            .expect(201);
    }
    for tag in ["a", "b"] {
        let request = registry.request("PUT", &format!("/mirror/v2/app/manifests/{tag}"));
        let _ = request
            .header("Content-Type", image.media_type())
            .body(image.manifest())
            .send()
            .expect(201);
    }
    let link = registry
        .get("/mirror/v2/app/tags/list?n=1")
        .expect(200)
        .need("link")
        .to_owned();
    let next = link.split(['<', '>']).nth(1).unwrap();
    assert_eq!(
        registry.get(next).expect(200).json()["tags"],
        json!(["b"]),
        "{link}"
    );
}

#[test]
fn the_operators_headers_are_on_every_answer() {
    roadstead_tests::only_by_socket!("a function sends several values of a header as one list");
    let headers = json!({"X-Content-Type-Options": ["nosniff"], "X-Several": ["one", "two"]});
    let registry = Registry::with(json!({"http": {"headers": headers}}));
    registry.push_image("app", "latest", &Image::seeded(1));
    for target in [
        "/v2/",
        "/v2/app/tags/list",
        "/v2/app/manifests/latest",
        "/v2/app/manifests/other",
    ] {
        let answer = registry.get(target);
        assert_eq!(answer.need("x-content-type-options"), "nosniff", "{target}");
        let several: Vec<&str> = answer.headers_named("x-several").collect();
        assert!(
            [vec!["one", "two"], vec!["one, two"]].contains(&several),
            "{target}: {several:?}"
        );
    }
}
