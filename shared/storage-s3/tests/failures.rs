//! What becomes of an upload of which a step has failed, or that another process has gone on with.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use roadstead_storage::{Driver, DriverExt, Error, WriteMode};
use roadstead_storage_s3::Config;
use support::proxied::{MIB, Proxied, bytes, is_outage, key, or_skip, quick, write};
use support::proxy::Fate;

const PATH: &str = "u/1/data";

async fn unprobed() -> Option<Proxied> {
    let change = |config: &mut Config| config.patience = quick();
    Proxied::new(change).await
}

async fn probed() -> Option<Proxied> {
    Some(unprobed().await?.probed().await)
}

fn slow_down() -> Fate {
    Fate::Fail(503, "SlowDown")
}

fn is_busy<T>(result: &Result<T, Error>) -> bool {
    matches!(result, Err(Error::Busy(_)))
}

/// A process begins a multipart upload and does not live to note its id.
async fn leave_stray(s3: &Proxied) {
    s3.proxy.harm("UploadPart", usize::MAX, slow_down);
    let mut upload = s3.driver.upload(&key(PATH)).await.unwrap();
    upload.append(&[bytes(11 * MIB)]).await.unwrap();
    assert!(is_outage(upload.sync().await));
    drop(upload);
    s3.proxy.rule(|_| Fate::Pass);
    assert_eq!(s3.folder.multiparts().await.len(), 1);
}

/// What failed may be a part in the middle: what comes after it would close a gap of lost bytes.
#[tokio::test]
async fn an_upload_that_failed_takes_nothing_more_and_is_gone_on_with_from_its_last_sync() {
    let s3 = or_skip!(probed().await);
    let mut upload = s3.uploaded(PATH, 11 * MIB).await;
    s3.proxy.harm("UploadPart", usize::MAX, slow_down);
    upload.append(&[bytes(11 * MIB)]).await.unwrap();
    assert!(is_outage(upload.sync().await));
    s3.proxy.rule(|_| Fate::Pass);
    assert!(is_outage(upload.append(&[bytes(5)]).await));
    assert!(is_outage(upload.sync().await));
    assert!(is_outage(upload.commit().await));
    assert!(is_outage(upload.commit_as(&key("blob")).await));
    drop(upload);
    let mut upload = s3.driver.upload(&key(PATH)).await.unwrap();
    assert_eq!(upload.size(), 11 * MIB as u64);
    upload.cancel().await.unwrap();
}

#[tokio::test]
async fn cancelling_deletes_what_a_request_without_an_answer_has_made() {
    let s3 = or_skip!(probed().await);
    let mut puts = 0;
    s3.proxy.rule(move |request| {
        puts += usize::from(request == "PutObject");
        match (request, puts) {
            ("PutObject", 1) => Fate::LoseAnswer,
            ("PutObject", _) => slow_down(),
            _ => Fate::Pass,
        }
    });
    let mut upload = s3.driver.upload(&key(PATH)).await.unwrap();
    upload.append(&[bytes(5)]).await.unwrap();
    assert!(is_outage(upload.sync().await));
    assert_eq!(s3.folder.objects().await, ["probed", PATH]);
    upload.cancel().await.unwrap();
    assert_eq!(s3.folder.objects().await, ["probed"]);
}

/// AWS answers 404 to `If-Match` where there is no object.
#[tokio::test]
async fn an_upload_that_another_process_cancelled_is_busy_and_no_outage() {
    let s3 = or_skip!(probed().await);
    let mut upload = s3.uploaded(PATH, 5).await;
    let mut other = s3.other().upload(&key(PATH)).await.unwrap();
    other.cancel().await.unwrap();
    let gone = || Fate::Fail(404, "NoSuchKey");
    s3.proxy.harm("PutObject", 1, gone);
    upload.append(&[bytes(5)]).await.unwrap();
    let sync = upload.sync().await;
    assert!(is_busy(&sync), "{sync:?}");
}

#[tokio::test]
async fn a_move_that_failed_is_made_of_what_is_there_when_it_is_made_again() {
    let s3 = or_skip!(probed().await);
    let (path, to) = (key(PATH), key("blob"));
    let mut upload = s3.uploaded(PATH, 5).await;
    upload.commit().await.unwrap();
    let other = write(PATH, "other content", WriteMode::Overwrite);
    s3.other().write(&[other]).await.unwrap();
    let moved = s3.driver.rename(&path, &to).await;
    assert!(is_busy(&moved), "{moved:?}");
    assert_eq!(s3.driver.try_stat(&to).await.unwrap(), None);
    s3.driver.rename(&path, &to).await.unwrap();
    assert_eq!(s3.driver.get(&to, 99).await.unwrap(), "other content");
}

#[tokio::test]
async fn an_upload_whose_parts_another_process_has_joined_is_not_begun_anew() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    let mut upload = s3.driver.upload_apart(path).await.unwrap();
    upload.append(&[bytes(11 * MIB)]).await.unwrap();
    upload.sync().await.unwrap();
    let mut other = s3.other().upload_apart(path).await.unwrap();
    let apart = other.commit_apart().await.unwrap();
    drop(other);
    upload.append(&[bytes(11 * MIB)]).await.unwrap();
    let sync = upload.sync().await;
    assert!(is_busy(&sync), "{sync:?}");
    drop(upload);
    // Whoever comes next finds what was joined.
    let mut next = s3.driver.upload_apart(path).await.unwrap();
    assert_eq!(next.size(), 11 * MIB as u64);
    assert_eq!(next.commit_apart().await.unwrap().key, apart.key);
}

/// Of two processes in a store that ignores conditions one can still see the other's object.
#[tokio::test]
async fn an_upload_is_not_begun_anew_over_what_another_process_has_stored() {
    let s3 = or_skip!(unprobed().await);
    s3.proxy.rule(|_| Fate::Unconditional);
    let path = &key(PATH);
    let mut upload = s3.uploaded(PATH, 11 * MIB).await;
    let mut other = s3.other().upload(path).await.unwrap();
    other.commit().await.unwrap();
    drop(other);
    upload.append(&[bytes(11 * MIB)]).await.unwrap();
    assert!(is_outage(upload.sync().await));
    let stat = s3.driver.try_stat(path).await.unwrap().unwrap();
    assert_eq!(stat.size, 11 * MIB as u64);
}

/// A rule of the bucket may have aborted the multipart upload.
#[tokio::test]
async fn an_upload_whose_parts_are_gone_begins_anew() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    for request in ["UploadPart", "CompleteMultipartUpload"] {
        let mut upload = s3.uploaded(PATH, 11 * MIB).await;
        let gone = || Fate::Fail(404, "NoSuchUpload");
        s3.proxy.harm(request, usize::MAX, gone);
        let outcome = match request {
            "UploadPart" => {
                upload.append(&[bytes(11 * MIB)]).await.unwrap();
                upload.sync().await
            }
            _ => upload.commit().await,
        };
        assert!(is_outage(outcome), "{request}");
        drop(upload);
        s3.proxy.rule(|_| Fate::Pass);
        let mut upload = s3.driver.upload(path).await.unwrap();
        assert_eq!(upload.size(), 0, "{request}");
        upload.cancel().await.unwrap();
    }
}

/// Who ends the upload and deletes its folder aborts what was never noted, however the upload came
/// into its hands.
#[tokio::test]
async fn a_multipart_upload_that_nobody_noted_does_not_outlive_its_upload() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    for end in ["recalled", "resumed", "committed before"] {
        let noted = s3.driver.noted_uploads().unwrap();
        noted.begin(path, "note").await.unwrap();
        leave_stray(&s3).await;
        let mut upload = s3.uploaded(PATH, 11 * MIB).await;
        let memo = upload.memo().await.unwrap();
        if end == "committed before" {
            upload.commit().await.unwrap();
        }
        drop(upload);
        let other = s3.other();
        let driver = match end {
            "recalled" => &s3.driver,
            _ => &other,
        };
        let mut upload = match end {
            "recalled" => driver
                .noted_uploads()
                .unwrap()
                .recall(path, &memo)
                .await
                .unwrap(),
            _ => driver.upload(path).await.unwrap(),
        };
        upload.commit().await.unwrap();
        driver.delete(&path.parent().unwrap()).await.unwrap();
        drop(upload);
        assert_eq!(s3.folder.multiparts().await, [""; 0], "{end}");
        let mut objects = s3.folder.objects().await;
        objects.retain(|name| name != ".roadstead-memos");
        assert_eq!(objects, ["probed"], "{end}");
    }
}

#[tokio::test]
async fn an_upload_that_is_recalled_takes_no_bytes_and_ends_once() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    let noted = s3.driver.noted_uploads().unwrap();
    for is_cancelled in [true, false] {
        noted.begin(path, "note").await.unwrap();
        let memo = s3.uploaded(PATH, 11 * MIB).await.memo().await.unwrap();
        let mut upload = noted.recall(path, &memo).await.unwrap();
        assert!(is_outage(upload.append(&[bytes(5)]).await));
        drop(upload);
        let mut upload = s3.uploaded(PATH, 11 * MIB).await;
        assert_eq!(upload.size(), 22 * MIB as u64);
        assert!(
            noted.recall(path, &memo).await.is_none(),
            "someone has hold of it"
        );
        match is_cancelled {
            true => upload.cancel().await.unwrap(),
            false => upload.commit().await.unwrap(),
        }
        drop(upload);
        let commit = noted.recall(path, &memo).await.unwrap().commit().await;
        assert!(is_busy(&commit), "{commit:?}");
        assert!(noted.recall(path, "no memo").await.is_none());
    }
}

/// A memo says which digest the bytes have: one that is not the very one that a registry of this
/// bucket has given, for this upload, is none.
#[tokio::test]
async fn a_memo_that_somebody_made_up_is_none() {
    let s3 = or_skip!(probed().await);
    let other = Proxied::new(|_| ()).await.unwrap().probed().await;
    let path = &key(PATH);
    let noted = s3.driver.noted_uploads().unwrap();
    noted.begin(path, "note").await.unwrap();
    let memo = s3.uploaded(PATH, 11 * MIB).await.memo().await.unwrap();
    for at in 0..memo.len() {
        let mut forged = memo.clone().into_bytes();
        forged[at] ^= 1;
        let forged = String::from_utf8(forged).unwrap();
        assert!(noted.recall(path, &forged).await.is_none(), "{at}");
    }
    assert!(noted.recall(path, &memo[1..]).await.is_none());
    assert!(noted.recall(&key("uploads/2/data"), &memo).await.is_none());
    let elsewhere = other.driver.noted_uploads().unwrap();
    assert!(elsewhere.recall(path, &memo).await.is_none());
    let another = s3.other();
    let another = another.noted_uploads().unwrap();
    assert!(another.recall(path, &memo).await.is_some());
}

/// Memos only save a request: what signs them is not asked for again at once, nor missed.
#[tokio::test]
async fn what_cannot_be_signed_is_read_where_it_lies() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    let noted = s3.driver.noted_uploads().unwrap();
    noted.begin(path, "note").await.unwrap();
    let upload = s3.uploaded(PATH, 11 * MIB).await;
    s3.proxy.harm("GetObject", usize::MAX, slow_down);
    assert_eq!(upload.memo().await, None);
    s3.proxy.rule(|_| Fate::Pass);
    s3.proxy.requests();
    assert_eq!(upload.memo().await, None);
    drop(upload);
    let other = s3.other();
    let memo = other.upload(path).await.unwrap().memo().await.unwrap();
    assert!(noted.recall(path, &memo).await.is_none());
    assert_eq!(s3.proxy.requests(), [""; 0]);
    let upload = s3.driver.upload(path).await.unwrap();
    assert_eq!(upload.size(), 11 * MIB as u64);
}

/// That `ETag`s say nothing may show only in the answer that was to be compared.
#[tokio::test]
async fn what_a_memo_says_is_not_ended_by_an_answer_that_says_nothing() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    let noted = s3.driver.noted_uploads().unwrap();
    noted.begin(path, "note").await.unwrap();
    let memo = s3.uploaded(PATH, 11 * MIB).await.memo().await.unwrap();
    let opaque = || Fate::Replace("</ETag>", "opaque</ETag>");
    s3.proxy.harm("CompleteMultipartUpload", usize::MAX, opaque);
    let mut upload = noted.recall(path, &memo).await.unwrap();
    let commit = upload.commit().await;
    assert!(is_busy(&commit), "{commit:?}");
    drop(upload);
    let mut upload = s3.driver.upload(path).await.unwrap();
    assert_eq!(upload.size(), 11 * MIB as u64);
    upload.commit().await.unwrap();
}

/// What comes after the noted parts goes under the number of the last one.
#[tokio::test]
async fn a_last_part_that_a_dead_process_has_replaced_is_sent_again() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    drop(s3.uploaded(PATH, 11 * MIB).await);
    s3.proxy.harm("PutObject", usize::MAX, slow_down);
    let mut dead = s3.driver.upload(path).await.unwrap();
    dead.append(&[vec![8; 11 * MIB].into()]).await.unwrap();
    assert!(is_outage(dead.sync().await));
    drop(dead);
    let other = s3.other();
    let mut upload = other.upload(path).await.unwrap();
    upload.commit().await.unwrap();
    let stored = other.get(path, u64::MAX).await.unwrap();
    assert!(stored == bytes(11 * MIB));
}

/// The bytes that the other one was answered for are not lost.
#[tokio::test]
async fn parts_are_not_joined_over_what_another_process_has_added() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    let mut upload = s3.uploaded(PATH, 11 * MIB).await;
    let other = s3.other();
    let mut added = other.upload(path).await.unwrap();
    added.append(&[bytes(11 * MIB)]).await.unwrap();
    added.sync().await.unwrap();
    drop(added);
    let commit = upload.commit().await;
    assert!(is_busy(&commit), "{commit:?}");
    let mut added = other.upload(path).await.unwrap();
    assert_eq!(added.size(), 22 * MIB as u64);
    added.commit().await.unwrap();
}

#[tokio::test]
async fn an_upload_apart_is_told_by_its_identity_from_another_of_the_same_bytes() {
    let s3 = or_skip!(probed().await);
    let path = &key(PATH);
    let mut identities = Vec::new();
    for _ in 0..2 {
        let mut upload = s3.driver.upload_apart(path).await.unwrap();
        upload.append(&[bytes(5)]).await.unwrap();
        upload.sync().await.unwrap();
        let identity = upload.identity();
        drop(upload);
        let mut upload = s3.other().upload_apart(path).await.unwrap();
        assert_eq!(upload.identity(), identity);
        upload.cancel().await.unwrap();
        identities.push(identity);
    }
    assert_ne!(identities[0], identities[1]);
}

#[tokio::test]
async fn cancelling_gets_over_a_multipart_upload_that_is_gone() {
    let s3 = or_skip!(probed().await);
    let mut upload = s3.uploaded(PATH, 11 * MIB).await;
    s3.proxy
        .harm("AbortMultipartUpload", 1, || Fate::LoseAnswer);
    upload.cancel().await.unwrap();
    assert_eq!(s3.folder.multiparts().await, [""; 0]);
    assert_eq!(s3.folder.objects().await, ["probed"]);
}

#[tokio::test]
async fn an_upload_is_not_committed_apart_unless_it_was_opened_for_that() {
    let s3 = or_skip!(probed().await);
    let mut upload = s3.uploaded(PATH, 5).await;
    assert!(is_outage(upload.commit_apart().await));
    assert_eq!(s3.folder.objects().await, ["probed", PATH]);
}

#[tokio::test]
async fn an_upload_that_another_process_took_away_before_the_copy_is_busy_and_no_outage() {
    let s3 = or_skip!(probed().await);
    let mut upload = s3.uploaded(PATH, 11 * MIB).await;
    let gone = || Fate::Fail(404, "NoSuchKey");
    s3.proxy.harm("CopyObject", 1, gone);
    let commit = upload.commit_as(&key("blob")).await;
    assert!(is_busy(&commit), "{commit:?}");
}
