//! How many requests an operation makes, and which: they are what latency and S3's bill come of.

mod support;

use bytes::Bytes;
use roadstead_storage::{ByteRange, Driver, DriverExt, ListOptions, Recipient, Write, WriteMode};
use roadstead_storage_s3::{Config, S3Driver};
use support::proxied::{MIB, Proxied, bytes, key, or_skip};

/// A driver whose probe is over.
async fn counted() -> Option<Proxied> {
    let s3 = Proxied::new(|_| ()).await?.probed().await;
    let expected = [
        "PutObject",
        "PutObject",
        "PutObject",
        "DeleteObject",
        "DeleteObject",
        "PutObject",
    ];
    let requests = s3.proxy.requests();
    assert_eq!(requests, expected, "the probe, and the write itself");
    Some(s3)
}

fn requests(s3: &Proxied) -> String {
    s3.proxy.requests().join(" ")
}

fn file(path: &str, content: &str) -> Write {
    Write {
        key: key(path),
        content: Bytes::copy_from_slice(content.as_bytes()),
        mode: WriteMode::Overwrite,
    }
}

#[tokio::test]
async fn reading_and_writing_are_one_request_each() {
    let s3 = or_skip!(counted().await);
    let writes = [file("p/a", "content"), file("p/b", "")];
    s3.driver.write(&writes).await.unwrap();
    assert_eq!(requests(&s3), "PutObject PutObject");
    s3.driver.get(&key("p/a"), 100).await.unwrap();
    assert_eq!(requests(&s3), "GetObject");
    s3.driver.stat(&key("p/a")).await.unwrap();
    assert_eq!(requests(&s3), "HeadObject");
    s3.driver.stat(&key("p")).await.unwrap();
    assert_eq!(requests(&s3), "HeadObject ListObjectsV2");
    let range = ByteRange {
        offset: 2,
        length: Some(3),
    };
    s3.driver.read(&key("p/a"), range).await.unwrap();
    assert_eq!(requests(&s3), "GetObject");
    s3.driver.try_get(&key("p/c"), 100).await.unwrap();
    assert_eq!(requests(&s3), "GetObject");
    s3.driver
        .signer()
        .unwrap()
        .sign(&key("p/a"), &Recipient::default())
        .await
        .unwrap();
    assert_eq!(requests(&s3), "", "signing asks nobody");
}

#[tokio::test]
async fn a_page_of_names_is_one_request_and_one_for_each_ambiguous_name() {
    let s3 = or_skip!(counted().await);
    let tags: Vec<_> = (0..1200).map(|n| format!("tags/v{n:04}/x")).collect();
    let mut writes: Vec<_> = tags.iter().map(|path| file(path, "")).collect();
    writes.extend((0..1100).map(|n| file(&format!("dotted/v1.{n:04}/x"), "")));
    writes.push(file("dotted/v1/x", ""));
    s3.driver.write(&writes).await.unwrap();
    requests(&s3);
    let page = async |prefix: &str, after, limit| {
        let options = ListOptions { after, limit };
        s3.driver.list(&key(prefix), options).await.unwrap()
    };
    assert_eq!(page("tags", None, 100).await.len(), 100);
    assert_eq!(requests(&s3), "ListObjectsV2");
    assert_eq!(page("tags", Some("v0999"), 100).await.len(), 100);
    assert_eq!(requests(&s3), "ListObjectsV2");
    assert_eq!(page("tags", None, usize::MAX).await.len(), 1200);
    assert_eq!(requests(&s3), "ListObjectsV2 ListObjectsV2");
    // `v1/` is on the second page of S3 and comes first all the same.
    assert_eq!(page("dotted", None, 1).await[0].name, "v1");
    assert_eq!(requests(&s3), "ListObjectsV2 ListObjectsV2");
}

#[tokio::test]
async fn a_small_upload_is_one_request_until_it_is_renamed() {
    let s3 = or_skip!(counted().await);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    assert_eq!(requests(&s3), "GetObject");
    upload.append(&[bytes(9 * MIB)]).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(requests(&s3), "PutObject");
    s3.driver
        .rename(&key("u/1/data"), &key("blobs/1/data"))
        .await
        .unwrap();
    assert_eq!(requests(&s3), "CopyObject DeleteObject");
    let gone = s3.driver.try_delete(&key("u/1")).await.unwrap();
    assert!(!gone);
    assert_eq!(requests(&s3), "ListObjectsV2 HeadObject");
}

#[tokio::test]
async fn an_upload_becomes_content_elsewhere_by_two_requests_or_three() {
    let s3 = or_skip!(counted().await);
    let (path, to) = (key("u/1/data"), key("blobs/1/data"));
    for (size, expected) in [
        (0, "GetObject PutObject DeleteObject"),
        (9 * MIB, "GetObject PutObject DeleteObject"),
        (
            23 * MIB,
            "GetObject CompleteMultipartUpload CopyObject DeleteObject",
        ),
    ] {
        let mut upload = s3.driver.upload(&path).await.unwrap();
        upload.append(&[bytes(size)]).await.unwrap();
        upload.sync().await.unwrap();
        drop(upload);
        requests(&s3);
        let mut upload = s3.driver.upload(&path).await.unwrap();
        upload.commit_as(&to).await.unwrap();
        upload.cancel().await.unwrap();
        assert_eq!(requests(&s3), expected);
        let stat = s3.driver.try_stat(&to).await.unwrap().unwrap();
        assert_eq!(stat.size, size as u64);
        requests(&s3);
    }
}

#[tokio::test]
async fn a_small_chunk_is_two_requests_and_a_commit_after_it_one() {
    let s3 = or_skip!(counted().await);
    for size in [3, 5, 4 * MIB] {
        let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
        upload.append(&[bytes(size)]).await.unwrap();
        upload.sync().await.unwrap();
        upload.sync().await.unwrap();
        assert_eq!(requests(&s3), "GetObject PutObject");
    }
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(requests(&s3), "GetObject");
}

#[tokio::test]
async fn a_large_upload_is_one_request_for_each_part_and_a_few_more() {
    let s3 = or_skip!(counted().await);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    for _ in 0..4 {
        upload.append(&[bytes(8 * MIB)]).await.unwrap();
    }
    upload.sync().await.unwrap();
    let mut made = s3.proxy.requests();
    made[3..].sort();
    assert_eq!(
        made.join(" "),
        "GetObject PutObject CreateMultipartUpload PutObject UploadPart UploadPart UploadPart UploadPart",
        "three parts, and what is left as the last one"
    );
    drop(upload);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    assert_eq!(requests(&s3), "GetObject");
    upload.append(&[bytes(3)]).await.unwrap();
    upload.sync().await.unwrap();
    assert_eq!(requests(&s3), "UploadPart PutObject");
    drop(upload);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(requests(&s3), "GetObject CompleteMultipartUpload");
    s3.driver.rename(&key("u/1/data"), &key("b")).await.unwrap();
    // What is larger than 32 MiB is copied in parts of that.
    assert_eq!(
        requests(&s3),
        "CreateMultipartUpload UploadPartCopy UploadPartCopy CompleteMultipartUpload DeleteObject"
    );
    let stat = s3.driver.try_stat(&key("b")).await.unwrap().unwrap();
    assert_eq!(stat.size, 32 * MIB as u64 + 3);
}

#[tokio::test]
async fn a_large_object_is_copied_in_parts() {
    let s3 = or_skip!(counted().await);
    let config = Config {
        copy_threshold: 5 * MIB as u64,
        copy_chunk_size: 5 * MIB as u64,
        ..s3.config.clone()
    };
    let driver = S3Driver::new(config).unwrap();
    let content: Bytes = (0..11 * MIB).map(|at| (at >> 8) as u8).collect();
    let write = Write {
        content: content.clone(),
        ..file("a", "")
    };
    driver.write(&[write]).await.unwrap();
    requests(&s3);
    driver.rename(&key("a"), &key("b")).await.unwrap();
    assert_eq!(
        requests(&s3),
        "HeadObject CreateMultipartUpload UploadPartCopy UploadPartCopy UploadPartCopy CompleteMultipartUpload DeleteObject"
    );
    assert!(driver.get(&key("b"), u64::MAX).await.unwrap() == content);
}

#[tokio::test]
async fn deleting_what_is_small_is_two_requests() {
    let s3 = or_skip!(counted().await);
    let tag = "r/_manifests/tags/t";
    let writes = [
        file(&format!("{tag}/current/link"), "1"),
        file(&format!("{tag}/index/sha256/1/link"), "1"),
    ];
    s3.driver.write(&writes).await.unwrap();
    requests(&s3);
    s3.driver.delete(&key(tag)).await.unwrap();
    assert_eq!(requests(&s3), "ListObjectsV2 DeleteObjects");
    s3.driver.write(&[file("u/1/startedat", "")]).await.unwrap();
    requests(&s3);
    s3.driver.delete(&key("u/1")).await.unwrap();
    assert_eq!(
        requests(&s3),
        "ListMultipartUploads ListObjectsV2 DeleteObjects"
    );
}
