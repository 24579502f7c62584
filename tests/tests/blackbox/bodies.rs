//! Manifests that someone made up to do harm (list B of the attacks).

use roadstead_tests::digest::absent;
use roadstead_tests::image::{EMPTY, OCI_INDEX, OCI_LAYER, OCI_MANIFEST, descriptor, noise};
use roadstead_tests::{Image, Registry, Response, sha256};
use serde_json::{Value, json};

/// The largest manifest that has to be taken, and the largest that is.
const LIMIT: usize = 4 * 1024 * 1024;

/// A manifest that a registry holding the blob `{}` in `app` takes.
fn good() -> Value {
    json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": descriptor(EMPTY, b"{}"),
        "layers": [descriptor(EMPTY, b"{}")],
    })
}

fn registry() -> Registry {
    let registry = Registry::start();
    registry.push_blob("app", b"{}");
    registry
}

fn put(registry: &Registry, content: impl AsRef<[u8]>) -> Response {
    registry.put_manifest("app", "test", OCI_MANIFEST, content.as_ref())
}

/// A good manifest of exactly this size.
fn padded(size: usize) -> Vec<u8> {
    let mut manifest = good().to_string().into_bytes();
    manifest.resize(size, b' ');
    manifest
}

#[test]
fn a_manifest_may_be_as_large_as_the_specification_says_and_no_larger() {
    let registry = registry();
    let largest = padded(LIMIT);
    let _ = put(&registry, &largest).expect(201);
    assert!(registry.get_manifest("app", "test").expect(200).body == largest);
    let _ = put(&registry, padded(LIMIT + 1)).expect(413);
    let request = registry
        .request("PUT", "/v2/app/manifests/test")
        .header("Content-Type", OCI_MANIFEST);
    let _ = request
        .chunked(padded(LIMIT + 1).chunks(100_000))
        .send()
        .expect(413);
}

#[test]
fn a_manifest_that_is_far_too_large_gets_an_answer_too() {
    roadstead_tests::only_by_socket!("AWS refuses what is larger than an event, in its own words");
    let registry = registry();
    let answer = put(&registry, padded(4 * LIMIT)).expect(413);
    assert!(!answer.codes().is_empty(), "{answer:?}");
    let mut connection = registry.connect();
    let head = format!(
        "PUT /v2/app/manifests/test HTTP/1.1\r\nHost: x\r\nContent-Type: {OCI_MANIFEST}\r\nContent-Length: {}\r\n\r\n",
        1_u64 << 40
    );
    // Only announced, never sent: waiting for it would hang.
    connection.send(head).unwrap();
    let answer = connection.receive("PUT").unwrap();
    assert!([400, 413].contains(&answer.status), "{answer:?}");
}

#[test]
fn a_manifest_without_a_length_is_taken() {
    let registry = registry();
    let manifest = good().to_string();
    let request = registry
        .request("PUT", "/v2/app/manifests/test")
        .header("Content-Type", OCI_MANIFEST);
    let _ = request
        .chunked(manifest.as_bytes().chunks(7))
        .send()
        .expect(201);
    assert_eq!(
        registry.get_manifest("app", "test").expect(200).text(),
        manifest
    );
}

#[test]
fn what_is_no_manifest_is_refused() {
    let registry = registry();
    let deep = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
    let nested = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{OCI_MANIFEST}\",\"x\":{}}}",
        deep("[", "]")
    );
    let changed = |key: &str, value: Value| {
        let mut manifest = good();
        manifest[key] = value;
        manifest.to_string().into_bytes()
    };
    let config = |key: &str, value: Value| {
        let mut manifest = good();
        manifest["config"][key] = value;
        manifest.to_string().into_bytes()
    };
    let with_bom = [b"\xef\xbb\xbf", good().to_string().as_bytes()].concat();
    let trailing = |more: &str| (good().to_string() + more).into_bytes();
    let listed = ["mediaType", "digest", "size"].map(|key| good()["config"][key].clone());
    for (what, content) in [
        ("nothing", Vec::new()),
        ("a space", b" ".to_vec()),
        ("null", b"null".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a string", b"\"manifest\"".to_vec()),
        ("a number", b"2".to_vec()),
        ("an empty object", b"{}".to_vec()),
        (
            "half a manifest",
            good().to_string().into_bytes()[..50].to_vec(),
        ),
        ("a byte order mark", with_bom),
        ("trailing garbage", trailing("x")),
        ("two manifests", trailing("{}")),
        ("a NUL at the end", trailing("\0")),
        ("a page of HTML", b"<html></html>".to_vec()),
        ("brackets without end", deep("[", "").into_bytes()),
        (
            "objects without end",
            "{\"a\":".repeat(100_000).into_bytes(),
        ),
        ("deep nesting", nested.into_bytes()),
        (
            "a list in the place of a descriptor",
            changed("config", json!(listed)),
        ),
        ("schema version 1", changed("schemaVersion", json!(1))),
        ("schema version 3", changed("schemaVersion", json!(3))),
        (
            "schema version as text",
            changed("schemaVersion", json!("2")),
        ),
        ("layers as null and as text", changed("layers", json!("x"))),
        ("layers of nulls", changed("layers", json!([null]))),
        ("layers of texts", changed("layers", json!(["sha256:abc"]))),
        ("layers and manifests", changed("manifests", json!([]))),
        ("another media type", changed("mediaType", json!(OCI_INDEX))),
        (
            "a media type that is no text",
            changed("mediaType", json!(7)),
        ),
        (
            "a bad digest",
            config("digest", json!("sha256:../../../etc/passwd")),
        ),
        ("a short digest", config("digest", json!("sha256:abc"))),
        (
            "an upper case digest",
            config("digest", json!(absent('a').to_uppercase())),
        ),
        (
            "an unknown algorithm",
            config("digest", json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        ),
        ("an empty digest", config("digest", json!(""))),
        ("no digest", config("digest", Value::Null)),
        ("a negative size", config("size", json!(-1))),
        ("a size of 1.5", config("size", json!(1.5))),
        ("a size as text", config("size", json!("2"))),
        (
            "a size beyond all bounds",
            config(
                "size",
                serde_json::from_str("1e400").unwrap_or(json!(1e300)),
            ),
        ),
    ] {
        let answer = put(&registry, content);
        assert_eq!(answer.status, 400, "{what}: {answer:?}");
        assert!(!answer.codes().is_empty(), "{what}: {answer:?}");
        let _ = registry.get_manifest("app", "test").expect(404);
    }
}

#[test]
fn a_missing_schema_version_is_refused() {
    let registry = registry();
    let mut manifest = good();
    manifest.as_object_mut().unwrap().remove("schemaVersion");
    let _ = put(&registry, manifest.to_string()).expect_error(400, "MANIFEST_INVALID");
}

#[test]
fn a_key_given_twice_never_hides_a_missing_blob() {
    let registry = registry();
    let missing = descriptor(OCI_LAYER, b"missing").to_string();
    let present = descriptor(EMPTY, b"{}").to_string();
    for [first, second] in [[&missing, &present], [&present, &missing]] {
        let manifest = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{OCI_MANIFEST}\",\"config\":{present},\
             \"layers\":[{first}],\"layers\":[{second}]}}"
        );
        // Clients differ in which of the two they read: only a refusal is safe.
        let _ = put(&registry, manifest).expect_error(400, "MANIFEST_INVALID");
    }
}

/// Go's `encoding/json` does not look at the case of keys, others do.
#[test]
fn a_key_in_another_case_never_hides_a_missing_blob() {
    let registry = registry();
    let missing = json!([descriptor(OCI_LAYER, b"missing")]);
    for key in ["Layers", "LAYERS", "layer\u{17f}"] {
        let mut manifest = good();
        manifest[key] = missing.clone();
        let _ = put(&registry, manifest.to_string()).expect_error(400, "MANIFEST_INVALID");
    }
    let mut manifest = good();
    manifest["config"]["Digest"] = missing[0]["digest"].clone();
    let _ = put(&registry, manifest.to_string()).expect_error(400, "MANIFEST_INVALID");
    let mut manifest = good();
    manifest["annotations"] = json!({"Layers": "is a name like any other"});
    let _ = put(&registry, manifest.to_string()).expect(201);
}

#[test]
fn a_manifest_that_is_no_utf_8_is_kept_byte_for_byte() {
    let registry = registry();
    for other in [
        &b"\"\xff\xfe\":1,"[..],
        b"\"x\":\"\xff\",",
        b"\"annotations\":{\"a\":\"\xe4\"},",
    ] {
        let mut manifest = good().to_string().into_bytes();
        manifest.splice(1..1, other.iter().copied());
        let _ = put(&registry, manifest.clone()).expect(201);
        let served = registry.get_manifest("app", "test").expect(200);
        assert!(served.body == manifest);
        assert_eq!(served.need("docker-content-digest"), sha256(&manifest));
    }
}

#[test]
fn a_content_type_that_contradicts_the_manifest_is_refused() {
    let registry = registry();
    let manifest = good().to_string();
    for media_type in [
        OCI_INDEX,
        "application/vnd.docker.distribution.manifest.v2+json",
        "text/html; x=y",
    ] {
        let answer = registry.put_manifest("app", "test", media_type, manifest.as_bytes());
        let _ = answer.expect_error(400, "MANIFEST_INVALID");
    }
}

#[test]
fn without_a_content_type_the_manifests_own_type_counts() {
    let registry = registry();
    let manifest = good().to_string();
    let answer = registry
        .request("PUT", "/v2/app/manifests/test")
        .body(manifest.as_bytes())
        .send();
    if answer.status != 400 {
        let _ = answer.expect(201);
        assert_eq!(
            registry
                .get_manifest("app", "test")
                .expect(200)
                .need("content-type"),
            OCI_MANIFEST
        );
    }
}

#[test]
fn a_type_that_is_no_header_value_never_becomes_one() {
    let registry = registry();
    let mut manifest = good();
    manifest["mediaType"] = json!("application/json\r\nX-Evil: yes");
    let request = registry
        .request("PUT", "/v2/app/manifests/test")
        .body(manifest.to_string());
    let answer = request.send();
    assert_eq!(answer.header("x-evil"), None);
    let answer = registry.get_manifest("app", "test");
    assert!(answer.status < 500, "{answer:?}");
    assert_eq!(answer.header("x-evil"), None);
}

#[test]
fn a_compressed_manifest_is_refused() {
    let registry = registry();
    let content = noise(1, 200);
    let request = registry
        .request("PUT", "/v2/app/manifests/test")
        .header("Content-Type", OCI_MANIFEST);
    let answer = request
        .header("Content-Encoding", "gzip")
        .body(content)
        .send();
    assert!([400, 415].contains(&answer.status), "{answer:?}");
}

#[test]
fn a_manifest_with_a_hundred_thousand_descriptors_is_answered() {
    let registry = registry();
    let mut manifest = good();
    manifest["layers"] = json!(vec![
        json!({"digest": sha256(b"{}"), "size": 2, "mediaType": "a/b"});
        20_000
    ]);
    let same = manifest.to_string();
    assert!(same.len() < LIMIT);
    let answer = put(&registry, &same);
    assert!([201, 400, 413].contains(&answer.status), "{answer:?}");
    let different: Vec<Value> =
        (0..20_000).map(|number| json!({"digest": format!("sha256:{number:064}"), "size": 2, "mediaType": "a/b"})).collect();
    manifest["layers"] = json!(different);
    let answer = put(&registry, manifest.to_string());
    assert!([400, 413].contains(&answer.status), "{answer:?}");
    let _ = registry.get("/v2/").expect(200);
}

#[test]
fn a_layer_named_twice_is_fine() {
    let registry = registry();
    let mut manifest = good();
    manifest["layers"] = json!(vec![descriptor(EMPTY, b"{}"); 3]);
    let _ = put(&registry, manifest.to_string()).expect(201);
}

#[test]
fn huge_annotations_are_kept() {
    let registry = registry();
    let mut manifest = good();
    manifest["annotations"] = json!({"big": "x".repeat(1_000_000), "unicode": "\u{202e}\u{0000}é"});
    let manifest = manifest.to_string();
    let _ = put(&registry, &manifest).expect(201);
    assert_eq!(
        registry.get_manifest("app", "test").expect(200).text(),
        manifest
    );
}

#[test]
fn foreign_layers_are_refused_unless_allowed() {
    let foreign = |url: &str| {
        let mut manifest = good();
        let mut layer = descriptor(OCI_LAYER, b"elsewhere");
        layer["urls"] = json!([url]);
        manifest["layers"] = json!([layer]);
        manifest.to_string()
    };
    let urls = [
        "file:///etc/passwd",
        "gopher://x/",
        "http://169.254.169.254/latest",
        "https://example.com/layer",
        "//x",
        "x",
        "",
    ];
    let registry = registry();
    for url in urls {
        let answer = put(&registry, foreign(url));
        assert_eq!(answer.status, 400, "{url}: {answer:?}");
    }
    let allow =
        json!({"validation": {"manifests": {"urls": {"allow": ["^https://example\\.com/"]}}}});
    let registry = Registry::with(allow);
    registry.push_blob("app", b"{}");
    for url in urls {
        let answer = put(&registry, foreign(url));
        let expected = if url.starts_with("https://example.com/") {
            201
        } else {
            400
        };
        assert_eq!(answer.status, expected, "{url}: {answer:?}");
    }
}

#[test]
fn an_index_may_be_nested_and_shared() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", &image.digest(), &image);
    let mut level = Image::index(&[&image]);
    // Each level names the one below twice: 2^20 ways down, 20 manifests.
    for _ in 0..20 {
        registry.push_image("app", &level.digest(), &level);
        level = Image::index(&[&level, &level]);
    }
    registry.push_image("app", "top", &level);
    registry.assert_pullable("app", "top", &level);
}

#[test]
fn an_index_of_nothing_is_an_index() {
    let registry = Registry::start();
    let index = Image::index(&[]);
    registry.push_image("app", "empty", &index);
    registry.assert_pullable("app", "empty", &index);
}

#[test]
fn an_index_with_odd_platforms_is_never_the_servers_fault() {
    let registry = Registry::start();
    let image = Image::seeded(2);
    registry.push_image("app", &image.digest(), &image);
    for platform in [
        Value::Null,
        json!({}),
        json!({"os": null}),
        json!([]),
        json!("linux/amd64"),
    ] {
        let mut child = image.descriptor();
        child["platform"] = platform.clone();
        let index =
            json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [child]}).to_string();
        let answer = registry.put_manifest("app", "odd", OCI_INDEX, index.as_bytes());
        assert!(
            [201, 400].contains(&answer.status),
            "{platform}: {answer:?}"
        );
    }
}

#[test]
fn odd_subjects_are_refused_or_kept_but_never_the_servers_fault() {
    let registry = registry();
    for subject in [
        json!("sha256:abc"),
        json!([]),
        json!({}),
        json!({"digest": "sha256:abc", "size": 2, "mediaType": OCI_MANIFEST}),
        json!({"digest": "sha256:../..", "size": 2, "mediaType": OCI_MANIFEST}),
        json!({"digest": absent('a'), "size": -2, "mediaType": OCI_MANIFEST}),
        json!({"digest": absent('a'), "size": 2, "mediaType": "text/html"}),
        json!({"digest": sha256(b"{}"), "size": 2, "mediaType": EMPTY}),
    ] {
        let mut manifest = good();
        manifest["subject"] = subject.clone();
        let answer = put(&registry, manifest.to_string());
        assert!([201, 400].contains(&answer.status), "{subject}: {answer:?}");
    }
}

#[test]
fn a_long_chain_of_subjects_is_pushed_and_deleted() {
    let registry = registry();
    let mut subject = Image::of(OCI_MANIFEST, &good(), &[b"{}"]);
    registry.push_image("app", &subject.digest(), &subject);
    let first = subject.digest();
    for _ in 0..100 {
        let next = Image::referrer(&subject.descriptor(), "application/vnd.example.link", b"{}");
        let answer = registry
            .put_manifest("app", &next.digest(), OCI_MANIFEST, next.manifest())
            .expect(201);
        assert_eq!(answer.need("oci-subject"), subject.digest());
        subject = next;
    }
    let listed = registry
        .get(&format!("/v2/app/referrers/{first}"))
        .expect(200)
        .json();
    assert_eq!(listed["manifests"].as_array().map(Vec::len), Some(1));
    let _ = registry
        .delete(&format!("/v2/app/manifests/{first}"))
        .expect(202);
    registry.assert_pullable("app", &subject.digest(), &subject);
}

#[test]
fn hundreds_of_referrers_come_in_pages() {
    let registry = registry();
    let image = Image::of(OCI_MANIFEST, &good(), &[b"{}"]);
    registry.push_image("app", "latest", &image);
    let mut connection = registry.connect();
    for number in 0..300 {
        let referrer = Image::referrer(
            &image.descriptor(),
            &format!("application/vnd.example.n{number}"),
            b"{}",
        );
        let request = registry.request("PUT", &format!("/v2/app/manifests/{}", referrer.digest()));
        let request = request
            .header("Connection", "keep-alive")
            .header("Content-Type", OCI_MANIFEST);
        connection
            .send(request.body(referrer.manifest()).bytes())
            .unwrap();
        let _ = connection.receive("PUT").unwrap().expect(201);
    }
    let mut target = format!("/v2/app/referrers/{}", image.digest());
    let mut found = 0;
    loop {
        let answer = registry.get(&target).expect(200);
        assert!(answer.body.len() <= LIMIT);
        found += answer.json()["manifests"].as_array().map_or(0, Vec::len);
        let Some(link) = answer.header("link") else {
            break;
        };
        let next = link.split(['<', '>']).nth(1).unwrap();
        next.clone_into(&mut target);
    }
    assert_eq!(found, 300);
}

#[test]
fn the_blob_everybody_pushes_never_vanishes() {
    let registry = Registry::start();
    let digest = sha256(b"{}");
    std::thread::scope(|scope| {
        for worker in 0..6 {
            let (registry, digest) = (&registry, &digest);
            scope.spawn(move || {
                for _ in 0..10 {
                    registry.push_blob(&format!("app{}", worker % 2), b"{}");
                    let answer = registry
                        .get(&format!("/v2/app{}/blobs/{digest}", worker % 2))
                        .expect(200);
                    assert_eq!(answer.body, b"{}");
                }
            });
        }
    });
}

#[test]
fn embedded_data_that_is_something_else_is_refused() {
    let registry = registry();
    for (data, status) in [("e30=", 201), ("e30", 400), ("e319", 400), ("?", 400)] {
        let mut manifest = good();
        manifest["config"]["data"] = data.into();
        let _ = put(&registry, manifest.to_string()).expect(status);
    }
}
