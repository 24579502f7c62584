//! What the driver makes of a store that fails, loses answers, or says less than there is.

mod support;

use std::time::{Duration, SystemTime};

use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use roadstead_storage::{
    ByteRange, ContentStat, Driver, DriverExt, Error, ListOptions, Stat, Write, WriteMode,
};
use roadstead_storage_s3::{Config, Patience};
use support::BUCKET;
use support::proxied::{MIB, Proxied, aside, is_outage, key, or_skip, quick};
use support::proxy::Fate;

async fn harmed() -> Option<Proxied> {
    let change = |config: &mut Config| {
        config.patience = Patience {
            answer: Duration::from_secs(2),
            work: Duration::from_secs(2),
            ..quick()
        };
    };
    Proxied::new(change).await
}

fn write(path: &str, content: &'static str, mode: WriteMode) -> [Write; 1] {
    [support::proxied::write(path, content, mode)]
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at ^ (at >> 9)) as u8).collect()
}

fn slow_down() -> Fate {
    Fate::Fail(503, "SlowDown")
}

#[tokio::test]
async fn what_fails_twice_is_tried_again() {
    let s3 = or_skip!(harmed().await);
    let path = "p/a";
    for fate in [
        slow_down,
        || Fate::Fail(500, "InternalError"),
        || Fate::LoseAnswer,
    ] {
        for request in ["PutObject", "GetObject", "HeadObject", "ListObjectsV2"] {
            s3.proxy.harm(request, 2, fate);
            let overwrite = write(path, "content", WriteMode::Overwrite);
            s3.driver.write(&overwrite).await.unwrap();
            assert_eq!(s3.driver.get(&key(path), 99).await.unwrap(), "content");
            assert!(s3.driver.try_stat(&key(path)).await.unwrap().is_some());
            let names = s3.driver.list(&key("p"), ListOptions::ALL).await.unwrap();
            assert_eq!(names.len(), 1);
        }
    }
}

/// The SDK spends retries from a quota that clients share unless told otherwise.
#[tokio::test]
async fn an_outage_of_one_store_leaves_another_its_retries() {
    let (down, s3) = (or_skip!(harmed().await), or_skip!(harmed().await));
    down.proxy.rule(|_| slow_down());
    let path = &key("p/a");
    for _ in 0..150 {
        assert!(is_outage(down.driver.get(path, 99).await));
    }
    s3.proxy.harm("PutObject", 2, || Fate::LoseAnswer);
    let put = write("p/a", "content", WriteMode::Overwrite);
    s3.driver.write(&put).await.unwrap();
    assert_eq!(s3.driver.get(path, 99).await.unwrap(), "content");
}

#[tokio::test]
async fn an_outage_is_never_taken_for_absence() {
    let s3 = or_skip!(harmed().await);
    let put = write("p/a", "content", WriteMode::Overwrite);
    s3.other().write(&put).await.unwrap();
    for fate in [
        slow_down,
        || Fate::Fail(500, "InternalError"),
        || Fate::Fail(403, "AccessDenied"),
        || Fate::Fail(404, "NoSuchBucket"),
        || Fate::Fail(404, ""),
        || Fate::Answer(404, "<html>Not here</html>".to_owned()),
    ] {
        s3.proxy.rule(move |_| fate());
        let driver = &s3.driver;
        for path in ["p/a", "p", "nothing"] {
            let path = key(path);
            assert!(is_outage(driver.stat(&path).await), "{path}");
            assert!(is_outage(driver.read(&path, ByteRange::ALL).await));
            assert!(is_outage(driver.list(&path, ListOptions::ALL).await));
            assert!(is_outage(driver.delete(&path).await));
            assert!(is_outage(driver.rename(&path, &key("b")).await));
            assert!(is_outage(driver.upload(&path).await));
        }
        assert!(is_outage(driver.write(&put).await));
    }
    s3.proxy.rule(|_| Fate::Pass);
    assert_eq!(s3.driver.get(&key("p/a"), 99).await.unwrap(), "content");
}

#[tokio::test]
async fn an_outage_in_the_middle_of_a_body_is_gone_on_from() {
    let s3 = or_skip!(harmed().await);
    let content = pattern(3 * MIB);
    let put = Write {
        key: key("a"),
        content: content.clone(),
        mode: WriteMode::Overwrite,
    };
    s3.other().write(&[put]).await.unwrap();
    s3.proxy.harm("GetObject", 3, || Fate::CutBody(MIB / 2));
    assert!(s3.driver.get(&key("a"), u64::MAX).await.unwrap() == content);
    assert_eq!(s3.proxy.requests().len(), 4);
    s3.proxy.harm("GetObject", 99, || Fate::CutBody(10));
    assert!(is_outage(s3.driver.get(&key("a"), u64::MAX).await));
}

#[tokio::test]
async fn a_lost_answer_to_a_creation_is_a_success() {
    let s3 = or_skip!(harmed().await);
    let create = |content| write("a", content, WriteMode::CreateNew);
    s3.driver
        .write(&write("probed", "", WriteMode::CreateNew))
        .await
        .unwrap();
    s3.proxy.harm("PutObject", 1, || Fate::LoseAnswer);
    s3.driver.write(&create("first")).await.unwrap();
    let again = s3.driver.write(&create("second")).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    assert_eq!(s3.driver.get(&key("a"), 99).await.unwrap(), "first");
}

#[tokio::test]
async fn an_upload_gets_over_lost_answers_at_every_step() {
    let s3 = or_skip!(harmed().await);
    let content = pattern(23 * MIB + 5);
    for request in [
        "PutObject",
        "CreateMultipartUpload",
        "UploadPart",
        "CompleteMultipartUpload",
        "CopyObject",
        "DeleteObject",
        "ListMultipartUploads",
    ] {
        for fate in [|| Fate::LoseAnswer, || Fate::Stall] {
            let path = &key(&format!("u/{request}/data"));
            s3.proxy.harm(request, 1, fate);
            for half in [content.slice(..12 * MIB), content.slice(12 * MIB..)] {
                let mut upload = s3.driver.upload(path).await.unwrap();
                upload.append(&[half]).await.unwrap();
                upload.sync().await.unwrap();
            }
            let mut upload = s3.driver.upload(path).await.unwrap();
            assert_eq!(upload.size(), content.len() as u64);
            upload.commit().await.unwrap();
            let blob = key("blobs/data");
            s3.driver.rename(path, &blob).await.unwrap();
            let parent = path.parent().unwrap();
            s3.driver.try_delete(&parent).await.unwrap();
            drop(upload);
            let stored = s3.driver.get(&blob, u64::MAX).await.unwrap();
            assert!(stored == content, "{request}");
            let left = s3.folder.multiparts().await;
            assert_eq!(left, [""; 0], "{request}");
        }
    }
    let objects = s3.folder.objects().await;
    assert_eq!(objects, ["blobs/data"]);
}

#[tokio::test]
async fn what_a_dead_process_left_is_aborted_with_its_upload() {
    let s3 = or_skip!(harmed().await);
    s3.proxy.harm("UploadPart", 99, slow_down);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    upload.append(&[pattern(11 * MIB)]).await.unwrap();
    assert!(is_outage(upload.sync().await));
    assert!(is_outage(upload.sync().await), "there is no going on");
    drop(upload);
    assert_eq!(s3.folder.multiparts().await.len(), 1);
    // Another one begins anew, and after it there is nothing left of the first.
    let other = s3.other();
    let mut upload = other.upload(&key("u/1/data")).await.unwrap();
    assert_eq!(upload.size(), 0);
    upload
        .append(&[Bytes::from_static(b"content")])
        .await
        .unwrap();
    upload.commit().await.unwrap();
    other.rename(&key("u/1/data"), &key("b")).await.unwrap();
    other.try_delete(&key("u/1")).await.unwrap();
    assert_eq!(s3.folder.multiparts().await, [""; 0]);
    assert_eq!(s3.folder.objects().await.len(), 1);
}

#[tokio::test]
async fn purging_aborts_what_nobody_finishes() {
    let s3 = or_skip!(harmed().await);
    let mut upload = s3.driver.upload(&key("u/1/data")).await.unwrap();
    upload.append(&[pattern(11 * MIB)]).await.unwrap();
    upload.sync().await.unwrap();
    drop(upload);
    let stat = s3.driver.stat(&key("u/1/data")).await.unwrap();
    let Stat::Content(stat) = stat else {
        panic!("{stat:?}")
    };
    assert_eq!(stat.size, 11 * MIB as u64, "its age can be told");
    let read = s3.driver.get(&key("u/1/data"), u64::MAX).await;
    assert!(matches!(read, Err(Error::NotFound(_))));
    s3.other().delete(&key("u/1")).await.unwrap();
    assert_eq!(s3.folder.multiparts().await, [""; 0]);
    assert_eq!(s3.folder.objects().await, [""; 0]);
}

#[tokio::test]
async fn what_no_key_shows_is_given_up_when_it_is_old_enough() {
    let s3 = or_skip!(harmed().await);
    let client = s3.folder.client();
    for object in ["docker/registry/v2/blobs/data", "docker/other/data"] {
        let create = client.create_multipart_upload().bucket(BUCKET);
        let create = create.key(format!("{}/{object}", s3.folder.name));
        create.send().await.unwrap();
    }
    let root = key("docker/registry/v2");
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    assert_eq!(s3.driver.abandon(&root, now - hour).await.unwrap(), 0);
    assert_eq!(s3.folder.multiparts().await.len(), 2);
    s3.proxy.rule(|_| slow_down());
    assert!(is_outage(s3.driver.abandon(&root, now + hour).await));
    s3.proxy.rule(|_| Fate::Pass);
    assert_eq!(s3.driver.abandon(&root, now + hour).await.unwrap(), 1);
    let left = s3.folder.multiparts().await;
    assert_eq!(left, [format!("{}/docker/other/data", s3.folder.name)]);
    s3.driver.delete(&key("docker/other")).await.unwrap();
}

#[tokio::test]
async fn a_list_that_is_cut_off_is_an_outage_and_deletes_nothing() {
    let s3 = or_skip!(harmed().await);
    for name in ["p/a", "p/b"] {
        let put = write(name, "content", WriteMode::Overwrite);
        s3.driver.write(&put).await.unwrap();
    }
    let cut = "<IsTruncated>false</IsTruncated>";
    for fate in [
        || {
            Fate::Replace(
                "<IsTruncated>false</IsTruncated>",
                "<IsTruncated>true</IsTruncated>",
            )
        },
        || Fate::Replace("<KeyCount>2</KeyCount>", "<KeyCount>3</KeyCount>"),
        || Fate::CutBody(200),
    ] {
        s3.proxy.harm("ListObjectsV2", 99, fate);
        let list = s3.driver.list(&key("p"), ListOptions::ALL).await;
        assert!(is_outage(list), "{cut}");
        assert!(is_outage(s3.driver.delete(&key("p")).await));
    }
    s3.proxy.rule(|_| Fate::Pass);
    let names = s3.driver.list(&key("p"), ListOptions::ALL).await.unwrap();
    assert_eq!(names.len(), 2);
}

#[tokio::test]
async fn of_two_processes_with_one_upload_the_second_is_told() {
    let s3 = or_skip!(harmed().await);
    let (one, two) = (s3.driver, s3.folder.driver());
    let path = &key("u/1/data");
    for size in [3, 11 * MIB] {
        let mut first = one.upload(path).await.unwrap();
        let mut second = two.upload(path).await.unwrap();
        first.append(&[pattern(size)]).await.unwrap();
        first.sync().await.unwrap();
        second.append(&[pattern(size)]).await.unwrap_or_default();
        let sync = second.sync().await;
        assert!(sync.is_err(), "{size}: {sync:?}");
        drop(second);
        first.append(&[pattern(5)]).await.unwrap();
        first.sync().await.unwrap();
        drop(first);
        let mut first = one.upload(path).await.unwrap();
        assert_eq!(first.size(), size as u64 + 5);
        let mut second = two.upload(path).await.unwrap();
        second.append(&[pattern(1)]).await.unwrap();
        first.append(&[pattern(2)]).await.unwrap();
        first.commit().await.unwrap();
        assert!(second.commit().await.is_err());
        drop(second);
        // What was committed and is then written to is not what was hashed: it is not moved.
        let mut third = two.upload(path).await.unwrap();
        third.append(&[pattern(1)]).await.unwrap();
        third.sync().await.unwrap();
        let rename = one.rename(path, &key("blob")).await;
        assert!(matches!(rename, Err(Error::Busy(_))), "{rename:?}");
        third.cancel().await.unwrap();
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_serves_all_the_same() {
    let s3 = or_skip!(harmed().await);
    // Its answers to the probe are those of a store that has not looked.
    let mut puts = 0;
    s3.proxy.rule(move |request| {
        puts += usize::from(request == "PutObject");
        match puts {
            2 | 3 if request == "PutObject" => Fate::Fail(501, "NotImplemented"),
            _ => Fate::Pass,
        }
    });
    let create = |content| write("a", content, WriteMode::CreateNew);
    s3.driver.write(&create("first")).await.unwrap();
    let again = s3.driver.write(&create("second")).await;
    assert!(matches!(again, Err(Error::Exists(_))));
    let path = &key("u/1/data");
    for _ in 0..2 {
        let mut upload = s3.driver.upload(path).await.unwrap();
        upload.append(&[pattern(6 * MIB)]).await.unwrap();
        upload.sync().await.unwrap();
    }
    s3.driver
        .upload(path)
        .await
        .unwrap()
        .commit()
        .await
        .unwrap();
    let stat = s3.driver.try_stat(path).await.unwrap().unwrap();
    assert_eq!(stat.size, 12 * MIB as u64);
}

#[tokio::test]
async fn content_that_changes_between_the_look_and_the_deletion_stays() {
    let s3 = or_skip!(harmed().await);
    let path = &key("a");
    let first = write("a", "content", WriteMode::Overwrite);
    s3.driver.write(&first).await.unwrap();
    let seen = s3.driver.try_stat(path).await.unwrap().unwrap();
    let other = ContentStat {
        size: seen.size + 1,
        ..seen
    };
    assert!(!s3.driver.delete_if(path, &other).await.unwrap());
    assert!(!s3.driver.delete_if(&key("b"), &seen).await.unwrap());
    s3.proxy.requests();
    // Two deletions are the probe's; before the third arrives somebody else writes.
    let (mut deletions, mut other) = (0, Some(s3.other()));
    s3.proxy.rule(move |request| {
        deletions += usize::from(request == "DeleteObject");
        if deletions == 3
            && let Some(driver) = other.take()
        {
            let newer = write("a", "newer content", WriteMode::Overwrite);
            aside(async move { driver.write(&newer).await.unwrap() });
        }
        Fate::Pass
    });
    assert!(!s3.driver.delete_if(path, &seen).await.unwrap());
    assert_eq!(s3.driver.get(path, 99).await.unwrap(), "newer content");
    let seen = s3.driver.try_stat(path).await.unwrap().unwrap();
    assert!(s3.driver.delete_if(path, &seen).await.unwrap());
    assert_eq!(s3.driver.try_stat(path).await.unwrap(), None);
}

#[tokio::test]
async fn a_store_without_conditional_deletions_is_looked_at_before_one() {
    let s3 = or_skip!(harmed().await);
    let path = &key("a");
    s3.driver
        .write(&write("a", "content", WriteMode::Overwrite))
        .await
        .unwrap();
    let seen = s3.driver.try_stat(path).await.unwrap().unwrap();
    s3.proxy
        .harm("DeleteObject", 1, || Fate::Fail(501, "NotImplemented"));
    let other = ContentStat {
        size: seen.size + 1,
        ..seen
    };
    assert!(!s3.driver.delete_if(path, &other).await.unwrap());
    assert!(s3.driver.delete_if(path, &seen).await.unwrap());
    assert_eq!(s3.driver.try_stat(path).await.unwrap(), None);
    let heads = s3.proxy.heads();
    let last = heads.iter().rfind(|head| head.name == "DeleteObject");
    assert_eq!(last.unwrap().header("if-match"), None);
}

#[tokio::test]
async fn a_store_without_batches_deletes_one_by_one() {
    let s3 = or_skip!(harmed().await);
    for name in ["p/a", "p/b/c"] {
        let put = write(name, "content", WriteMode::Overwrite);
        s3.driver.write(&put).await.unwrap();
    }
    s3.proxy
        .harm("DeleteObjects", 99, || Fate::Fail(501, "NotImplemented"));
    s3.driver.delete(&key("p")).await.unwrap();
    assert_eq!(s3.folder.objects().await, [""; 0]);
}

#[tokio::test]
async fn a_large_upload_that_was_committed_and_not_moved_can_be_gone_on_with() {
    let s3 = or_skip!(harmed().await);
    let (path, content) = (&key("u/1/data"), pattern(12 * MIB));
    let mut upload = s3.driver.upload(path).await.unwrap();
    upload.append(std::slice::from_ref(&content)).await.unwrap();
    upload.commit().await.unwrap();
    drop(upload);
    let mut upload = s3.other().upload(path).await.unwrap();
    assert_eq!(upload.size(), content.len() as u64);
    upload.commit().await.unwrap();
    upload.append(std::slice::from_ref(&content)).await.unwrap();
    upload.sync().await.unwrap();
    drop(upload);
    let mut upload = s3.driver.upload(path).await.unwrap();
    assert_eq!(upload.size(), 2 * content.len() as u64);
    upload.commit().await.unwrap();
    drop(upload);
    let stored = s3.driver.get(path, u64::MAX).await.unwrap();
    assert!(stored == [&content[..], &content[..]].concat());
}

#[tokio::test]
async fn what_distribution_wrote_is_served_and_what_is_written_is_distributions() {
    let s3 = or_skip!(harmed().await);
    let client = s3.folder.client();
    // Registry 2 and 3 make every upload a multipart upload.
    let object = format!("{}/docker/registry/v2/x/data", s3.folder.name);
    let create = client.create_multipart_upload().bucket(BUCKET).key(&object);
    let id = create.send().await.unwrap().upload_id.unwrap();
    let part = client.upload_part().bucket(BUCKET).key(&object);
    let part = part.upload_id(&id).part_number(1);
    let part = part.body(Bytes::from_static(b"content").into());
    let etag = part.send().await.unwrap().e_tag.unwrap();
    let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
    let parts = CompletedMultipartUpload::builder().parts(part).build();
    let complete = client.complete_multipart_upload().bucket(BUCKET);
    let complete = complete.key(&object).upload_id(id).multipart_upload(parts);
    complete.send().await.unwrap();
    let path = &key("docker/registry/v2/x/data");
    assert_eq!(s3.driver.get(path, 99).await.unwrap(), "content");
    s3.driver
        .write(&write(
            "docker/registry/v2/y/link",
            "sha256:1",
            WriteMode::Overwrite,
        ))
        .await
        .unwrap();
    let link = format!("{}/docker/registry/v2/y/link", s3.folder.name);
    let link = client.get_object().bucket(BUCKET).key(link);
    let link = link.send().await.unwrap();
    assert_eq!(link.content_type(), Some("application/octet-stream"));
    let link = link.body.collect().await.unwrap().into_bytes();
    assert_eq!(link, "sha256:1");
}
