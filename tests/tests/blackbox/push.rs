//! Pushing: blobs in every way the specification knows (end-4, 5, 6, 11), and manifests (end-7).

use roadstead_tests::digest::absent;
use roadstead_tests::image::{OCI_INDEX, OCI_MANIFEST, descriptor, noise};
use roadstead_tests::store::Kind;
use roadstead_tests::{Image, Registry, sha256, sha512};
use serde_json::json;

#[test]
fn a_blob_is_pushed_by_post_and_put() {
    let registry = Registry::start();
    let content = noise(1, 10_000);
    let digest = sha256(&content);
    let begun = registry
        .request("POST", "/v2/app/blobs/uploads/")
        .send()
        .expect(202);
    assert!(
        begun
            .header("docker-upload-uuid")
            .is_some_and(|id| begun.location().contains(id)),
        "{begun:?}"
    );
    let created = registry
        .finish_upload(&begun.location(), &digest, &content)
        .expect(201);
    assert_eq!(created.location(), format!("/v2/app/blobs/{digest}"));
    assert_eq!(created.need("docker-content-digest"), digest);
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
}

#[test]
fn a_blob_is_pushed_in_a_single_request() {
    let registry = Registry::start();
    let content = noise(2, 10_000);
    for digest in [sha256(&content), sha512(&content)] {
        let request = registry.request("POST", &format!("/v2/app/blobs/uploads/?digest={digest}"));
        let created = request
            .header("Content-Type", "application/octet-stream")
            .body(&*content)
            .send()
            .expect(201);
        assert_eq!(registry.get(&created.location()).expect(200).body, content);
        assert_eq!(
            registry
                .get(&format!("/v2/app/blobs/{digest}"))
                .expect(200)
                .body,
            content
        );
    }
}

#[test]
fn a_single_request_with_other_content_stores_nothing() {
    let registry = Registry::start();
    let digest = sha256(b"what was meant");
    let request = registry.request("POST", &format!("/v2/app/blobs/uploads/?digest={digest}"));
    let _ = request
        .body("what was sent")
        .send()
        .expect_error(400, "DIGEST_INVALID");
    for digest in [digest, sha256(b"what was sent")] {
        let _ = registry.get(&format!("/v2/app/blobs/{digest}")).expect(404);
    }
}

#[test]
fn a_blob_is_pushed_in_chunks_with_ranges() {
    let registry = Registry::start();
    let content = noise(3, 1000);
    let mut location = registry.begin_upload("app");
    for (first, last) in [(0, 99), (100, 499), (500, 999)] {
        let request = registry
            .request("PATCH", &location)
            .header("Content-Range", format!("{first}-{last}"));
        let request = request.header("Content-Type", "application/octet-stream");
        let accepted = request.body(&content[first..=last]).send().expect(202);
        assert_eq!(accepted.need("range"), format!("0-{last}"));
        location = accepted.location();
    }
    let digest = sha256(&content);
    let created = registry.finish_upload(&location, &digest, b"").expect(201);
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
}

#[test]
fn the_last_chunk_may_come_with_the_closing_put() {
    let registry = Registry::start();
    let content = noise(4, 1000);
    let location = registry.append(&registry.begin_upload("app"), &content[..600]);
    let request = registry.request("PUT", &format!("{location}&digest={}", sha256(&content)));
    let request = request
        .header("Content-Range", "600-999")
        .header("Content-Type", "application/octet-stream");
    let created = request.body(&content[600..]).send().expect(201);
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
}

#[test]
fn a_blob_is_pushed_in_one_stream_of_unknown_length() {
    let registry = Registry::start();
    let content = noise(5, 300_000);
    let location = registry.begin_upload("app");
    let request = registry
        .request("PATCH", &location)
        .header("Content-Type", "application/octet-stream");
    let accepted = request.chunked(content.chunks(70_001)).send().expect(202);
    assert_eq!(accepted.need("range"), "0-299999");
    let created = registry
        .finish_upload(&accepted.location(), &sha256(&content), b"")
        .expect(201);
    assert_eq!(registry.get(&created.location()).expect(200).body, content);
}

#[test]
fn a_sha512_blob_is_pushed_in_chunks() {
    let registry = Registry::start();
    let content = noise(6, 1000);
    let begun = registry
        .request("POST", "/v2/app/blobs/uploads/?digest-algorithm=sha512")
        .send()
        .expect(202);
    let location = registry.append(&begun.location(), &content[..500]);
    let digest = sha512(&content);
    let _ = registry
        .finish_upload(&location, &digest, &content[500..])
        .expect(201);
    assert_eq!(
        registry
            .get(&format!("/v2/app/blobs/{digest}"))
            .expect(200)
            .body,
        content
    );
}

#[test]
fn an_algorithm_nobody_supports_is_refused() {
    let registry = Registry::start();
    let begun = registry
        .request("POST", "/v2/app/blobs/uploads/?digest-algorithm=md5")
        .send();
    let _ = begun.expect_error(400, "DIGEST_INVALID");
}

#[test]
fn an_operator_can_ask_for_large_chunks() {
    let registry = Registry::start();
    let begun = registry
        .request("POST", "/v2/app/blobs/uploads/")
        .send()
        .expect(202);
    if let Some(least) = begun.header("oci-chunk-min-length") {
        assert!(least.parse::<u64>().is_ok(), "{begun:?}");
    }
}

#[test]
fn empty_and_tiny_blobs_are_blobs() {
    let registry = Registry::start();
    for content in [&b""[..], b"{}", b"x", &[0; 1024]] {
        for _ in 0..2 {
            let digest = registry.push_blob("app", content);
            let answer = registry.get(&format!("/v2/app/blobs/{digest}")).expect(200);
            assert_eq!(answer.body, content);
            assert_eq!(answer.need("content-length"), content.len().to_string());
        }
    }
}

#[test]
fn a_blob_that_is_there_can_be_pushed_again_and_elsewhere() {
    let registry = Registry::start();
    for repository in ["one", "one", "two"] {
        let digest = registry.push_blob(repository, b"shared");
        assert_eq!(
            registry
                .get(&format!("/v2/{repository}/blobs/{digest}"))
                .expect(200)
                .body,
            b"shared"
        );
    }
}

#[test]
fn a_blob_is_mounted_from_another_repository() {
    let registry = Registry::start();
    let digest = registry.push_blob("source", b"shared");
    for query in [
        format!("mount={digest}&from=source"),
        format!("from=source&mount={digest}"),
        format!("mount={digest}"),
    ] {
        let target = sha256(query.as_bytes())[7..20].to_owned();
        let mounted = registry
            .request("POST", &format!("/v2/{target}/blobs/uploads/?{query}"))
            .send()
            .expect(201);
        assert_eq!(mounted.location(), format!("/v2/{target}/blobs/{digest}"));
        assert_eq!(mounted.need("docker-content-digest"), digest);
        assert_eq!(
            registry.get(&mounted.location()).expect(200).body,
            b"shared"
        );
    }
}

#[test]
fn a_mount_that_cannot_be_done_begins_an_upload() {
    let registry = Registry::start();
    let here = registry.push_blob("source", b"shared");
    let unlinked = registry.push_blob("emptied", b"unlinked");
    let _ = registry
        .delete(&format!("/v2/emptied/blobs/{unlinked}"))
        .expect(202);
    for (query, content) in [
        (format!("mount={}&from=source", absent('a')), &b"fresh"[..]),
        (format!("mount={here}&from=other"), b"shared"),
        (format!("mount={unlinked}&from=emptied"), b"unlinked"),
        (format!("mount={}", absent('a')), b"fresh"),
    ] {
        let begun = registry
            .request("POST", &format!("/v2/target/blobs/uploads/?{query}"))
            .send()
            .expect(202);
        let created = registry
            .finish_upload(&begun.location(), &sha256(content), content)
            .expect(201);
        assert_eq!(registry.get(&created.location()).expect(200).body, content);
    }
}

#[test]
fn a_pushed_manifest_can_be_pulled_where_the_answer_says() {
    let registry = Registry::start();
    let image = Image::seeded(7);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    for reference in ["latest", &image.digest()] {
        let created = registry
            .put_manifest("app", reference, OCI_MANIFEST, image.manifest())
            .expect(201);
        assert_eq!(
            created.location(),
            format!("/v2/app/manifests/{}", image.digest())
        );
        assert_eq!(created.need("docker-content-digest"), image.digest());
        assert_eq!(
            registry
                .get_manifest("app", &image.digest())
                .expect(200)
                .body,
            image.manifest()
        );
    }
}

#[test]
fn a_manifest_keeps_its_exact_bytes() {
    let registry = Registry::start();
    let config = registry.push_blob("app", b"{}");
    let manifest = format!(
        "{{  \"schemaVersion\":2,\r\n\t\"layers\":[ ],\"unknown\": 1.50e+3, \"mediaType\":\"{OCI_MANIFEST}\",\
         \"config\":{{\"size\":2,\"digest\":\"{config}\",\"mediaType\":\"application/vnd.oci.empty.v1+json\"}},\
         \"annotations\":{{\"z\":\"\\u00e9\",\"a\":\"é\"}} }}\n\n"
    );
    let digest = sha256(manifest.as_bytes());
    let _ = registry
        .put_manifest("app", &digest, OCI_MANIFEST, manifest.as_bytes())
        .expect(201);
    assert_eq!(
        registry.get_manifest("app", &digest).expect(200).text(),
        manifest
    );
}

#[test]
fn a_tag_moves_and_the_old_image_stays() {
    let registry = Registry::start();
    let (old, new) = (Image::seeded(8), Image::seeded(9));
    registry.push_image("app", "latest", &old);
    registry.push_image("app", "latest", &new);
    registry.assert_pullable("app", "latest", &new);
    registry.assert_pullable("app", &old.digest(), &old);
    registry.push_image("app", "latest", &old);
    registry.assert_pullable("app", "latest", &old);
    assert_eq!(registry.tags("app"), ["latest"]);
}

#[test]
fn a_manifest_is_tagged_many_times_in_one_push() {
    let registry = Registry::start();
    let image = Image::seeded(10);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    let tags: Vec<String> = (0..12).map(|number| format!("1.{number}")).collect();
    let reference = format!("{}?tag={}", image.digest(), tags.join("&tag="));
    let created = registry
        .put_manifest("app", &reference, OCI_MANIFEST, image.manifest())
        .expect(201);
    let mut named: Vec<String> = created
        .headers_named("oci-tag")
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().to_owned())
        .collect();
    named.sort();
    let mut sorted = tags.clone();
    sorted.sort();
    assert_eq!(named, sorted);
    assert_eq!(registry.tags("app"), sorted);
    registry.assert_pullable("app", "1.11", &image);
}

#[test]
fn one_bad_tag_among_many_leaves_nothing_behind() {
    let registry = Registry::start();
    let image = Image::seeded(11);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    for bad in ["..", "a/b", "a:b", "", "-x", &"x".repeat(129)] {
        let reference = format!("{}?tag=good&tag={bad}", image.digest());
        let answer = registry.put_manifest("app", &reference, OCI_MANIFEST, image.manifest());
        let _ = answer.expect_refusal();
        let _ = registry.get_manifest("app", "good").expect(404);
        let _ = registry.get_manifest("app", &image.digest()).expect(404);
    }
}

#[test]
fn a_manifest_is_pushed_by_its_sha512_digest() {
    let registry = Registry::start();
    let image = Image::seeded(12);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    let digest = sha512(image.manifest());
    let created = registry
        .put_manifest("app", &digest, OCI_MANIFEST, image.manifest())
        .expect(201);
    assert_eq!(created.need("docker-content-digest"), digest);
    let pulled = registry.get_manifest("app", &digest).expect(200);
    assert_eq!(pulled.body, image.manifest());
    assert_eq!(pulled.need("docker-content-digest"), digest);
}

#[test]
fn a_manifest_whose_content_is_missing_is_refused_and_every_missing_digest_named() {
    let registry = Registry::start();
    let image = Image::seeded(13);
    registry.push_blob("app", &image.blobs()[0]);
    let answer = registry.put_manifest("app", "latest", OCI_MANIFEST, image.manifest());
    let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    for layer in &image.blobs()[1..] {
        assert!(answer.text().contains(&sha256(layer)), "{answer:?}");
    }
    assert_eq!(answer.codes().len(), 2);
    let _ = registry.get_manifest("app", "latest").expect(404);
    // The blobs must be in this repository, not just somewhere in the registry.
    registry.push_image("elsewhere", "latest", &image);
    let answer = registry.put_manifest("app", "latest", OCI_MANIFEST, image.manifest());
    let _ = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[test]
fn an_index_whose_images_are_missing_is_refused() {
    let registry = Registry::start();
    let (here, missing) = (Image::seeded(14), Image::seeded(15));
    registry.push_image("app", &here.digest(), &here);
    registry.push_image("elsewhere", &missing.digest(), &missing);
    let index = Image::index(&[&here, &missing]);
    let answer = registry.put_manifest("app", "latest", OCI_INDEX, index.manifest());
    let answer = answer.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
    assert!(answer.text().contains(&missing.digest()), "{answer:?}");
}

#[test]
fn an_index_may_lack_images_when_the_operator_says_so() {
    let registry =
        Registry::with(json!({"validation": {"manifests": {"indexes": {"platforms": "none"}}}}));
    let index = Image::index(&[&Image::seeded(16)]);
    registry.push_image("app", "latest", &index);
    registry.assert_pullable("app", "latest", &index);
}

#[test]
fn a_manifest_of_a_type_yet_unknown_is_accepted() {
    let registry = Registry::start();
    let config = registry.push_blob("app", b"{}");
    let media_type = "application/vnd.example.future.manifest.v3+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type, "layers": [],
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": config},
    });
    let manifest = manifest.to_string();
    let _ = registry
        .put_manifest("app", "latest", media_type, manifest.as_bytes())
        .expect(201);
    let answer = registry.get_manifest("app", "latest").expect(200);
    assert_eq!(
        (answer.need("content-type"), answer.text()),
        (media_type, manifest)
    );
}

#[test]
fn parameters_of_the_content_type_are_ignored() {
    let registry = Registry::start();
    let image = Image::seeded(17);
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    let media_type = format!("{OCI_MANIFEST}; charset=utf-8");
    let _ = registry
        .put_manifest("app", "latest", &media_type, image.manifest())
        .expect(201);
    assert_eq!(
        registry.get_manifest("app", "latest").need("content-type"),
        OCI_MANIFEST
    );
}

#[test]
fn an_artifact_without_layers_is_accepted() {
    let registry = Registry::start();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "application/vnd.example.note",
        "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
    });
    let artifact = Image::of(OCI_MANIFEST, &manifest, &[b"{}"]);
    registry.push_image("app", "note", &artifact);
    registry.assert_pullable("app", "note", &artifact);
}

#[test]
fn many_clients_push_the_same_image_at_once() {
    let registry = Registry::start();
    let image = Image::seeded(18);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| registry.push_image("app", "latest", &image));
        }
    });
    registry.assert_pullable("app", "latest", &image);
    assert_eq!(registry.tags("app"), ["latest"]);
}

#[test]
fn clients_that_race_for_a_tag_leave_one_of_their_images() {
    let registry = Registry::start();
    let images: Vec<Image> = (0..6).map(|seed| Image::seeded(100 + seed)).collect();
    std::thread::scope(|scope| {
        for image in &images {
            scope.spawn(|| registry.push_image("app", "latest", image));
        }
    });
    let winner = registry.get_manifest("app", "latest").expect(200);
    assert!(images.iter().any(|image| image.manifest() == winner.body));
    for image in &images {
        registry.assert_pullable("app", &image.digest(), image);
    }
}

#[test]
fn a_large_blob_passes_through_little_memory() {
    roadstead_tests::only_by_socket!("a function takes no large blob");
    const SIZE: usize = 128 * 1024 * 1024;
    let registry = Registry::start();
    let content = noise(19, SIZE);
    let before = registry.peak_memory();
    let digest = registry.push_blob("app", &content);
    let target = format!("/v2/app/blobs/{digest}");
    assert!(registry.get(&target).expect(200).body == content);
    let grown = registry.peak_memory() - before;
    // To a bucket, a few parts of 10 MiB are on their way at a time.
    let most = match Kind::of_tests() {
        Kind::Filesystem => 64 * 1024 * 1024,
        Kind::S3 | Kind::Swift | Kind::S3Dynamodb => 96 * 1024 * 1024,
    };
    assert!(grown < most, "{grown} bytes more than before");
}
