//! The same with uploads whose bytes carry what is to be known of them, as over a bucket.

use bytes::Bytes;
use roadstead_registry::Error;
use roadstead_storage::{Driver, Key, MemoryDriver, Write, WriteMode};

use crate::kit::{body, name, registry, sha256, tree};

#[path = "faults.rs"]
mod faults;
#[path = "races.rs"]
mod races;
#[path = "uploads.rs"]
mod uploads;

fn store() -> MemoryDriver {
    MemoryDriver::with_notes()
}

/// The files of an upload that Distribution, or a driver without notes, has begun.
async fn put_record(store: &MemoryDriver) {
    let upload = "docker/registry/v2/repositories/a/_uploads/0-1";
    for (file, content) in [
        ("startedat", "2020-01-01T00:00:00Z"),
        ("hashstates/sha256/0", ""),
    ] {
        let write = Write {
            key: Key::new(&format!("{upload}/{file}")).unwrap(),
            content: Bytes::from_static(content.as_bytes()),
            mode: WriteMode::Overwrite,
        };
        store.write(&[write]).await.unwrap();
    }
}

#[tokio::test]
async fn an_upload_of_which_files_tell_goes_on_and_ends_by_them() {
    let (a, digest) = (name("a"), sha256(b"content"));
    let store = store();
    let uploads_of = registry(&store);
    let uploads = uploads_of.repository(&a).uploads();
    put_record(&store).await;
    for chunk in [&b"con"[..], b"tent"] {
        let mut upload = uploads.open("0-1").await.unwrap();
        upload.append(body(chunk), None).await.unwrap();
        upload.checkpoint().await.unwrap();
    }
    let upload = uploads.open("0-1").await.unwrap();
    upload.finish(&digest).await.unwrap();
    for end in ["cancel", "purge"] {
        put_record(&store).await;
        match end {
            "cancel" => uploads.open("0-1").await.unwrap().cancel().await.unwrap(),
            _ => {
                let age = std::time::Duration::from_secs(3600);
                let purged = uploads_of.purge_uploads(age, false).await.unwrap();
                assert_eq!(purged.deleted, 1);
            }
        }
        let unknown = uploads.open("0-1").await;
        assert!(matches!(unknown, Err(Error::UploadUnknown)), "{unknown:?}");
        let left = tree(&store).await.into_keys();
        let left: Vec<String> = left.filter(|key| key.contains("_uploads")).collect();
        assert_eq!(left, Vec::<String>::new(), "{end}");
    }
}

/// A crash after the blob is linked leaves the upload: the client, which was told nothing, ends it
/// once more.
#[tokio::test]
async fn an_upload_that_was_finished_and_not_forgotten_can_be_finished_again() {
    use crate::drivers::{Troubled, When};
    let (a, digest) = (name("a"), sha256(b"content"));
    let mut failures = 0;
    for at in 1..20 {
        let store = store();
        let whole = registry(&store);
        let uploads = whole.repository(&a).uploads();
        let id = uploads.begin().await.unwrap().id;
        let mut upload = uploads.open(&id).await.unwrap();
        upload.append(body(b"content"), None).await.unwrap();
        upload.checkpoint().await.unwrap();
        drop(upload);
        let failing = registry(&Troubled::failing(&store, at, When::Before));
        let finished = async {
            let upload = failing.repository(&a).uploads().open(&id).await?;
            upload.finish(&digest).await
        };
        if finished.await.is_err() {
            failures += 1;
            let upload = uploads.open(&id).await.unwrap();
            upload.finish(&digest).await.unwrap();
        }
        let left = tree(&store).await.into_keys();
        assert!(left.filter(|key| key.contains("_uploads")).count() == 0);
        whole.repository(&a).blobs().stat(&digest).await.unwrap();
    }
    assert_eq!(failures, 4, "open, blob, link, delete");
}
