//! What `sam deploy` makes of the template: an emulated AWS that enforces the functions' policies,
//! and the deployed functions behind the deployed behaviours.

use roadstead_tests::event_bus::EventBus;
use roadstead_tests::image::{OCI_MANIFEST, descriptor, noise};
use roadstead_tests::registry::with_query;
use roadstead_tests::{Image, path_of, require, sha256, skip};
use serde_json::{Value, json};

use crate::deployed::{Deployment, deployed};

#[test]
fn what_is_deployed_takes_a_push_and_gives_it_back() {
    let mut deployment = deployed!(&["Access=anonymous", "DeleteEnabled=true"]);
    assert_eq!(deployment.functions, 5);
    everything(&mut deployment);
    // Who does not come through the edge gets nothing.
    let refused = deployment.tell("direct BaseFunction");
    assert_eq!(refused["statusCode"], 403, "{refused}");
    // Its layers fit into one request.
    let skopeo = require!("skopeo");
    deployment.push_and_pull(&skopeo, "skopeo/blobs/uploads/app", &Image::seeded(11));
}

/// With the permission that each function has for the bus.
#[test]
fn what_is_deployed_tells_the_event_bus_of_pushes_and_deletions() {
    let curl = require!("curl");
    let parameters = ["Access=anonymous", "DeleteEnabled=true", "EventBus=default"];
    let deployment = deployed!(&parameters);
    let bus = EventBus::default(curl, &deployment.aws, "roadstead");
    let image = Image::seeded(5);
    let blobs: Vec<_> = image
        .blobs()
        .iter()
        .map(|blob| deployment.push_blob("a/b", blob))
        .collect();
    deployment.push_manifest("a/b", "v1", &image);
    let _ = deployment.get("/v2/a/b/manifests/v1").expect(200);
    let _ = deployment
        .get(&format!("/v2/a/b/blobs/{}", blobs[0]))
        .expect(307);
    let tag = deployment.request("DELETE", "/v2/a/b/manifests/v1");
    let _ = tag.send().expect(202);
    let blob = deployment.request("DELETE", &format!("/v2/a/b/blobs/{}", blobs[0]));
    let _ = blob.send().expect(202);
    let mut events = bus.wait_for(blobs.len() + 3);
    // Each function has a clock of its own for the ids.
    events.sort_by_key(|event| event["detail"]["timestamp"].to_string());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let told = events.iter().map(|event| {
        let (action, target) = (&event["detail"]["action"], &event["detail"]["target"]);
        (text(action), text(&target["digest"]))
    });
    let push = |digest: &String| ("push".to_owned(), digest.clone());
    let mut expected: Vec<_> = blobs.iter().map(push).collect();
    expected.push(push(&image.digest()));
    expected.push(("delete".to_owned(), String::new()));
    expected.push(("delete".to_owned(), blobs[0].clone()));
    assert_eq!(told.collect::<Vec<_>>(), expected);
}

#[test]
fn one_function_with_a_url_of_its_own_does_as_well() {
    let parameters = [
        "Functions=combined",
        "Access=anonymous",
        "DeleteEnabled=true",
    ];
    let mut deployment = deployed!(&parameters);
    assert_eq!(deployment.functions, 1);
    everything(&mut deployment);
}

#[test]
fn a_deployment_that_nobody_has_adjusted_can_be_read_and_not_be_written_to() {
    let deployment = deployed!(&[]);
    let _ = deployment.get("/v2/").expect(200);
    let catalog = deployment.get("/v2/_catalog").expect(200).json();
    assert_eq!(catalog["repositories"], json!([]));
    let begin = deployment.request("POST", "/v2/a/blobs/uploads/").send();
    let _ = begin.expect_error(405, "UNSUPPORTED");
    let image = Image::seeded(1);
    let put = deployment.request("PUT", "/v2/a/manifests/latest");
    let put = put
        .header("Content-Type", OCI_MANIFEST)
        .body(image.manifest());
    let _ = put.send().expect_error(405, "UNSUPPORTED");
}

/// Every route, so that no function misses a permission.
fn everything(deployment: &mut Deployment) {
    let image = Image::seeded(7);
    let name = "group/app";
    let _ = deployment.get("/v2/").expect(200);
    for blob in image.blobs() {
        let digest = sha256(blob);
        let missing = deployment.get(&format!("/v2/{name}/blobs/{digest}"));
        let _ = missing.expect_error(404, "BLOB_UNKNOWN");
        deployment.push_blob(name, blob);
        assert_eq!(deployment.pull_blob(name, &digest), *blob);
        let head = deployment.request_blob("HEAD", name, &digest).expect(200);
        assert_eq!(head.need("Content-Length"), blob.len().to_string());
    }
    let missing = deployment.get(&format!("/v2/{name}/manifests/v1"));
    let _ = missing.expect_error(404, "MANIFEST_UNKNOWN");
    deployment.push_manifest(name, "v1", &image);
    let pulled = deployment
        .get(&format!("/v2/{name}/manifests/v1"))
        .expect(200);
    assert_eq!(pulled.body, image.manifest());
    let head = deployment.request("HEAD", &format!("/v2/{name}/manifests/v1"));
    let length = image.manifest().len().to_string();
    assert_eq!(head.send().expect(200).need("Content-Length"), length);

    uploads(deployment, name);
    large_manifest(deployment, name);
    lists(deployment, name, &image);

    let ran = deployment.tell("invoke MaintenanceFunction");
    assert!(ran["statusCode"].is_null(), "{ran}");
    let pulled = deployment
        .get(&format!("/v2/{name}/manifests/v1"))
        .expect(200);
    assert_eq!(pulled.body, image.manifest());

    for target in [
        format!("/v2/{name}/manifests/v1"),
        format!("/v2/{name}/manifests/{}", image.digest()),
        format!("/v2/{name}/blobs/{}", sha256(&image.blobs()[1])),
    ] {
        let _ = deployment.request("DELETE", &target).send().expect(202);
        let _ = deployment.get(&target).expect(404);
    }
    let ran = deployment.tell("invoke MaintenanceFunction");
    assert!(ran["statusCode"].is_null(), "{ran}");
}

/// In chunks, larger than one part of a multipart upload; mounted; cancelled.
fn uploads(deployment: &Deployment, name: &str) {
    const CHUNK: usize = 4_000_000;
    let content = noise(3, 3 * CHUNK);
    let digest = sha256(&content);
    let begin = || {
        let begun = deployment.request("POST", &format!("/v2/{name}/blobs/uploads/"));
        begun.send().expect(202).location()
    };
    let mut location = begin();
    for chunk in content.chunks(CHUNK) {
        let patch = deployment.request("PATCH", path_of(&location)).body(chunk);
        location = patch.send().expect(202).location();
    }
    let status = deployment.get(path_of(&location)).expect(204);
    assert_eq!(status.need("Range"), format!("0-{}", content.len() - 1));
    let finish = with_query(path_of(&location), &format!("digest={digest}"));
    let _ = deployment.request("PUT", &finish).send().expect(201);
    assert_eq!(deployment.pull_blob(name, &digest), content);

    for mount in [
        format!("mount={digest}&from={name}"),
        format!("mount={digest}"),
    ] {
        let mount = format!("/v2/other/blobs/uploads/?{mount}");
        let _ = deployment.request("POST", &mount).send().expect(201);
    }
    let location = begin();
    let patch = deployment
        .request("PATCH", path_of(&location))
        .body(content);
    let refused = patch.send().expect(413);
    assert!(!refused.text().contains("SECRET"));
    let cancel = deployment.request("DELETE", path_of(&location));
    let _ = cancel.send().expect(204);
    let _ = deployment
        .get(path_of(&location))
        .expect_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Too large for a row of the table: its bytes lie in the bucket. Pushed twice, as the second
/// push replaces them.
fn large_manifest(deployment: &Deployment, name: &str) {
    let config = noise(5, 100);
    let layer = noise(6, 100);
    deployment.push_blob(name, &config);
    deployment.push_blob(name, &layer);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("application/x.config", &config),
        "layers": [descriptor("application/x.layer", &layer)],
        "annotations": { "long": "x".repeat(600_000) },
    });
    let image = Image::of(OCI_MANIFEST, &manifest, &[&config, &layer]);
    for _ in 0..2 {
        deployment.push_manifest(name, "large", &image);
    }
    let pulled = deployment
        .get(&format!("/v2/{name}/manifests/large"))
        .expect(200);
    assert_eq!(sha256(&pulled.body), image.digest());
    let _ = deployment
        .get(&format!("/v2/{name}/blobs/{}", sha256(&layer)))
        .expect(307);
}

fn lists(deployment: &Deployment, name: &str, image: &Image) {
    let signature = Image::referrer(&image.descriptor(), "application/x.signature", b"signed");
    for blob in signature.blobs() {
        deployment.push_blob(name, blob);
    }
    deployment.push_manifest(name, &signature.digest(), &signature);
    let referrers = format!("/v2/{name}/referrers/{}", image.digest());
    let referrers = deployment.get(&referrers).expect(200).json();
    assert_eq!(referrers["manifests"][0]["digest"], signature.digest());
    let tags = deployment
        .get(&format!("/v2/{name}/tags/list?n=1"))
        .expect(200);
    assert_eq!(tags.json()["tags"], json!(["large"]));
    let next = tags
        .need("Link")
        .split(['<', '>'])
        .nth(1)
        .unwrap()
        .to_owned();
    let tags = deployment.get(path_of(&next)).expect(200).json();
    assert_eq!(tags["tags"], json!(["v1"]));
    let catalog = deployment.get("/v2/_catalog").expect(200).json();
    assert_eq!(catalog["repositories"], json!([name]));
}
