//! Encryption, ACL and storage class stand on the requests that make objects, and on no others.
//!
//! S3 takes them when an object is begun (`PutObject`, `CopyObject`, `CreateMultipartUpload`).
//! Parts go by what their multipart upload was begun with; `UploadPart`, `UploadPartCopy` and
//! `CompleteMultipartUpload` know these headers for keys of the customer's own only.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use roadstead_storage::{ByteRange, Driver, DriverExt, Key, ListOptions, Write, WriteMode};
use roadstead_storage_s3::{Config, Encryption, S3Driver};
use support::Folder;
use support::proxy::{Head, Proxy};

const MIB: usize = 1024 * 1024;

const SSE: &str = "x-amz-server-side-encryption";
const KMS_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const ACL: &str = "x-amz-acl";
const CLASS: &str = "x-amz-storage-class";

/// What makes an object.
const MAKERS: [&str; 3] = ["PutObject", "CopyObject", "CreateMultipartUpload"];

const NAMES: [&str; 10] = [
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateMultipartUpload",
    "DeleteObject",
    "GetObject",
    "HeadObject",
    "ListObjectsV2",
    "PutObject",
    "UploadPart",
    "UploadPartCopy",
];

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

/// Every kind of request, each upload in the hands of several processes one after the other.
async fn heads(change: impl Fn(&mut Config)) -> Option<Vec<Head>> {
    let folder = Folder::new().await?;
    let proxy = Proxy::new(folder.url).await;
    let process = || {
        let mut config = Config {
            endpoint: Some(proxy.url.clone()),
            copy_threshold: 8 * MIB as u64,
            ..folder.config()
        };
        change(&mut config);
        S3Driver::new(config).unwrap()
    };
    for (name, pieces) in [("small", [2, 2, 2]), ("large", [6, 6, 1])] {
        let path = key(&format!("u/{name}/data"));
        for piece in pieces {
            let mut upload = process().upload(&path).await.unwrap();
            let piece = Bytes::from(vec![1; piece * MIB]);
            upload.append(&[piece]).await.unwrap();
            upload.sync().await.unwrap();
        }
        let driver = process();
        let mut upload = driver.upload(&path).await.unwrap();
        upload.commit().await.unwrap();
        drop(upload);
        driver.rename(&path, &key(name)).await.unwrap();
    }
    let driver = process();
    let write = Write {
        key: key("link"),
        content: Bytes::from_static(b"content"),
        mode: WriteMode::CreateNew,
    };
    driver.write(&[write]).await.unwrap();
    driver.stat(&key("link")).await.unwrap();
    driver.read(&key("link"), ByteRange::ALL).await.unwrap();
    driver.list(&Key::root(), ListOptions::ALL).await.unwrap();
    driver.try_delete(&key("link")).await.unwrap();
    let heads = proxy.heads();
    let names: BTreeSet<&str> = heads.iter().map(|head| head.name.as_str()).collect();
    for name in NAMES {
        assert!(names.contains(name), "no {name} in {names:?}");
    }
    Some(heads)
}

/// Makers bear `expected` and nothing else of the four, but the driver's own objects no ACL; others nothing
/// of them.
fn check(heads: &[Head], expected: &[(&str, &str)]) {
    for head in heads {
        let makes = MAKERS.contains(&head.name.as_str());
        for header in [SSE, KMS_KEY, ACL, CLASS] {
            let bears = makes && !(header == ACL && head.is_own());
            let value = expected.iter().find(|(name, _)| *name == header && bears);
            let value = value.map(|(_, value)| (*value).to_owned());
            assert_eq!(head.header(header), value, "{header} of {}", head.name);
        }
    }
}

#[tokio::test]
async fn by_default_only_the_storage_class_is_told() {
    let Some(heads) = heads(|_| {}).await else {
        return;
    };
    check(&heads, &[(CLASS, "STANDARD")]);
}

#[tokio::test]
async fn a_store_that_knows_no_classes_is_told_nothing() {
    let nothing = |config: &mut Config| {
        config.storage_class = "NONE".parse().unwrap();
        config.acl = "private".parse().unwrap();
    };
    let Some(heads) = heads(nothing).await else {
        return;
    };
    check(&heads, &[]);
}

#[tokio::test]
async fn whatever_makes_an_object_encrypts_it_with_the_keys_of_s3() {
    let encrypted = |config: &mut Config| {
        config.encryption = Encryption::new(true, None);
        config.acl = "bucket-owner-full-control".parse().unwrap();
        config.storage_class = "STANDARD_IA".parse().unwrap();
    };
    let Some(heads) = heads(encrypted).await else {
        return;
    };
    let expected = [
        (SSE, "AES256"),
        (ACL, "bucket-owner-full-control"),
        (CLASS, "STANDARD_IA"),
    ];
    check(&heads, &expected);
}

#[tokio::test]
async fn the_drivers_own_objects_bear_no_acl() {
    let Some(folder) = Folder::new().await else {
        return;
    };
    let proxy = Proxy::new(folder.url).await;
    let config = Config {
        endpoint: Some(proxy.url.clone()),
        acl: "bucket-owner-full-control".parse().unwrap(),
        ..folder.config()
    };
    let driver = S3Driver::new(config).unwrap();
    support::read_what_signs_memos(&driver).await;
    let put = Write {
        key: key("link"),
        content: Bytes::from_static(b"content"),
        mode: WriteMode::Overwrite,
    };
    driver.write(&[put]).await.unwrap();
    let heads = proxy.heads();
    let made = heads.iter().filter(|head| head.name == "PutObject");
    let (own, others): (Vec<_>, Vec<_>) = made.partition(|head| head.is_own());
    assert!(!own.is_empty() && !others.is_empty(), "{heads:?}");
    check(
        &heads,
        &[(ACL, "bucket-owner-full-control"), (CLASS, "STANDARD")],
    );
}

#[tokio::test]
async fn whatever_makes_an_object_encrypts_it_with_the_key_of_kms() {
    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/3f1d3d3c-3e64-4b5c-8f59-9d6a1c2b7e10";
    let encrypted = |config: &mut Config| {
        config.encryption = Encryption::new(true, Some(KEY.to_owned()));
    };
    let Some(heads) = heads(encrypted).await else {
        return;
    };
    let expected = [(SSE, "aws:kms"), (KMS_KEY, KEY), (CLASS, "STANDARD")];
    check(&heads, &expected);
}
