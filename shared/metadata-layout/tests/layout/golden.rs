//! The tree of files after a push, key by key and byte by byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use roadstead_metadata::{HashState, LinkStore, ManifestStore, TagStore, UploadStore};
use roadstead_oci::{Algorithm, Digester};
use roadstead_storage::MemoryDriver;

use crate::kit::{image, layout, name, push_blob, push_of, record, session, tree};

const LAYER: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const LAYER_512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

fn files(files: &[(String, &[u8])]) -> BTreeMap<String, Bytes> {
    let file = |(path, content): &(String, &[u8])| (path.clone(), Bytes::copy_from_slice(content));
    files.iter().map(file).collect()
}

#[tokio::test]
async fn a_pushed_image_is_the_files_that_distribution_writes() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let name = name("library/app");
    push_blob(&driver, &layout, &session(&name, "one"), b"abc", None)
        .await
        .unwrap();
    let image = image("config", None);
    let digest = record(&layout, &name, &image, &["1.0", "latest"]).await;
    let hex = digest.hex();
    let link = digest.as_str().as_bytes();
    let layer = format!("sha256:{LAYER}");
    let manifests = "repositories/library/app/_manifests";
    let expected = files(&[
        (format!("blobs/sha256/ba/{LAYER}/data"), b"abc"),
        (format!("blobs/sha256/{}/{hex}/data", &hex[..2]), &image),
        (
            format!("repositories/library/app/_layers/sha256/{LAYER}/link"),
            layer.as_bytes(),
        ),
        (format!("{manifests}/revisions/sha256/{hex}/link"), link),
        (format!("{manifests}/tags/1.0/current/link"), link),
        (
            format!("{manifests}/tags/1.0/index/sha256/{hex}/link"),
            link,
        ),
        (format!("{manifests}/tags/latest/current/link"), link),
        (
            format!("{manifests}/tags/latest/index/sha256/{hex}/link"),
            link,
        ),
    ]);
    assert_eq!(tree(&driver).await, expected);
}

#[tokio::test]
async fn a_tag_that_moves_remembers_what_it_pointed_to() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let name = name("a");
    let old = record(&layout, &name, &image("old", None), &["t"]).await;
    let new = record(&layout, &name, &image("new", None), &["t"]).await;
    let tree = tree(&driver).await;
    let tag = "repositories/a/_manifests/tags/t";
    assert_eq!(tree[&format!("{tag}/current/link")], new.as_str());
    for digest in [old, new] {
        assert_eq!(
            tree[&format!("{tag}/index/sha256/{}/link", digest.hex())],
            digest.as_str()
        );
    }
}

#[tokio::test]
async fn a_name_by_another_algorithm_is_a_link_that_holds_the_canonical_digest() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    let alias = format!("sha512:{LAYER_512}").parse().unwrap();
    let layer = push_blob(&driver, &layout, &session(&a, "one"), b"abc", Some(&alias))
        .await
        .unwrap();
    let image = image("config", None);
    let mut push = push_of(&a, &image, &[]);
    let named = Digester::digest(Algorithm::Sha512, &image);
    push.alias = Some(named.clone());
    layout.record(&push).await.unwrap();
    let digest = push.manifest.digest;
    let hex = digest.hex();
    let expected = files(&[
        (format!("blobs/sha256/ba/{LAYER}/data"), b"abc"),
        (format!("blobs/sha256/{}/{hex}/data", &hex[..2]), &image),
        (
            format!("repositories/a/_layers/sha256/{LAYER}/link"),
            layer.as_str().as_bytes(),
        ),
        (
            format!("repositories/a/_layers/sha512/{LAYER_512}/link"),
            layer.as_str().as_bytes(),
        ),
        (
            format!("repositories/a/_manifests/revisions/sha256/{hex}/link"),
            digest.as_str().as_bytes(),
        ),
        (
            format!(
                "repositories/a/_manifests/revisions/sha512/{}/link",
                named.hex()
            ),
            digest.as_str().as_bytes(),
        ),
    ]);
    assert_eq!(tree(&driver).await, expected);
    assert_eq!(layout.linked(&a, &alias).await.unwrap(), Some(layer));
    assert_eq!(layout.revision(&a, &named).await.unwrap(), Some(digest));
}

#[tokio::test]
async fn an_upload_under_way_is_the_files_that_distribution_writes() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    let session = session(&a, "5f2d2c0c-0000-4000-8000-000000000000");
    layout.begin(&session).await.unwrap();
    let mut digester = Digester::new(Algorithm::Sha256);
    digester.update(b"abc");
    let state = digester.state().unwrap();
    let kept = HashState {
        offset: 3,
        state,
        identity: None,
    };
    layout.save_hash_state(&session, &kept).await.unwrap();
    let upload = "repositories/a/_uploads/5f2d2c0c-0000-4000-8000-000000000000";
    let expected = files(&[
        (format!("{upload}/startedat"), b"2026-11-18T11:06:40Z"),
        (format!("{upload}/hashstates/sha256/3"), &state),
    ]);
    assert_eq!(tree(&driver).await, expected);
    assert_eq!(
        layout.upload_location(&session),
        format!("docker/registry/v2/{upload}/data")
    );
    layout.end(&a, &session.id).await.unwrap();
    assert_eq!(tree(&driver).await, BTreeMap::new());
}

#[tokio::test]
async fn what_a_deletion_leaves_is_what_was_there_before_the_push() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    let subject = record(&layout, &a, &image("subject", None), &["s"]).await;
    let before = tree(&driver).await;
    let referrer = image("referrer", Some(&subject));
    let digest = record(&layout, &a, &referrer, &["t", "u"]).await;
    let mut tags = layout
        .delete_manifest(&a, &digest, Some(&subject))
        .await
        .unwrap();
    tags.sort();
    assert_eq!(tags, ["t".parse().unwrap(), "u".parse().unwrap()]);
    let mut left = tree(&driver).await;
    left.retain(|path, _| !path.contains(digest.hex()) || !path.starts_with("blobs/"));
    assert_eq!(left, before);
    assert!(layout.delete_tag(&a, &"s".parse().unwrap()).await.unwrap());
    assert!(!layout.delete_tag(&a, &"s".parse().unwrap()).await.unwrap());
}
