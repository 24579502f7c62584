//! Garbage collection: what it keeps, what it takes.

use std::time::Duration;

use bytes::Bytes;
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{CollectOptions, Error, Finding, Registry, Summary};
use roadstead_storage::{DriverExt, Key, MemoryDriver};

use crate::kit::{
    assert_sound, body, collect, collect_older, image, index, name, pull_blob, pull_manifest,
    pull_whole, push_blob, push_manifest, push_untagged, registry, sha256, sha512, stored_blobs,
    tag, tree,
};

/// Pushes an image of two blobs that no other image has.
async fn push_image(
    registry: &Registry,
    name: &RepositoryName,
    what: &str,
    subject: Option<&Digest>,
) -> Digest {
    let blobs = [format!("config of {what}"), format!("layer of {what}")];
    let [config, layer] = blobs.each_ref().map(|blob| sha256(blob.as_bytes()));
    for (blob, digest) in blobs.iter().zip([&config, &layer]) {
        push_blob(registry, name, blob.as_bytes(), digest)
            .await
            .unwrap();
    }
    let image = image(&config, &[layer], subject);
    push_untagged(registry, name, &image).await.unwrap()
}

async fn is_there(registry: &Registry, name: &RepositoryName, digest: &Digest) -> bool {
    match pull_manifest(registry, name, &Reference::Digest(digest.clone())).await {
        Ok(_) => true,
        Err(Error::ManifestUnknown(..)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn what_no_manifest_references_goes() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let a = name("a");
    let image = push_image(&registry, &a, "the image", None).await;
    let lost = sha256(b"lost");
    push_blob(&registry, &a, b"lost", &lost).await.unwrap();
    push_blob(
        &registry,
        &name("only/blobs"),
        b"lost too",
        &sha256(b"lost too"),
    )
    .await
    .unwrap();
    collect(&registry, false).await.unwrap();
    assert_eq!(stored_blobs(&store).await.len(), 3);
    let gone = pull_blob(&registry, &a, &lost).await;
    assert!(matches!(gone, Err(Error::BlobUnknown(_))));
    pull_whole(&registry, &a, Reference::Digest(image)).await;
    push_blob(&registry, &a, b"lost", &lost).await.unwrap();
    assert_eq!(pull_blob(&registry, &a, &lost).await.unwrap(), "lost");
}

#[tokio::test]
async fn what_a_tag_leads_to_stays_when_untagged_manifests_go() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let a = name("a");
    let child = push_image(&registry, &a, "child", None).await;
    let inner = push_untagged(&registry, &a, &index(std::slice::from_ref(&child)))
        .await
        .unwrap();
    let outer = index(&[inner.clone(), child.clone()]);
    let outer = push_manifest(&registry, &a, tag("t"), &outer)
        .await
        .unwrap();
    let signature = push_image(&registry, &a, "signature", Some(&child)).await;
    let of_signature = push_image(&registry, &a, "of signature", Some(&signature)).await;
    let sbom = push_image(&registry, &a, "sbom", Some(&outer)).await;
    let untagged = push_image(&registry, &a, "untagged", None).await;
    let of_untagged = push_image(&registry, &a, "of untagged", Some(&untagged)).await;
    let of_nothing = push_image(&registry, &a, "of nothing", Some(&sha256(b"nothing"))).await;
    collect(&registry, true).await.unwrap();
    for digest in [outer, inner, child, signature, of_signature, sbom] {
        pull_whole(&registry, &a, Reference::Digest(digest)).await;
    }
    for digest in [untagged, of_untagged, of_nothing] {
        assert!(!is_there(&registry, &a, &digest).await);
    }
    assert_eq!(stored_blobs(&store).await.len(), 2 + 4 * 3);
    assert_sound(&store).await;
}

#[tokio::test]
async fn content_that_manifests_name_by_sha512_stays() {
    for delete_untagged in [false, true] {
        let store = MemoryDriver::new();
        let registry = registry(&store);
        let a = name("a");
        let (config, layer) = (sha512(b"config"), sha512(b"layer"));
        push_blob(&registry, &a, b"config", &config).await.unwrap();
        push_blob(&registry, &a, b"layer", &layer).await.unwrap();
        let child = image(&config, &[layer], None);
        let by_sha512 = Reference::Digest(sha512(&child));
        push_manifest(&registry, &a, by_sha512.clone(), &child)
            .await
            .unwrap();
        let list = index(&[sha512(&child)]);
        push_manifest(&registry, &a, tag("t"), &list).await.unwrap();
        let referrer = push_image(&registry, &a, "referrer", Some(&sha512(&child))).await;
        collect(&registry, delete_untagged).await.unwrap();
        pull_whole(&registry, &a, tag("t")).await;
        pull_whole(&registry, &a, by_sha512).await;
        pull_whole(&registry, &a, Reference::Digest(referrer)).await;
    }
}

#[tokio::test]
async fn an_untagged_manifest_that_stays_for_another_repository_stays_whole() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let (a, b) = (name("a"), name("b"));
    let listed = push_image(&registry, &a, "the image", None).await;
    let bytes = pull_manifest(&registry, &a, &Reference::Digest(listed.clone()))
        .await
        .unwrap();
    push_blob(&registry, &b, &bytes, &listed).await.unwrap();
    push_manifest(
        &registry,
        &b,
        tag("t"),
        &index(std::slice::from_ref(&listed)),
    )
    .await
    .unwrap();
    collect(&registry, true).await.unwrap();
    if is_there(&registry, &a, &listed).await {
        pull_whole(&registry, &a, Reference::Digest(listed)).await;
    }
    assert_sound_but_for_index(&registry, &b).await;
}

/// The index of `b` lists a manifest as a blob: it is there as one.
async fn assert_sound_but_for_index(registry: &Registry, b: &RepositoryName) {
    let list = pull_manifest(registry, b, &tag("t")).await.unwrap();
    let list = roadstead_oci::Manifest::parse(&list, None).unwrap();
    for child in &list.manifests {
        pull_blob(registry, b, &child.digest).await.unwrap();
    }
}

#[tokio::test]
async fn a_manifest_that_cannot_be_read_keeps_its_repository() {
    let schema1 = Bytes::from_static(br#"{"schemaVersion":1,"fsLayers":[]}"#);
    for damage in [
        Some(Bytes::from_static(b"dama")),
        Some(Bytes::new()),
        Some(schema1),
        None,
    ] {
        for delete_untagged in [false, true] {
            let store = MemoryDriver::new();
            let registry = registry(&store);
            let (a, b) = (name("a"), name("b"));
            let damaged = push_image(&registry, &a, "damaged", None).await;
            let other = push_image(&registry, &a, "other", None).await;
            let blob = sha256(b"blob");
            push_blob(&registry, &a, b"blob", &blob).await.unwrap();
            push_blob(&registry, &b, b"elsewhere", &sha256(b"elsewhere"))
                .await
                .unwrap();
            let hex = damaged.hex();
            let data = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
            let data = Key::new(&data).unwrap();
            match &damage {
                Some(bytes) => store.put(&data, bytes.clone()).await.unwrap(),
                None => assert!(store.try_delete(&data).await.unwrap()),
            }
            let findings = collect(&registry, delete_untagged).await.unwrap();
            assert!(findings.contains(&Finding::Unreadable(a.clone(), damaged.clone())));
            pull_whole(&registry, &a, Reference::Digest(other)).await;
            assert_eq!(pull_blob(&registry, &a, &blob).await.unwrap(), "blob");
            let layer = sha256(b"layer of damaged");
            assert_eq!(
                pull_blob(&registry, &a, &layer).await.unwrap(),
                "layer of damaged"
            );
            let link =
                format!("docker/registry/v2/repositories/a/_manifests/revisions/sha256/{hex}/link");
            assert!(tree(&store).await.contains_key(&link));
            let gone = pull_blob(&registry, &b, &sha256(b"elsewhere")).await;
            assert!(matches!(gone, Err(Error::BlobUnknown(_))));
        }
    }
}

#[tokio::test]
async fn a_dry_run_and_a_grace_age_delete_nothing() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let a = name("a");
    push_image(&registry, &a, "untagged", None).await;
    push_blob(&registry, &a, b"lost", &sha256(b"lost"))
        .await
        .unwrap();
    let before = tree(&store).await;
    let findings = collect_older(&registry, true, Duration::from_secs(3600))
        .await
        .unwrap();
    assert_eq!(tree(&store).await, before);
    let eligible = |finding: &Finding| {
        matches!(
            finding,
            Finding::BlobEligible(_) | Finding::ManifestEligible(..)
        )
    };
    assert!(!findings.iter().any(eligible));
    let options = CollectOptions {
        dry_run: true,
        delete_untagged: true,
        grace: Duration::ZERO,
    };
    let summary = registry
        .collect_garbage(options, &mut |_| ())
        .await
        .unwrap();
    assert_eq!(
        summary,
        Summary {
            marked: 0,
            blobs: 4,
            manifests: 1
        }
    );
    assert_eq!(tree(&store).await, before);
}

#[tokio::test]
async fn an_upload_under_way_is_finished_after_a_collection() {
    let registry = registry(&MemoryDriver::new());
    let a = name("a");
    let uploads = registry.repository(&a).uploads();
    let id = uploads.begin().await.unwrap().id;
    let mut upload = uploads.open(&id).await.unwrap();
    upload.append(body(b"first "), None).await.unwrap();
    upload.checkpoint().await.unwrap();
    drop(upload);
    collect(&registry, true).await.unwrap();
    let mut upload = uploads.open(&id).await.unwrap();
    upload.append(body(b"second"), None).await.unwrap();
    upload.finish(&sha256(b"first second")).await.unwrap();
}

#[tokio::test]
async fn the_empty_blob_and_the_empty_object_stay_as_long_as_they_are_needed() {
    let store = MemoryDriver::new();
    let registry = registry(&store);
    let (a, b) = (name("a"), name("b"));
    let (object, empty) = (sha256(b"{}"), sha256(b""));
    for name in [&a, &b] {
        push_blob(&registry, name, b"{}", &object).await.unwrap();
        push_blob(&registry, name, b"", &empty).await.unwrap();
        let image = image(&object, std::slice::from_ref(&empty), None);
        push_manifest(&registry, name, tag("t"), &image)
            .await
            .unwrap();
    }
    let delete = async |name: &RepositoryName| {
        let digest = registry
            .repository(name)
            .manifests()
            .pull(&tag("t"))
            .await
            .unwrap()
            .digest;
        registry
            .repository(name)
            .manifests()
            .delete(&digest)
            .await
            .unwrap();
        collect(&registry, true).await.unwrap();
    };
    delete(&a).await;
    pull_whole(&registry, &b, tag("t")).await;
    delete(&b).await;
    assert_eq!(stored_blobs(&store).await, []);
}
