//! Answers that a store seldom gives, and what the driver makes of them.

mod support;

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::future::join;
use roadstead_storage::{ByteRange, Driver, DriverExt, Error, Key, ListOptions, Write, WriteMode};
use roadstead_storage_s3::Config;
use support::BUCKET;
use support::proxied::{MIB, Proxied, aside, bytes, is_outage, key, or_skip, quick};
use support::proxy::Fate;
use tokio::time::timeout;

/// Much longer than anything takes here: what ends by it would not have ended.
const LONG: Duration = Duration::from_secs(60);

/// A driver that has made no request yet and copies by parts from 5 MiB on.
async fn unprobed() -> Option<Proxied> {
    let change = |config: &mut Config| {
        config.copy_threshold = 5 * MIB as u64;
        config.copy_chunk_size = 5 * MIB as u64;
        config.patience = quick();
    };
    Proxied::new(change).await
}

/// One that has found out what conditions are worth.
async fn probed() -> Option<Proxied> {
    Some(unprobed().await?.probed().await)
}

#[tokio::test]
async fn a_store_that_does_not_look_at_conditions_is_looked_at_before_a_creation() {
    let s3 = or_skip!(unprobed().await);
    s3.proxy.rule(|_| Fate::Unconditional);
    s3.create("a", "first").await.unwrap();
    let again = s3.create("a", "second").await;
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
    assert_eq!(s3.driver.get(&key("a"), 99).await.unwrap(), "first");
    let (one, other) = join(s3.create("b", "one"), s3.create("b", "other")).await;
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    // A look that fails says nothing.
    s3.proxy
        .harm("HeadObject", 99, || Fate::Fail(503, "SlowDown"));
    assert!(is_outage(s3.create("c", "lost").await));
    s3.proxy.rule(|_| Fate::Unconditional);
    assert_eq!(s3.driver.try_stat(&key("c")).await.unwrap(), None);
    // Parts are not joined under a condition that nobody looks at.
    let mut upload = s3.uploaded("u/1/data", 11 * MIB).await;
    upload.commit().await.unwrap();
    assert!(!s3.last_had("CompleteMultipartUpload", "if-match"));
}

#[tokio::test]
async fn an_outage_during_the_probe_says_nothing_about_conditions() {
    let s3 = or_skip!(unprobed().await);
    let mut puts = 0;
    s3.proxy.rule(move |request| {
        puts += usize::from(request == "PutObject");
        match request == "PutObject" && (2..=4).contains(&puts) {
            true => Fate::Fail(503, "SlowDown"),
            false => Fate::Pass,
        }
    });
    assert!(is_outage(s3.create("a", "first").await));
    s3.create("a", "first").await.unwrap();
    assert!(s3.last_had("PutObject", "if-none-match"));
    assert_eq!(s3.folder.objects().await, ["a"]);
}

/// AWS answers 409 to one of two that write at the same time, whichever condition it has.
#[tokio::test]
async fn a_request_that_met_another_is_made_again() {
    let s3 = or_skip!(probed().await);
    let conflict = || Fate::Fail(409, "ConditionalRequestConflict");
    s3.proxy.harm("PutObject", 2, conflict);
    s3.create("a", "content").await.unwrap();
    let mut upload = s3.uploaded("u/1/data", 11 * MIB).await;
    s3.proxy.harm("CompleteMultipartUpload", 2, conflict);
    upload.commit().await.unwrap();
    s3.proxy.harm("PutObject", 99, conflict);
    let busy = timeout(LONG, s3.create("b", "content")).await.unwrap();
    assert!(matches!(busy, Err(Error::Busy(_))), "{busy:?}");
}

#[tokio::test]
async fn parts_are_joined_without_a_condition_where_that_is_not_known() {
    let s3 = or_skip!(probed().await);
    let mut upload = s3.uploaded("u/1/data", 11 * MIB).await;
    let unknown = || Fate::Fail(501, "NotImplemented");
    s3.proxy.harm("CompleteMultipartUpload", 1, unknown);
    upload.commit().await.unwrap();
    let stat = s3.driver.try_stat(&key("u/1/data")).await.unwrap();
    assert_eq!(stat.unwrap().size, 11 * MIB as u64);
}

#[tokio::test]
async fn a_deletion_that_is_too_late_deletes_nothing_and_is_no_outage() {
    let s3 = or_skip!(probed().await);
    s3.create("a", "content").await.unwrap();
    let seen = s3.driver.try_stat(&key("a")).await.unwrap().unwrap();
    for (status, code) in [
        (412, "PreconditionFailed"),
        (409, "ConditionalRequestConflict"),
        (404, "NoSuchKey"),
    ] {
        s3.proxy
            .harm("DeleteObject", 1, move || Fate::Fail(status, code));
        let deleted = s3.driver.delete_if(&key("a"), &seen).await;
        assert!(!deleted.unwrap(), "{code}");
    }
    s3.proxy
        .harm("DeleteObject", 99, || Fate::Fail(503, "SlowDown"));
    assert!(is_outage(s3.driver.delete_if(&key("a"), &seen).await));
}

#[tokio::test]
async fn an_upload_under_way_is_no_content_to_delete_or_to_move() {
    let s3 = or_skip!(probed().await);
    let path = key("u/1/data");
    drop(s3.uploaded("u/1/data", 11 * MIB).await);
    let seen = s3.driver.try_stat(&path).await.unwrap().unwrap();
    assert!(!s3.driver.delete_if(&path, &seen).await.unwrap());
    let moved = s3.driver.rename(&path, &key("b")).await;
    assert!(matches!(moved, Err(Error::NotFound(_))), "{moved:?}");
    let mut upload = s3.driver.upload(&path).await.unwrap();
    assert_eq!(upload.size(), 11 * MIB as u64);
    upload.cancel().await.unwrap();
}

#[tokio::test]
async fn a_list_without_an_end_or_without_its_names_is_an_outage() {
    let s3 = or_skip!(probed().await);
    s3.create("p/a", "content").await.unwrap();
    let endless = || {
        Fate::Replace(
            "<IsTruncated>false</IsTruncated>",
            "<IsTruncated>true</IsTruncated><NextContinuationToken>x</NextContinuationToken>",
        )
    };
    s3.proxy.harm("ListObjectsV2", usize::MAX, endless);
    let prefix = key("p");
    let list = timeout(LONG, s3.driver.list(&prefix, ListOptions::ALL)).await;
    assert!(is_outage(list.unwrap()));
    s3.proxy.harm("ListObjectsV2", 99, || {
        Fate::Replace("Contents>", "Others>")
    });
    assert!(is_outage(s3.driver.stat(&prefix).await));
}

#[tokio::test]
async fn a_copy_in_parts_is_of_one_object_and_leaves_nothing_when_it_fails() {
    let s3 = or_skip!(probed().await);
    let (from, to) = (key("u/1/data"), key("b"));
    let mut upload = s3.uploaded("u/1/data", 12 * MIB).await;
    upload.commit().await.unwrap();
    drop(upload);
    s3.proxy
        .harm("UploadPartCopy", 99, || Fate::Fail(503, "SlowDown"));
    assert!(is_outage(s3.driver.rename(&from, &to).await));
    assert_eq!(s3.folder.multiparts().await, [""; 0]);
    // An upload that is gone has become another object.
    s3.create("b", "other").await.unwrap();
    let gone = || Fate::Fail(404, "NoSuchUpload");
    s3.proxy.harm("CompleteMultipartUpload", 1, gone);
    assert!(is_outage(s3.driver.rename(&from, &to).await));
    assert_eq!(s3.driver.get(&to, 99).await.unwrap(), "other");
    let mut joins = 0;
    s3.proxy.rule(move |request| {
        joins += usize::from(request == "CompleteMultipartUpload");
        match (request, joins) {
            ("CompleteMultipartUpload", 1) => Fate::LoseAnswer,
            ("CompleteMultipartUpload", _) => Fate::Fail(404, "NoSuchUpload"),
            _ => Fate::Pass,
        }
    });
    s3.driver.rename(&from, &to).await.unwrap();
    assert!(s3.last_had("UploadPartCopy", "x-amz-copy-source-if-match"));
    let stat = s3.driver.try_stat(&to).await.unwrap().unwrap();
    assert_eq!(stat.size, 12 * MIB as u64);
    assert_eq!(s3.driver.try_stat(&from).await.unwrap(), None);
}

#[tokio::test]
async fn a_body_that_broke_off_is_not_gone_on_with_by_another_object() {
    let s3 = or_skip!(probed().await);
    let path = key("a");
    let put = |byte: u8| Write {
        key: key("a"),
        content: Bytes::from(vec![byte; MIB]),
        mode: WriteMode::Overwrite,
    };
    s3.driver.write(&[put(1)]).await.unwrap();
    let (mut reads, mut other) = (0, Some(s3.folder.driver()));
    s3.proxy.rule(move |request| {
        reads += usize::from(request == "GetObject");
        if reads == 2
            && let Some(driver) = other.take()
        {
            let newer = put(2);
            aside(async move { driver.write(&[newer]).await.unwrap() });
        }
        match reads {
            1 if request == "GetObject" => Fate::CutBody(MIB / 2),
            _ => Fate::Pass,
        }
    });
    assert!(is_outage(s3.driver.get(&path, u64::MAX).await));
    assert!(s3.driver.get(&path, u64::MAX).await.unwrap() == vec![2; MIB]);
}

#[tokio::test]
async fn a_range_that_the_store_refuses_is_not_taken_for_no_bytes() {
    let s3 = or_skip!(probed().await);
    s3.create("a", "content").await.unwrap();
    s3.proxy
        .harm("GetObject", 99, || Fate::Fail(416, "InvalidRange"));
    let range = ByteRange {
        offset: 2,
        length: Some(3),
    };
    assert!(is_outage(s3.driver.read(&key("a"), range).await));
}

#[tokio::test]
async fn what_is_aborted_is_of_one_upload_and_not_of_those_whose_names_begin_alike() {
    let s3 = or_skip!(probed().await);
    let slow_down = || Fate::Fail(503, "SlowDown");
    let left = |names: [&str; 1]| names.map(|name| format!("{}/{name}", s3.folder.name));
    drop(s3.uploaded("u/10/data", 11 * MIB).await);
    drop(s3.uploaded("u/1/data", 11 * MIB).await);
    s3.driver.delete(&key("u/1")).await.unwrap();
    assert_eq!(s3.folder.multiparts().await, left(["u/10/data"]));
    // One whose process has not lived to note its multipart upload.
    s3.proxy.harm("UploadPart", 99, slow_down);
    let mut upload = s3.driver.upload(&key("u/1")).await.unwrap();
    upload.append(&[bytes(11 * MIB)]).await.unwrap();
    assert!(is_outage(upload.sync().await));
    drop(upload);
    s3.proxy.rule(|_| Fate::Pass);
    assert_eq!(s3.folder.multiparts().await.len(), 2);
    let mut upload = s3.driver.upload(&key("u/1")).await.unwrap();
    upload.cancel().await.unwrap();
    assert_eq!(s3.folder.multiparts().await, left(["u/10/data"]));
    s3.driver.delete(&key("u/10")).await.unwrap();
}

/// A page of one multipart upload after which there are more.
fn page_of(object: &str, id: &str) -> String {
    format!(
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>\
         <NextKeyMarker>{object}</NextKeyMarker><NextUploadIdMarker>{id}</NextUploadIdMarker>\
         <Upload><Key>{object}</Key><UploadId>{id}</UploadId></Upload>\
         </ListMultipartUploadsResult>"
    )
}

#[tokio::test]
async fn multipart_uploads_on_all_pages_are_aborted() {
    let s3 = or_skip!(probed().await);
    for path in ["u/1/a", "u/1/b"] {
        drop(s3.uploaded(path, 11 * MIB).await);
    }
    let uploads = s3.folder.client().list_multipart_uploads().bucket(BUCKET);
    let uploads = uploads.prefix(&s3.folder.name).send().await.unwrap();
    let [first, _] = uploads.uploads() else {
        panic!("{uploads:?}")
    };
    let page = page_of(first.key().unwrap(), first.upload_id().unwrap());
    s3.proxy.harm("ListMultipartUploads", 1, move || {
        Fate::Answer(200, page.clone())
    });
    s3.driver.delete(&key("u/1")).await.unwrap();
    assert_eq!(s3.folder.multiparts().await, [""; 0]);
    let heads = s3.proxy.heads();
    let last = heads
        .iter()
        .rfind(|head| head.name == "ListMultipartUploads");
    let marker = format!("upload-id-marker={}", first.upload_id().unwrap());
    assert!(last.unwrap().asks(&marker), "{last:?}");
}

#[tokio::test]
async fn a_list_of_multipart_uploads_without_an_end_is_an_outage() {
    let s3 = or_skip!(probed().await);
    s3.create("u/1/startedat", "now").await.unwrap();
    let prefix = key("u/1");
    let full = page_of(&format!("{}/u/1/data", s3.folder.name), "id");
    let (start, rest) = full.split_once("<Upload>").unwrap();
    let empty = format!("{start}{}", rest.split_once("</Upload>").unwrap().1);
    for page in [full, empty] {
        s3.proxy.harm("ListMultipartUploads", usize::MAX, move || {
            Fate::Answer(200, page.clone())
        });
        let deleted = timeout(LONG, s3.driver.delete(&prefix)).await;
        assert!(is_outage(deleted.unwrap()));
        let abandoned = s3.driver.abandon(&prefix, SystemTime::now());
        assert!(is_outage(timeout(LONG, abandoned).await.unwrap()));
    }
    s3.proxy.rule(|_| Fate::Pass);
    s3.driver.delete(&prefix).await.unwrap();
}

#[tokio::test]
async fn what_a_batch_has_not_deleted_is_deleted_one_by_one() {
    let s3 = or_skip!(probed().await);
    for path in ["p/a", "p/b"] {
        s3.create(path, "content").await.unwrap();
    }
    let failed = "<DeleteResult><Error><Key>p/a</Key><Code>InternalError</Code></Error>\
                  </DeleteResult>";
    s3.proxy.harm("DeleteObjects", 99, move || {
        Fate::Answer(200, failed.to_owned())
    });
    s3.driver.delete(&key("p")).await.unwrap();
    assert_eq!(s3.folder.objects().await, ["probed"]);
    s3.proxy.rule(move |request| match request {
        "DeleteObjects" => Fate::Answer(200, failed.to_owned()),
        "DeleteObject" => Fate::Fail(403, "AccessDenied"),
        _ => Fate::Pass,
    });
    s3.create("p/a", "content").await.unwrap();
    assert!(is_outage(s3.driver.delete(&key("p")).await));
}

#[tokio::test]
async fn a_size_that_nobody_tells_is_an_outage_and_not_0() {
    let s3 = or_skip!(probed().await);
    s3.create("a", "content").await.unwrap();
    s3.proxy.rule(|_| Fate::Unsized);
    assert!(is_outage(s3.driver.stat(&key("a")).await));
    assert!(is_outage(s3.driver.get(&key("a"), 99).await));
    assert!(is_outage(s3.driver.upload(&key("a")).await));
}

#[tokio::test]
async fn what_a_probe_has_left_is_in_no_list() {
    let s3 = or_skip!(unprobed().await);
    s3.proxy
        .harm("DeleteObject", usize::MAX, || Fate::Fail(503, "SlowDown"));
    assert!(is_outage(s3.create("a", "content").await));
    s3.proxy.rule(|_| Fate::Pass);
    s3.create("a", "content").await.unwrap();
    assert_eq!(s3.folder.objects().await.len(), 2);
    let names = s3
        .driver
        .list(&Key::root(), ListOptions::ALL)
        .await
        .unwrap();
    let names: Vec<_> = names.iter().map(|entry| &entry.name[..]).collect();
    assert_eq!(names, ["a"]);
}

/// The console of AWS makes an empty object for a folder, and anyone may write to a bucket.
#[tokio::test]
async fn objects_whose_names_are_no_keys_are_in_no_list() {
    let s3 = or_skip!(probed().await);
    s3.create("p/a", "content").await.unwrap();
    for name in ["p/", "p//b"] {
        let put = s3.folder.client().put_object().bucket(BUCKET);
        let put = put.key(format!("{}/{name}", s3.folder.name));
        put.send().await.unwrap();
    }
    assert_eq!(s3.folder.objects().await.len(), 4);
    let names = s3.driver.list(&key("p"), ListOptions::ALL).await.unwrap();
    let names: Vec<_> = names.iter().map(|entry| &entry.name[..]).collect();
    assert_eq!(names, ["a"]);
}
