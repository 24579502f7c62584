//! What stands in front of the registry and its repositories, as clients meet it.

use std::path::Path;

use roadstead_tests::registry::Setup;
use roadstead_tests::{Image, Implementation, Registry, Store, only_over, require, sha256, tool};
use serde_json::{Value, json};

fn over(store: &Store, middleware: Value) -> Registry {
    let setup = Setup::new(Implementation::Roadstead).store(store);
    setup.config(json!({ "middleware": middleware })).start()
}

fn one(name: &str, options: Value) -> Value {
    json!([{ "name": name, "options": options }])
}

fn copy(skopeo: &Path, source: &str, target: &str) -> tool::Outcome {
    let flags = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    let command = ["--insecure-policy", "copy"];
    tool::run(skopeo, [&command[..], &flags, &[source, target]].concat())
}

#[test]
fn only_repositories_on_the_list_are_served() {
    let store = Store::new();
    let image = Image::seeded(1);
    let everything = over(&store, json!({}));
    for repository in ["library/app", "my/library/app", "secret"] {
        everything.push_image(repository, "v1", &image);
    }
    drop(everything);
    let allowed = one(
        "allowlist",
        json!({ "repositories": ["library/.*", "public"] }),
    );
    let registry = over(&store, json!({ "registry": allowed }));
    registry.assert_pullable("library/app", "v1", &image);
    registry.push_image("public", "v1", &image);
    let digest = sha256(&image.blobs()[0]);
    for refused in ["my/library/app", "secret", "publicity", "never/heard/of"] {
        for (method, path) in [
            ("GET", "manifests/v1".to_owned()),
            ("HEAD", "manifests/v1".to_owned()),
            ("PUT", "manifests/v1".to_owned()),
            ("DELETE", "manifests/v1".to_owned()),
            ("GET", format!("blobs/{digest}")),
            ("HEAD", format!("blobs/{digest}")),
            ("DELETE", format!("blobs/{digest}")),
            ("GET", "tags/list".to_owned()),
            ("GET", format!("referrers/{digest}")),
            ("POST", "blobs/uploads/".to_owned()),
            (
                "POST",
                format!("blobs/uploads/?mount={digest}&from=library/app"),
            ),
            ("PATCH", "blobs/uploads/0".to_owned()),
        ] {
            let answer = registry
                .request(method, &format!("/v2/{refused}/{path}"))
                .send();
            let answer = answer.expect(403);
            if method != "HEAD" {
                let _ = answer.expect_error(403, "DENIED");
            }
        }
    }
    assert_eq!(registry.repositories(), ["library/app", "public"]);
    let page = registry.get("/v2/_catalog?n=1").expect(200);
    assert_eq!(page.json()["repositories"], json!(["library/app"]));
    assert!(page.need("link").contains("last=library%2Fapp"), "{page:?}");
    let page = registry
        .get("/v2/_catalog?n=1&last=library/app")
        .expect(200);
    assert_eq!(page.json()["repositories"], json!(["public"]));
    assert_eq!(page.header("link"), None);
    // What is there cannot be had by way of a repository that is served.
    let only_there = b"only in the secret repository";
    let secret = Setup::new(Implementation::Roadstead).store(&store).start();
    let digest = secret.push_blob("secret", only_there);
    drop(secret);
    for from in ["&from=secret", ""] {
        let mount = format!("/v2/public/blobs/uploads/?mount={digest}{from}");
        let _ = registry.request("POST", &mount).send().expect(202);
    }
}

#[test]
fn a_client_is_told_that_a_repository_is_not_served() {
    let skopeo = require!("skopeo");
    let allowed = one("allowlist", json!({ "repositories": ["public/.*"] }));
    let registry = Registry::with(json!({ "middleware": { "registry": allowed } }));
    let scratch = registry.store().scratch();
    Image::seeded(1).write_layout(&scratch.join("in"), "v1");
    let source = format!("oci:{}:v1", scratch.join("in").display());
    let host = registry.host();
    copy(&skopeo, &source, &format!("docker://{host}/public/app:v1")).success();
    let said = copy(&skopeo, &source, &format!("docker://{host}/private/app:v1")).failure();
    // It asks by HEAD whether a blob is there, and such an answer has no words.
    assert!(said.contains("403 (Forbidden)"), "{said}");
    let source = format!("docker://{host}/private/app:v1");
    let target = format!("dir:{}", scratch.join("out").display());
    let said = copy(&skopeo, &source, &target).failure();
    assert!(said.contains("denied"), "{said}");
}

#[test]
fn an_immutable_tag_cannot_be_moved() {
    let skopeo = require!("skopeo");
    let options = json!({ "repositories": ["app"], "tags": [r"v\d+(\.\d+)*"] });
    let registry = Registry::with(json!({
        "middleware": { "repository": one("immutabletags", options) },
    }));
    let scratch = registry.store().scratch();
    let images = [Image::seeded(1), Image::seeded(2)];
    let sources =
        [1, 2].map(|number| format!("oci:{}:in", scratch.join(number.to_string()).display()));
    for (number, image) in images.iter().enumerate() {
        image.write_layout(&scratch.join((number + 1).to_string()), "in");
    }
    let target = |reference: &str| format!("docker://{}/{reference}", registry.host());
    copy(&skopeo, &sources[0], &target("app:v1.2")).success();
    // Once more is as good as once.
    copy(&skopeo, &sources[0], &target("app:v1.2")).success();
    let said = copy(&skopeo, &sources[1], &target("app:v1.2")).failure();
    assert!(said.contains("denied"), "{said}");
    registry.assert_pullable("app", "v1.2", &images[0]);
    for (source, image) in sources.iter().zip(&images) {
        for reference in ["app:latest", "app:rv1", "lib:v1.2"] {
            copy(&skopeo, source, &target(reference)).success();
            let (repository, tag) = reference.split_once(':').unwrap();
            registry.assert_pullable(repository, tag, image);
        }
    }
    let [first, second] = &images;
    let refused = |reference: &str, image: &Image| {
        registry.put_manifest("app", reference, image.media_type(), image.manifest())
    };
    let answer = refused("v1.2", second).expect_error(403, "DENIED");
    assert!(
        answer.text().contains("the tag v1.2 is immutable"),
        "{answer:?}"
    );
    let several = format!("{}?tag=v7&tag=v1.2", second.digest());
    let _ = refused(&several, second).expect_error(403, "DENIED");
    let _ = registry.get_manifest("app", "v7").expect(404);
    for reference in ["v1.2", &first.digest()] {
        let deleted = registry.delete(&format!("/v2/app/manifests/{reference}"));
        let _ = deleted.expect_error(403, "DENIED");
    }
    registry.assert_pullable("app", "v1.2", first);
    let _ = registry.delete("/v2/app/manifests/latest").expect(202);
    let deleted = registry.delete(&format!("/v2/app/manifests/{}", second.digest()));
    let _ = deleted.expect(202);
    assert_eq!(registry.tags("app"), ["v1.2"]);
}

#[test]
fn of_many_pushes_at_once_one_has_the_immutable_tag() {
    let registry = Registry::with(json!({
        "middleware": { "repository": one("immutabletags", json!({})) },
    }));
    let images: Vec<Image> = (0..8).map(Image::seeded).collect();
    for image in &images {
        for blob in image.blobs() {
            registry.push_blob("app", blob);
        }
    }
    for round in 0..5 {
        let tag = format!("v{round}");
        let push = |image: &Image| {
            let answer = registry.put_manifest("app", &tag, image.media_type(), image.manifest());
            answer.status
        };
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let pushes: Vec<_> = images
                .iter()
                .map(|image| scope.spawn(|| push(image)))
                .collect();
            pushes
                .into_iter()
                .map(|push| push.join().unwrap())
                .collect()
        });
        let stored = statuses.iter().position(|status| *status == 201).unwrap();
        assert_eq!(
            statuses.iter().filter(|status| **status == 201).count(),
            1,
            "{statuses:?}"
        );
        assert_eq!(
            statuses.iter().filter(|status| **status == 403).count(),
            7,
            "{statuses:?}"
        );
        registry.assert_pullable("app", &tag, &images[stored]);
    }
}

#[test]
fn a_deletable_tag_can_be_pushed_anew() {
    let registry = Registry::with(json!({
        "middleware": { "repository": one("immutabletags", json!({ "deletable": true })) },
    }));
    let (first, second) = (Image::seeded(1), Image::seeded(2));
    registry.push_image("app", "v1", &first);
    registry.push_image("app", &second.digest(), &second);
    let push = || registry.put_manifest("app", "v1", second.media_type(), second.manifest());
    let _ = push().expect_error(403, "DENIED");
    let _ = registry.delete("/v2/app/manifests/v1").expect(202);
    let _ = push().expect(201);
    registry.assert_pullable("app", "v1", &second);
}

#[test]
fn a_read_only_repository_can_be_pulled_from() {
    only_over!(Filesystem: "it looks at the files");
    let store = Store::new();
    let image = Image::seeded(1);
    let everything = over(&store, json!({}));
    everything.push_image("archive/app", "v1", &image);
    drop(everything);
    let read_only = one("readonly", json!({ "repositories": ["archive/.*"] }));
    let registry = over(&store, json!({ "repository": read_only }));
    let before = store.files();
    registry.assert_pullable("archive/app", "v1", &image);
    let digest = sha256(&image.blobs()[0]);
    for (method, path) in [
        ("POST", "blobs/uploads/".to_owned()),
        (
            "POST",
            format!("blobs/uploads/?mount={digest}&from=archive/app"),
        ),
        ("DELETE", format!("blobs/{digest}")),
        ("DELETE", "manifests/v1".to_owned()),
        ("DELETE", format!("manifests/{}", image.digest())),
    ] {
        let answer = registry
            .request(method, &format!("/v2/archive/app/{path}"))
            .send();
        let answer = answer.expect_error(403, "DENIED");
        assert!(
            answer
                .text()
                .contains("the repository archive/app is read-only"),
            "{answer:?}"
        );
    }
    let again = registry.put_manifest("archive/app", "v2", image.media_type(), image.manifest());
    let _ = again.expect_error(403, "DENIED");
    assert_eq!(store.files(), before);
    let mount = format!("/v2/app/blobs/uploads/?mount={digest}&from=archive/app");
    let _ = registry.request("POST", &mount).send().expect(201);
    registry.push_image("app", "v1", &image);
}
