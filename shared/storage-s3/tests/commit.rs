//! Uploads in parts that are ended: by what the client brings along, by what lies in the bucket, and
//! by several processes at the same time.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::{Algorithm, Digest, Digester, RepositoryName};
use roadstead_registry::{Error, OpenUpload, Policy, Registry};
use roadstead_storage::{Driver, DriverExt, Key, Write, WriteMode};
use roadstead_storage_s3::{Config, Encryption, Patience, S3Driver};
use support::Folder;
use support::proxy::{Fate, Proxy};

const MIB: usize = 1024 * 1024;

/// A process with a registry, and a proxy of its own before the store.
struct Process {
    proxy: Proxy,
    driver: Arc<dyn Driver>,
    registry: Registry,
}

impl Process {
    async fn new(folder: &Folder) -> Self {
        Self::with(folder, true).await
    }

    async fn with(folder: &Folder, conditions: bool) -> Self {
        Self::of(folder.config(), conditions).await
    }

    /// One whose probe of the store is over, and has found `conditions` on writes or none.
    async fn of(config: Config, conditions: bool) -> Self {
        let proxy = Proxy::new(config.endpoint.as_deref().unwrap()).await;
        let config = Config {
            endpoint: Some(proxy.url.clone()),
            patience: Patience {
                attempts: 2,
                pause: Duration::from_millis(5),
                ..Patience::default()
            },
            ..config
        };
        let driver: Arc<dyn Driver> = Arc::new(S3Driver::new(config).unwrap());
        let first = Write {
            key: Key::new("first").unwrap(),
            content: Bytes::new(),
            mode: WriteMode::CreateNew,
        };
        let mut puts = 0;
        proxy.rule(move |request| {
            puts += usize::from(request == "PutObject");
            match request == "PutObject" && matches!(puts, 2 | 3) && !conditions {
                true => Fate::Fail(501, "NotImplemented"),
                false => Fate::Pass,
            }
        });
        driver.write(&[first]).await.unwrap_or_default();
        proxy.rule(|_| Fate::Pass);
        support::read_what_signs_memos(&*driver).await;
        let layout = Arc::new(Layout::new(Arc::clone(&driver), Options::default()));
        let registry = Registry::new(layout, Arc::clone(&driver), Policy::default());
        proxy.requests();
        Self {
            proxy,
            driver,
            registry,
        }
    }

    async fn begin(&self) -> String {
        let name = name();
        let uploads = self.registry.repository(&name).uploads();
        uploads.begin().await.unwrap().id
    }

    /// The memo of the upload then.
    async fn patch(&self, id: &str, content: &Bytes) -> Option<String> {
        let name = name();
        let uploads = self.registry.repository(&name).uploads();
        let mut upload = uploads.open(id).await.unwrap();
        append(&mut upload, content).await;
        upload.checkpoint().await.unwrap();
        upload.memo().await
    }

    /// The same, where there is one.
    async fn patched(&self, id: &str, content: &Bytes) -> String {
        self.patch(id, content).await.unwrap()
    }

    async fn finish(&self, id: &str, digest: &Digest) -> Result<(), Error> {
        let name = name();
        let uploads = self.registry.repository(&name).uploads();
        uploads.open(id).await?.finish(digest).await
    }

    async fn finish_by_memo(&self, id: &str, memo: &str, digest: &Digest) -> bool {
        let name = name();
        let uploads = self.registry.repository(&name).uploads();
        uploads.finish_by_memo(id, memo, digest).await.unwrap()
    }

    /// Its content, when there is a blob of this digest at all.
    async fn blob(&self, digest: &Digest) -> Option<Bytes> {
        self.driver.try_get(&blob(digest), u64::MAX).await.unwrap()
    }
}

/// Where the content of a blob lies.
fn blob(digest: &Digest) -> Key {
    let hex = digest.hex();
    let key = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    Key::new(&key).unwrap()
}

fn name() -> RepositoryName {
    "a/b".parse().unwrap()
}

async fn append(upload: &mut OpenUpload<'_>, content: &Bytes) {
    let body = stream::iter([Ok(content.clone())]);
    upload.append(body, None).await.unwrap();
}

/// Bytes that differ from place to place and from one seed to the other.
fn pattern(size: usize, seed: usize) -> Bytes {
    (0..size)
        .map(|at| (at ^ (at >> 9) ^ (at >> 18) ^ (seed * 37)) as u8)
        .collect()
}

fn sha256(contents: &[&Bytes]) -> Digest {
    let mut digester = Digester::new(Algorithm::Sha256);
    contents.iter().for_each(|content| digester.update(content));
    digester.finish()
}

macro_rules! folder {
    () => {
        match Folder::new().await {
            Some(folder) => folder,
            None => return,
        }
    };
}

/// The bytes of a `PATCH` that are two parts, and their digest.
fn layer() -> (Bytes, Digest) {
    let content = pattern(12 * MIB, 1);
    let digest = sha256(&[&content]);
    (content, digest)
}

#[tokio::test]
async fn whoever_has_the_memo_ends_the_upload_by_four_requests() {
    let folder = folder!();
    let (content, digest) = layer();
    for is_another in [false, true] {
        let process = Process::new(&folder).await;
        let id = process.begin().await;
        let memo = process.patched(&id, &content).await;
        let process = match is_another {
            true => Process::new(&folder).await,
            false => process,
        };
        process.proxy.requests();
        assert!(process.finish_by_memo(&id, &memo, &digest).await);
        assert_eq!(
            process.proxy.requests().join(" "),
            "CompleteMultipartUpload CopyObject PutObject DeleteObject"
        );
        assert!(process.blob(&digest).await.unwrap() == content);
        assert!(!process.finish_by_memo(&id, &memo, &digest).await);
        assert!(matches!(
            process.finish(&id, &digest).await,
            Err(Error::UploadUnknown)
        ));
        process.driver.delete(&blob(&digest)).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_only_in_a_memo() {
    let folder = folder!();
    let (content, digest) = layer();
    let process = Process::new(&folder).await;
    let id = process.begin().await;
    process.patched(&id, &content).await;
    process.proxy.requests();
    process.finish(&id, &digest).await.unwrap();
    assert_eq!(
        process.proxy.requests().join(" "),
        "GetObject CompleteMultipartUpload CopyObject PutObject DeleteObject"
    );
    assert!(process.blob(&digest).await.unwrap() == content);
}

/// A memo is what lies in the bucket: of an upload that is small, or has bytes beyond that, there is
/// none, nor of one of more parts than a URL has room for.
#[tokio::test]
async fn what_a_memo_does_not_say_whole_it_does_not_say() {
    let folder = folder!();
    let process = Process::new(&folder).await;
    let id = process.begin().await;
    assert_eq!(process.patch(&id, &pattern(5, 1)).await, None);
    process.patched(&id, &pattern(12 * MIB, 1)).await;
    let name = name();
    let uploads = process.registry.repository(&name).uploads();
    let mut upload = uploads.open(&id).await.unwrap();
    assert!(upload.memo().await.is_some());
    append(&mut upload, &pattern(5, 2)).await;
    assert_eq!(upload.memo().await, None);
    drop(upload);
    let config = Config {
        chunk_size: 5 * MIB as u64,
        ..folder.config()
    };
    let process = Process::of(config, true).await;
    let id = process.begin().await;
    assert_eq!(process.patch(&id, &pattern(200 * MIB, 1)).await, None);
}

#[tokio::test]
async fn a_memo_is_not_believed_once_another_process_went_on() {
    let folder = folder!();
    let (content, digest) = layer();
    for conditions in [true, false] {
        let [one, other] = [(); 2].map(|()| Process::with(&folder, conditions));
        let (one, other) = (one.await, other.await);
        for rest in [pattern(5, 2), pattern(11 * MIB, 2)] {
            let what = format!("{} bytes, conditions: {conditions}", rest.len());
            let whole = sha256(&[&content, &rest]);
            let id = one.begin().await;
            let memo = one.patched(&id, &content).await;
            other.patch(&id, &rest).await;
            assert!(!one.finish_by_memo(&id, &memo, &digest).await, "{what}");
            assert!(!one.finish_by_memo(&id, &memo, &whole).await, "{what}");
            assert!(one.blob(&digest).await.is_none(), "{what}");
            one.finish(&id, &whole).await.unwrap();
            let stored = one.blob(&whole).await.unwrap();
            assert!(stored == [&content[..], &rest[..]].concat(), "{what}");
            // Another upload of the same blob is to be stored by what follows, not by this.
            one.driver.delete(&blob(&whole)).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_memo_is_not_believed_once_another_process_ended_the_upload() {
    let folder = folder!();
    let (content, digest) = layer();
    let (one, other) = (Process::new(&folder).await, Process::new(&folder).await);
    let id = one.begin().await;
    let memo = one.patched(&id, &content).await;
    other.finish(&id, &digest).await.unwrap();
    assert!(!one.finish_by_memo(&id, &memo, &digest).await);
    assert!(one.blob(&digest).await.unwrap() == content);

    let id = one.begin().await;
    let memo = one.patched(&id, &content).await;
    let name = name();
    let uploads = other.registry.repository(&name).uploads();
    uploads.open(&id).await.unwrap().cancel().await.unwrap();
    assert!(!one.finish_by_memo(&id, &memo, &digest).await);
    let gone = one.finish(&id, &digest).await;
    assert!(matches!(gone, Err(Error::UploadUnknown)), "{gone:?}");
    assert_eq!(folder.multiparts().await, [""; 0]);
}

/// What S3 does not do by one request above 5 GiB, here from 5 MiB on; `benches/large.py` does it at
/// that size.
#[tokio::test]
async fn a_layer_above_what_one_request_copies_is_copied_in_parts() {
    let folder = folder!();
    let config = || Config {
        chunk_size: 5 * MIB as u64,
        copy_threshold: 5 * MIB as u64,
        copy_chunk_size: 7 * MIB as u64,
        ..folder.config()
    };
    let (one, other) = (Process::of(config(), true), Process::of(config(), true));
    let (one, other) = (one.await, other.await);
    let content = pattern(31 * MIB + 5, 3);
    let digest = sha256(&[&content]);
    let id = one.begin().await;
    one.patch(&id, &content.slice(..17 * MIB)).await;
    let memo = other.patched(&id, &content.slice(17 * MIB..)).await;
    other.proxy.requests();
    assert!(other.finish_by_memo(&id, &memo, &digest).await);
    let requests = other.proxy.requests();
    let count = |name: &str| requests.iter().filter(|request| *request == name).count();
    assert_eq!(count("CopyObject"), 0);
    assert_eq!(count("UploadPartCopy"), 5);
    assert!(one.blob(&digest).await.unwrap() == content);
    assert_eq!(folder.multiparts().await, [""; 0]);
}

/// AWS answers the second request like the first one, Swift that there is no such upload.
#[tokio::test]
async fn an_answer_that_is_lost_costs_nobody_an_upload() {
    let (Some(of_one), Some(of_other)) = (Folder::new().await, Folder::in_swift().await) else {
        return;
    };
    let (content, digest) = layer();
    for folder in [of_one, of_other] {
        for request in ["CompleteMultipartUpload", "CopyObject", "DeleteObject"] {
            let process = Process::new(&folder).await;
            let id = process.begin().await;
            let memo = process.patched(&id, &content).await;
            process.proxy.harm(request, 1, || Fate::LoseAnswer);
            let known = process.finish_by_memo(&id, &memo, &digest).await;
            assert!(known, "{request}, {}", folder.url);
            assert!(process.blob(&digest).await.unwrap() == content);
            process.driver.delete(&blob(&digest)).await.unwrap();
        }
    }
}

/// S3 answers a second request to join parts as it has answered the first one, whatever the parts
/// and conditions, and others that there is no such upload: that another process has joined others
/// must show in that answer, or in the object.
#[tokio::test]
async fn parts_that_another_process_has_joined_are_not_taken_for_these() {
    let folder = folder!();
    let (one, other) = (Process::new(&folder).await, Process::new(&folder).await);
    for (size, is_gone) in [(5, false), (11 * MIB, false), (5, true), (11 * MIB, true)] {
        let (first, rest) = (pattern(12 * MIB, 1), pattern(size, 2));
        let id = one.begin().await;
        one.patch(&id, &first).await;
        let name = name();
        let held = one.registry.repository(&name).uploads().open(&id).await;
        other.patch(&id, &rest).await;
        // Parts are joined, and what they have become is not deleted yet.
        let down = || Fate::Fail(503, "SlowDown");
        other.proxy.harm("DeleteObject", 99, down);
        let upload = other.registry.repository(&name).uploads().open(&id).await;
        let whole = sha256(&[&first, &rest]);
        upload.unwrap().finish(&whole).await.unwrap_err();
        other.proxy.rule(|_| Fate::Pass);
        if is_gone {
            let gone = || Fate::Fail(404, "NoSuchUpload");
            one.proxy.harm("CompleteMultipartUpload", 1, gone);
        }
        let part = sha256(&[&first]);
        let finished = held.unwrap().finish(&part).await;
        assert!(matches!(finished, Err(Error::UploadBusy)), "{finished:?}");
        assert!(
            one.blob(&part).await.is_none(),
            "other bytes under a digest"
        );
        assert!(one.blob(&whole).await.unwrap().len() == first.len() + rest.len());
    }
}

/// Where `ETag`s are no digests nothing can be seen in them; that is found out once.
#[tokio::test]
async fn a_store_whose_etags_say_nothing_is_believed() {
    let folder = folder!();
    let process = Process::new(&folder).await;
    let content = pattern(12 * MIB, 1);
    let opaque = || Fate::Replace("</ETag>", "opaque</ETag>");
    process.proxy.harm("CompleteMultipartUpload", 99, opaque);
    let probe = "CreateMultipartUpload UploadPart CompleteMultipartUpload DeleteObject";
    for (id, probed) in [("1", format!(" {probe}")), ("2", String::new())] {
        let key = Key::new(&format!("uploads/{id}")).unwrap();
        let mut upload = process.driver.upload_apart(&key).await.unwrap();
        upload.append(std::slice::from_ref(&content)).await.unwrap();
        upload.sync().await.unwrap();
        process.proxy.requests();
        let apart = upload.commit_apart().await.unwrap();
        assert!(apart.is_certain);
        let requests = process.proxy.requests().join(" ");
        assert_eq!(requests, format!("CompleteMultipartUpload{probed}"));
        let stored = process.driver.get(&apart.key, u64::MAX).await.unwrap();
        assert!(stored == content);
    }
}

/// What KMS has encrypted has no digest for an `ETag`: no memo is believed that could not be
/// compared then.
#[tokio::test]
async fn what_kms_encrypts_is_asked_for_before_it_is_ended() {
    let folder = folder!();
    let config = Config {
        encryption: Encryption::Kms("alias/aws/s3".to_owned()),
        ..folder.config()
    };
    let process = Process::of(config, true).await;
    let (content, digest) = layer();
    let id = process.begin().await;
    let memo = process.patched(&id, &content).await;
    process.proxy.requests();
    assert!(!process.finish_by_memo(&id, &memo, &digest).await);
    process.finish(&id, &digest).await.unwrap();
    assert_eq!(
        process.proxy.requests().join(" "),
        "GetObject CompleteMultipartUpload CopyObject PutObject DeleteObject"
    );
    assert!(process.blob(&digest).await.unwrap() == content);
}

/// A rule of the bucket may abort multipart uploads: only who has read what lies at the key begins
/// anew over it.
#[tokio::test]
async fn what_is_in_a_memo_and_no_longer_in_parts_is_left_to_who_reads_it() {
    let folder = folder!();
    let process = Process::new(&folder).await;
    let (content, digest) = layer();
    let id = process.begin().await;
    let memo = process.patched(&id, &content).await;
    process.proxy.requests();
    let gone = || Fate::Fail(404, "NoSuchUpload");
    process.proxy.harm("CompleteMultipartUpload", 99, gone);
    assert!(!process.finish_by_memo(&id, &memo, &digest).await);
    let requests = process.proxy.requests();
    assert!(!requests.contains(&"PutObject".to_owned()), "{requests:?}");
    process.proxy.rule(|_| Fate::Pass);
    process.finish(&id, &digest).await.unwrap();
    assert!(process.blob(&digest).await.unwrap() == content);
}
