//! How many requests an operation makes, and which: they are what latency and S3's bill come of.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use bytes::Bytes;
use roadstead_storage::{
    ByteRange, Driver, DriverExt, Key, ListOptions, Recipient, Write, WriteMode,
};
use roadstead_storage_s3::{Config, S3Driver};
use support::Folder;
use support::proxy::Proxy;

const MIB: usize = 1024 * 1024;

struct Counted {
    proxy: Proxy,
    driver: S3Driver,
    config: Config,
}

impl Counted {
    /// A driver whose probe is over.
    async fn new() -> Option<Self> {
        let folder = Folder::new().await?;
        let proxy = Proxy::new(folder.url).await;
        let config = Config {
            endpoint: Some(proxy.url.clone()),
            ..folder.config()
        };
        let driver = S3Driver::new(config.clone()).unwrap();
        let write = Write {
            mode: WriteMode::CreateNew,
            ..file("first", "")
        };
        driver.write(&[write]).await.unwrap();
        let requests = proxy.requests();
        let expected = [
            "PutObject",
            "PutObject",
            "PutObject",
            "DeleteObject",
            "DeleteObject",
            "PutObject",
        ];
        assert_eq!(requests, expected, "the probe, and the write itself");
        Some(Self {
            proxy,
            driver,
            config,
        })
    }

    fn requests(&self) -> String {
        self.proxy.requests().join(" ")
    }
}

macro_rules! counted {
    () => {
        match Counted::new().await {
            Some(counted) => counted,
            None => return,
        }
    };
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn file(path: &str, content: &str) -> Write {
    Write {
        key: key(path),
        content: Bytes::copy_from_slice(content.as_bytes()),
        mode: WriteMode::Overwrite,
    }
}

fn bytes(size: usize) -> Bytes {
    Bytes::from(vec![7; size])
}

#[tokio::test]
async fn reading_and_writing_are_one_request_each() {
    let s3 = counted!();
    let writes = [file("p/a", "content"), file("p/b", "")];
    s3.driver.write(&writes).await.unwrap();
    assert_eq!(s3.requests(), "PutObject PutObject");
    s3.driver.get(&key("p/a"), 100).await.unwrap();
    assert_eq!(s3.requests(), "GetObject");
    s3.driver.stat(&key("p/a")).await.unwrap();
    assert_eq!(s3.requests(), "HeadObject");
    s3.driver.stat(&key("p")).await.unwrap();
    assert_eq!(s3.requests(), "HeadObject ListObjectsV2");
    let range = ByteRange {
        offset: 2,
        length: Some(3),
    };
    s3.driver.read(&key("p/a"), range).await.unwrap();
    assert_eq!(s3.requests(), "GetObject");
    s3.driver.try_get(&key("p/c"), 100).await.unwrap();
    assert_eq!(s3.requests(), "GetObject");
    s3.driver
        .signer()
        .unwrap()
        .sign(&key("p/a"), &Recipient::default())
        .await
        .unwrap();
    assert_eq!(s3.requests(), "", "signing asks nobody");
}

#[tokio::test]
async fn a_page_of_names_is_one_request_and_one_for_each_ambiguous_name() {
    let s3 = counted!();
    let tags: Vec<_> = (0..1200).map(|n| format!("tags/v{n:04}/x")).collect();
    let mut writes: Vec<_> = tags.iter().map(|path| file(path, "")).collect();
    writes.extend((0..1100).map(|n| file(&format!("dotted/v1.{n:04}/x"), "")));
    writes.push(file("dotted/v1/x", ""));
    s3.driver.write(&writes).await.unwrap();
    s3.requests();
    let page = async |prefix: &str, after, limit| {
        let options = ListOptions { after, limit };
        s3.driver.list(&key(prefix), options).await.unwrap()
    };
    assert_eq!(page("tags", None, 100).await.len(), 100);
    assert_eq!(s3.requests(), "ListObjectsV2");
    assert_eq!(page("tags", Some("v0999"), 100).await.len(), 100);
    assert_eq!(s3.requests(), "ListObjectsV2");
    assert_eq!(page("tags", None, usize::MAX).await.len(), 1200);
    assert_eq!(s3.requests(), "ListObjectsV2 ListObjectsV2");
    // `v1/` is on the second page of S3 and comes first all the same.
    assert_eq!(page("dotted", None, 1).await[0].name, "v1");
    assert_eq!(s3.requests(), "ListObjectsV2 ListObjectsV2");
}

#[tokio::test]
async fn a_small_upload_is_one_request_until_it_is_renamed() {
    let s3 = counted!();
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    assert_eq!(s3.requests(), "GetObject");
    upload.append(&[bytes(9 * MIB)]).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(s3.requests(), "PutObject");
    s3.driver
        .rename(&key("u/1/data"), &key("blobs/1/data"))
        .await
        .unwrap();
    assert_eq!(s3.requests(), "CopyObject DeleteObject");
    let gone = s3.driver.try_delete(&key("u/1")).await.unwrap();
    assert!(!gone);
    assert_eq!(s3.requests(), "ListObjectsV2 HeadObject");
}

#[tokio::test]
async fn an_upload_becomes_content_elsewhere_by_two_requests_or_three() {
    let s3 = counted!();
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
        s3.requests();
        let mut upload = s3.driver.upload(&path).await.unwrap();
        upload.commit_as(&to).await.unwrap();
        upload.cancel().await.unwrap();
        assert_eq!(s3.requests(), expected);
        let stat = s3.driver.try_stat(&to).await.unwrap().unwrap();
        assert_eq!(stat.size, size as u64);
        s3.requests();
    }
}

#[tokio::test]
async fn a_small_chunk_is_two_requests_and_a_commit_after_it_one() {
    let s3 = counted!();
    for size in [3, 5, 4 * MIB] {
        let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
        upload.append(&[bytes(size)]).await.unwrap();
        upload.sync().await.unwrap();
        upload.sync().await.unwrap();
        assert_eq!(s3.requests(), "GetObject PutObject");
    }
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(s3.requests(), "GetObject");
}

#[tokio::test]
async fn a_large_upload_is_one_request_for_each_part_and_a_few_more() {
    let s3 = counted!();
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    for _ in 0..4 {
        upload.append(&[bytes(8 * MIB)]).await.unwrap();
    }
    upload.sync().await.unwrap();
    let mut requests: Vec<_> = s3.proxy.requests();
    requests[3..].sort();
    assert_eq!(
        requests.join(" "),
        "GetObject PutObject CreateMultipartUpload PutObject UploadPart UploadPart UploadPart UploadPart",
        "three parts, and what is left as the last one"
    );
    drop(upload);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    assert_eq!(s3.requests(), "GetObject");
    upload.append(&[bytes(3)]).await.unwrap();
    upload.sync().await.unwrap();
    assert_eq!(s3.requests(), "UploadPart PutObject");
    drop(upload);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(s3.requests(), "GetObject CompleteMultipartUpload");
    s3.driver.rename(&key("u/1/data"), &key("b")).await.unwrap();
    // What is larger than 32 MiB is copied in parts of that.
    assert_eq!(
        s3.requests(),
        "CreateMultipartUpload UploadPartCopy UploadPartCopy CompleteMultipartUpload DeleteObject"
    );
    let stat = s3.driver.try_stat(&key("b")).await.unwrap().unwrap();
    assert_eq!(stat.size, 32 * MIB as u64 + 3);
}

#[tokio::test]
async fn a_large_object_is_copied_in_parts() {
    let s3 = counted!();
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
    s3.requests();
    driver.rename(&key("a"), &key("b")).await.unwrap();
    assert_eq!(
        s3.requests(),
        "HeadObject CreateMultipartUpload UploadPartCopy UploadPartCopy UploadPartCopy CompleteMultipartUpload DeleteObject"
    );
    assert!(driver.get(&key("b"), u64::MAX).await.unwrap() == content);
}

#[tokio::test]
async fn deleting_what_is_small_is_two_requests() {
    let s3 = counted!();
    let tag = "r/_manifests/tags/t";
    let writes = [
        file(&format!("{tag}/current/link"), "1"),
        file(&format!("{tag}/index/sha256/1/link"), "1"),
    ];
    s3.driver.write(&writes).await.unwrap();
    s3.requests();
    s3.driver.delete(&key(tag)).await.unwrap();
    assert_eq!(s3.requests(), "ListObjectsV2 DeleteObjects");
    s3.driver.write(&[file("u/1/startedat", "")]).await.unwrap();
    s3.requests();
    s3.driver.delete(&key("u/1")).await.unwrap();
    assert_eq!(
        s3.requests(),
        "ListMultipartUploads ListObjectsV2 DeleteObjects"
    );
}
