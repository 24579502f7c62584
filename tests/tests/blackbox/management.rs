//! Management: deleting tags, manifests and blobs (end-9, end-10), and registries that refuse to.

use roadstead_tests::digest::absent;
use roadstead_tests::image::OCI_MANIFEST;
use roadstead_tests::{Image, Registry, only_over, sha256};
use serde_json::json;

#[test]
fn a_deleted_tag_is_gone_and_its_image_stays() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    for tag in ["kept", "gone"] {
        registry.push_image("app", tag, &image);
    }
    let _ = registry.delete("/v2/app/manifests/gone").expect(202);
    let _ = registry
        .get_manifest("app", "gone")
        .expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(registry.tags("app"), ["kept"]);
    registry.assert_pullable("app", "kept", &image);
    let _ = registry.delete("/v2/app/manifests/kept").expect(202);
    registry.assert_pullable("app", &image.digest(), &image);
}

#[test]
fn a_repository_whose_tags_are_deleted_lists_none() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let _ = registry.delete("/v2/app/manifests/latest").expect(202);
    assert_eq!(
        registry.get("/v2/app/tags/list").expect(200).json(),
        json!({"name": "app", "tags": []})
    );
}

#[test]
fn a_deleted_manifest_takes_the_tags_that_point_to_it() {
    let registry = Registry::start();
    let (gone, kept) = (Image::seeded(1), Image::seeded(2));
    for (tag, image) in [
        ("a", &gone),
        ("b", &gone),
        ("c", &kept),
        ("moved", &gone),
        ("moved", &kept),
    ] {
        registry.push_image("app", tag, image);
    }
    let _ = registry
        .delete(&format!("/v2/app/manifests/{}", gone.digest()))
        .expect(202);
    assert_eq!(registry.tags("app"), ["c", "moved"]);
    for reference in ["a", "b", &gone.digest()] {
        let _ = registry
            .get_manifest("app", reference)
            .expect_error(404, "MANIFEST_UNKNOWN");
    }
    registry.assert_pullable("app", "moved", &kept);
}

#[test]
fn what_was_deleted_can_be_pushed_again() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    for _ in 0..2 {
        registry.push_image("app", "latest", &image);
        registry.assert_pullable("app", "latest", &image);
        let _ = registry
            .delete(&format!("/v2/app/manifests/{}", image.digest()))
            .expect(202);
        for blob in image.blobs() {
            let _ = registry
                .delete(&format!("/v2/app/blobs/{}", sha256(blob)))
                .expect(202);
        }
    }
    let _ = registry.get_manifest("app", "latest").expect(404);
}

#[test]
fn a_deleted_blob_is_gone_from_one_repository_only() {
    let registry = Registry::start();
    let digest = registry.push_blob("one", b"shared");
    registry.push_blob("two", b"shared");
    let _ = registry
        .delete(&format!("/v2/one/blobs/{digest}"))
        .expect(202);
    let _ = registry
        .get(&format!("/v2/one/blobs/{digest}"))
        .expect_error(404, "BLOB_UNKNOWN");
    assert_eq!(
        registry
            .get(&format!("/v2/two/blobs/{digest}"))
            .expect(200)
            .body,
        b"shared"
    );
}

#[test]
fn deleting_what_is_not_there_says_so() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    for (target, code) in [
        ("/v2/app/manifests/other".to_owned(), "MANIFEST_UNKNOWN"),
        (
            format!("/v2/app/manifests/{}", absent('a')),
            "MANIFEST_UNKNOWN",
        ),
        (format!("/v2/app/blobs/{}", absent('a')), "BLOB_UNKNOWN"),
    ] {
        let answer = registry.delete(&target).expect_error(404, code);
        assert!(
            !answer.text().contains("/docker/registry"),
            "no path of the storage is told: {answer:?}"
        );
    }
    for target in [
        "/v2/nowhere/manifests/latest".to_owned(),
        format!("/v2/nowhere/blobs/{}", absent('a')),
    ] {
        let _ = registry.delete(&target).expect(404);
    }
}

#[test]
fn deleting_twice_says_that_it_is_gone() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let layer = sha256(&image.blobs()[1]);
    let targets = [
        "/v2/app/manifests/latest".to_owned(),
        format!("/v2/app/manifests/{}", image.digest()),
        format!("/v2/app/blobs/{layer}"),
    ];
    for target in targets {
        let _ = registry.delete(&target).expect(202);
        let _ = registry.delete(&target).expect(404);
    }
}

#[test]
fn nothing_can_be_deleted_unless_the_operator_allows_it() {
    for delete in [json!({"enabled": false}), json!(null)] {
        let registry = Registry::with(json!({"storage": {"delete": delete}}));
        let image = Image::seeded(1);
        registry.push_image("app", "latest", &image);
        for target in [
            "/v2/app/manifests/latest".to_owned(),
            format!("/v2/app/manifests/{}", image.digest()),
            format!("/v2/app/blobs/{}", sha256(&image.blobs()[1])),
        ] {
            let _ = registry.delete(&target).expect_error(405, "UNSUPPORTED");
        }
        registry.assert_pullable("app", "latest", &image);
    }
}

#[test]
fn a_read_only_registry_serves_and_takes_nothing() {
    only_over!(Filesystem: "it looks at the files");
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let layer = sha256(&image.blobs()[1]);
    let read_only = json!({"storage": {"maintenance": {"readonly": {"enabled": true}}}});
    let store = registry.kill();
    let before = store.files();
    let setup = roadstead_tests::registry::Setup::new(roadstead_tests::Implementation::Roadstead);
    let registry = setup.store(&store).config(read_only).start();
    registry.assert_pullable("app", "latest", &image);
    assert_eq!(registry.tags("app"), ["latest"]);
    for (method, target) in [
        ("POST", "/v2/app/blobs/uploads/".to_owned()),
        (
            "POST",
            format!("/v2/other/blobs/uploads/?mount={layer}&from=app"),
        ),
        ("POST", format!("/v2/app/blobs/uploads/?digest={layer}")),
        ("PUT", "/v2/app/manifests/latest".to_owned()),
        ("DELETE", "/v2/app/manifests/latest".to_owned()),
        ("DELETE", format!("/v2/app/manifests/{}", image.digest())),
        ("DELETE", format!("/v2/app/blobs/{layer}")),
    ] {
        let request = registry
            .request(method, &target)
            .header("Content-Type", OCI_MANIFEST);
        let answer = request
            .body(image.manifest())
            .send()
            .expect_error(405, "UNSUPPORTED");
        if method != "POST" {
            assert_eq!(answer.need("allow"), "GET,HEAD", "{target}");
        }
    }
    assert!(store.files() == before, "the store has changed");
}

#[test]
fn a_delete_that_races_with_a_push_leaves_no_tag_that_leads_nowhere() {
    let registry = Registry::start();
    let image = Image::seeded(3);
    registry.push_image("app", "first", &image);
    for round in 0..10 {
        let tag = format!("v{round}");
        let pushed = std::thread::scope(|scope| {
            let push = scope.spawn(|| {
                registry
                    .put_manifest("app", &tag, image.media_type(), image.manifest())
                    .status
            });
            let deleted = registry
                .delete(&format!("/v2/app/manifests/{}", image.digest()))
                .status;
            assert!([202, 404].contains(&deleted), "{deleted}");
            push.join().unwrap()
        });
        assert!([201, 400].contains(&pushed), "{pushed}");
        let tags = registry.get("/v2/app/tags/list");
        // A bucket knows no repository without a tag.
        if tags.status != 404 {
            for tag in roadstead_tests::registry::strings(&tags.expect(200).json()["tags"]) {
                registry.assert_pullable("app", &tag, &image);
            }
        }
        // For the next round there is something to delete again.
        let _ = registry
            .put_manifest("app", "first", image.media_type(), image.manifest())
            .expect(201);
    }
}
