//! Pulling: the probe (end-1), manifests (end-3) and blobs (end-2).

use roadstead_tests::digest::absent;
use roadstead_tests::image::{DOCKER_LIST, MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST, noise};
use roadstead_tests::{Image, Registry, Response, sha256, sha512};
use serde_json::json;

/// An answer without what changes from one request to the next.
fn lasting(response: &Response) -> Vec<(String, String)> {
    let passing = |name: &str| name == "date" || name.contains("request-id");
    let mut headers: Vec<_> = response
        .headers
        .iter()
        .filter(|(name, _)| !passing(name))
        .cloned()
        .collect();
    headers.sort();
    headers
}

#[test]
fn the_probe_says_which_api_this_is() {
    let registry = Registry::start();
    let answer = registry.get("/v2/").expect(200);
    assert_eq!(answer.json(), json!({}));
    assert_eq!(answer.need("content-type"), "application/json");
    assert_eq!(
        answer.need("docker-distribution-api-version"),
        "registry/2.0"
    );
    let _ = registry.head("/v2/").expect(200);
}

#[test]
fn an_image_comes_back_byte_for_byte() {
    let registry = Registry::start();
    for (tag, image) in [("oci", Image::seeded(1)), ("docker", Image::docker(2))] {
        registry.push_image("library/app", tag, &image);
        registry.assert_pullable("library/app", tag, &image);
        registry.assert_pullable("library/app", &image.digest(), &image);
    }
}

#[test]
fn an_index_and_its_images_come_back() {
    let registry = Registry::start();
    let (amd64, arm64) = (Image::seeded(3), Image::seeded(4));
    let index = Image::index(&[&amd64, &arm64]);
    for child in [&amd64, &arm64] {
        registry.push_image("app", &child.digest(), child);
    }
    registry.push_image("app", "latest", &index);
    registry.assert_pullable("app", "latest", &index);
    assert_eq!(
        registry.get_manifest("app", "latest").need("content-type"),
        OCI_INDEX
    );
    registry.assert_pullable("app", &arm64.digest(), &arm64);
}

#[test]
fn a_manifest_is_served_with_its_type_length_and_digest() {
    let registry = Registry::start();
    let image = Image::seeded(5);
    registry.push_image("app", "latest", &image);
    for reference in ["latest", &image.digest()] {
        let answer = registry.get_manifest("app", reference).expect(200);
        assert_eq!(answer.need("content-type"), OCI_MANIFEST);
        assert_eq!(
            answer.need("content-length"),
            image.manifest().len().to_string()
        );
        assert_eq!(answer.need("docker-content-digest"), image.digest());
        assert_eq!(answer.need("etag"), format!("\"{}\"", image.digest()));
    }
}

#[test]
fn a_blob_is_served_with_its_length_and_digest() {
    let registry = Registry::start();
    let digest = registry.push_blob("app", &noise(1, 5000));
    let answer = registry.get(&format!("/v2/app/blobs/{digest}")).expect(200);
    assert_eq!(answer.body, noise(1, 5000));
    for (name, value) in [
        ("accept-ranges", "bytes"),
        ("content-length", "5000"),
        ("content-type", "application/octet-stream"),
        ("docker-content-digest", &digest),
        ("etag", &format!("\"{digest}\"")),
    ] {
        assert_eq!(answer.need(name), value, "{name}");
    }
    assert_eq!(answer.header("content-encoding"), None);
}

#[test]
fn head_answers_like_get_without_the_body() {
    let registry = Registry::start();
    let image = Image::seeded(6);
    registry.push_image("app", "latest", &image);
    let layer = sha256(&image.blobs()[1]);
    for target in [
        "/v2/app/manifests/latest".to_owned(),
        format!("/v2/app/manifests/{}", image.digest()),
        format!("/v2/app/blobs/{layer}"),
        format!("/v2/app/blobs/{}", absent('0')),
        "/v2/app/manifests/nope".to_owned(),
        "/v2/app/blobs/sha256:short".to_owned(),
    ] {
        let ask = |method| {
            registry
                .request(method, &target)
                .header("Accept", MANIFEST_TYPES.join(","))
                .send()
        };
        let (get, head) = (ask("GET"), ask("HEAD"));
        assert_eq!(head.status, get.status, "{target}");
        assert_eq!(lasting(&head), lasting(&get), "{target}");
        assert!(head.body.is_empty(), "{target}");
    }
}

#[test]
fn an_answer_that_has_no_content_names_no_length() {
    let registry = Registry::start();
    let image = Image::seeded(6);
    registry.push_image("app", "latest", &image);
    let upload = registry.begin_upload("app");
    for (target, status) in [
        ("/v2/app/manifests/latest".to_owned(), 304),
        (format!("/v2/app/blobs/{}", sha256(&image.blobs()[1])), 304),
        (upload, 204),
    ] {
        for method in ["GET", "HEAD"] {
            let request = registry.request(method, &target);
            let answer = request.header("If-None-Match", "*").send().expect(status);
            assert_eq!(answer.header("content-length"), None, "{method} {target}");
        }
    }
}

#[test]
fn a_head_on_a_kept_connection_sends_no_body_bytes() {
    let registry = Registry::start();
    let digest = registry.push_blob("app", b"some content");
    let mut connection = registry.connect();
    for _ in 0..3 {
        let request = registry
            .request("HEAD", &format!("/v2/app/blobs/{digest}"))
            .header("Connection", "keep-alive");
        connection.send(request.bytes()).unwrap();
        assert_eq!(connection.receive("HEAD").unwrap().status, 200);
    }
}

#[test]
fn what_is_not_there_is_named_as_missing() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(7));
    for (target, codes) in [
        (
            "/v2/app/manifests/other".to_owned(),
            ["MANIFEST_UNKNOWN", "MANIFEST_UNKNOWN"],
        ),
        (
            format!("/v2/app/manifests/{}", absent('a')),
            ["MANIFEST_UNKNOWN", "MANIFEST_UNKNOWN"],
        ),
        (
            format!("/v2/app/blobs/{}", absent('a')),
            ["BLOB_UNKNOWN", "BLOB_UNKNOWN"],
        ),
        (
            "/v2/nowhere/manifests/latest".to_owned(),
            ["MANIFEST_UNKNOWN", "NAME_UNKNOWN"],
        ),
        (
            format!("/v2/nowhere/blobs/{}", absent('a')),
            ["BLOB_UNKNOWN", "NAME_UNKNOWN"],
        ),
        (
            "/v2/nowhere/tags/list".to_owned(),
            ["NAME_UNKNOWN", "NAME_UNKNOWN"],
        ),
    ] {
        let answer = registry.get(&target).expect(404);
        assert!(codes.contains(&&*answer.codes()[0]), "{target}: {answer:?}");
    }
}

#[test]
fn a_blob_is_visible_only_in_repositories_it_was_pushed_to() {
    let registry = Registry::start();
    let image = Image::seeded(8);
    registry.push_image("team/one", "latest", &image);
    registry.push_image("team/two", "latest", &Image::seeded(9));
    let layer = sha256(&image.blobs()[1]);
    for repository in ["team/two", "team", "team/one/more", "tea"] {
        let blob = registry.get(&format!("/v2/{repository}/blobs/{layer}"));
        let _ = blob.expect_error(404, "BLOB_UNKNOWN");
        let manifest = registry.get_manifest(repository, &image.digest());
        let _ = manifest.expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[test]
fn a_layer_is_not_a_manifest() {
    let registry = Registry::start();
    let image = Image::seeded(10);
    registry.push_image("app", "latest", &image);
    let layer = sha256(&image.blobs()[1]);
    let _ = registry
        .get_manifest("app", &layer)
        .expect_error(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_blob_pushed_under_sha512_is_pulled_under_it() {
    let registry = Registry::start();
    let content = noise(11, 4000);
    let digest = sha512(&content);
    let location = registry.begin_upload("app");
    let created = registry
        .finish_upload(&location, &digest, &content)
        .expect(201);
    let answer = registry.get(&format!("/v2/app/blobs/{digest}")).expect(200);
    assert_eq!(answer.body, content);
    // The location that the push named can be pulled as well.
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
    let named = answer.need("docker-content-digest");
    assert!(
        [sha256(&content), digest].contains(&named.to_owned()),
        "{named}"
    );
}

#[test]
fn content_named_by_digest_may_be_cached_for_long_and_a_tag_may_not() {
    let registry = Registry::start();
    let image = Image::seeded(12);
    registry.push_image("app", "latest", &image);
    let layer = sha256(&image.blobs()[1]);
    for target in [
        format!("/v2/app/blobs/{layer}"),
        format!("/v2/app/manifests/{}", image.digest()),
    ] {
        let policy = registry
            .get(&target)
            .expect(200)
            .need("cache-control")
            .to_owned();
        assert!(policy.contains("max-age=31536000"), "{target}: {policy}");
    }
    assert_eq!(
        registry
            .get("/v2/app/manifests/latest")
            .expect(200)
            .need("cache-control"),
        "no-cache"
    );
}

#[test]
fn the_stored_type_is_served_whatever_the_client_says_it_accepts() {
    let registry = Registry::start();
    let image = Image::seeded(13);
    registry.push_image("app", "latest", &image);
    let get = |accept: Option<&str>| {
        let request = registry.request("GET", "/v2/app/manifests/latest");
        accept
            .into_iter()
            .fold(request, |request, accept| request.header("Accept", accept))
            .send()
    };
    for accept in [
        None,
        Some("*/*"),
        Some("application/*"),
        Some(OCI_MANIFEST),
        Some("application/vnd.oci.image.manifest.v1+json;q=0.5, */*;q=0.1"),
        Some(&*[OCI_INDEX, OCI_MANIFEST].join(",")),
        Some(&*vec![OCI_MANIFEST; 200].join(", ")),
    ] {
        let answer = get(accept).expect(200);
        assert_eq!(answer.need("content-type"), OCI_MANIFEST, "{accept:?}");
        assert_eq!(answer.body, image.manifest());
    }
}

#[test]
fn a_type_that_the_client_does_not_know_is_served_or_refused_but_never_converted() {
    let registry = Registry::start();
    let image = Image::docker(14);
    registry.push_image("app", "latest", &image);
    let list =
        json!({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [image.descriptor()]});
    let list = Image::of(DOCKER_LIST, &list, &[]);
    registry.push_image("app", "list", &list);
    for (tag, stored) in [("latest", &image), ("list", &list)] {
        for accept in [
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "text/html",
        ] {
            let request = registry
                .request("GET", &format!("/v2/app/manifests/{tag}"))
                .header("Accept", accept);
            let answer = request.send();
            match answer.status {
                200 => assert_eq!(answer.body, stored.manifest()),
                status => assert!([404, 406].contains(&status), "{answer:?}"),
            }
        }
    }
}

#[test]
fn a_digest_may_be_escaped_as_urls_allow() {
    let registry = Registry::start();
    let image = Image::seeded(15);
    registry.push_image("team/app", "latest", &image);
    let layer = sha256(&image.blobs()[1]);
    let escape = |digest: &str| digest.replace(':', "%3A");
    let blob = registry
        .get(&format!("/v2/team/app/blobs/{}", escape(&layer)))
        .expect(200);
    assert_eq!(blob.body, image.blobs()[1]);
    assert_eq!(
        registry
            .get_manifest("team/app", &escape(&image.digest()))
            .expect(200)
            .body,
        image.manifest()
    );
}

#[test]
fn the_probe_is_found_without_its_last_slash() {
    let registry = Registry::start();
    let answer = registry.get("/v2");
    if answer.status != 200 {
        assert!([301, 307, 308].contains(&answer.status), "{answer:?}");
        assert_eq!(answer.location(), "/v2/");
    }
}

#[test]
fn a_pull_that_races_with_a_delete_is_whole_or_missing() {
    let registry = Registry::start();
    let content = noise(16, 500_000);
    for _ in 0..5 {
        let digest = registry.push_blob("app", &content);
        let target = format!("/v2/app/blobs/{digest}");
        std::thread::scope(|scope| {
            let pulls: Vec<_> = (0..6)
                .map(|_| scope.spawn(|| registry.get(&target)))
                .collect();
            let _ = registry.delete(&target).expect(202);
            for answer in pulls.into_iter().map(|thread| thread.join().unwrap()) {
                match answer.status {
                    200 => assert!(answer.body == content),
                    status => assert_eq!(status, 404, "{answer:?}"),
                }
            }
        });
    }
}
