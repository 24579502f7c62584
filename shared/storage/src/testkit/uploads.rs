//! `upload`.

use bytes::Bytes;

use super::{Outcome, Store, assert_fails, get, key, pattern};
use crate::{DriverExt, Error, UploadNotes};

/// Chunks of any size follow each other without a gap, and the size is that of all of them.
pub async fn an_upload_grows_exactly_at_its_size(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let content = pattern(6_000_000);
    let mut upload = driver.upload(&key("u/data")).await?;
    assert_eq!(upload.size(), 0);
    upload.append(&[]).await?;
    upload.append(&[Bytes::new(), Bytes::new()]).await?;
    let mut end = 0;
    for (step, count) in [(1, 3), (1000, 2000), (300_000, 4), (2_000_000, 1), (0, 1)] {
        let mut chunks = Vec::new();
        for _ in 0..count {
            chunks.push(content.slice(end..end + step));
            end += step;
        }
        upload.append(&chunks).await?;
        assert_eq!(upload.size(), end as u64);
    }
    upload.sync().await?;
    upload.append(&[content.slice(end..)]).await?;
    assert_eq!(upload.size(), 6_000_000);
    upload.commit().await?;
    assert!(get(&*driver, "u/data").await? == content);
    Ok(())
}

/// The key alone leads back to what another process has synced.
pub async fn an_upload_is_resumed_by_another_driver(store: &dyn Store) -> Outcome {
    let content = pattern(3_000_000);
    let mut end = 0;
    for step in [1, 1_000_000, 0, 70_000, 1_500_000] {
        let driver = store.driver();
        let mut upload = driver.upload(&key("u/data")).await?;
        assert_eq!(upload.size(), end as u64);
        upload.append(&[content.slice(end..end + step)]).await?;
        upload.sync().await?;
        end += step;
    }
    let driver = store.driver();
    let mut upload = driver.upload(&key("u/data")).await?;
    upload.append(&[content.slice(end..)]).await?;
    upload.commit().await?;
    assert!(get(&*driver, "u/data").await? == content);
    Ok(())
}

/// Dropping an upload ends nothing.
pub async fn a_dropped_upload_keeps_its_bytes(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let mut upload = driver.upload(&key("u/data")).await?;
    upload.append(&[Bytes::from("con")]).await?;
    upload.sync().await?;
    drop(upload);
    let mut upload = driver.upload(&key("u/data")).await?;
    assert_eq!(upload.size(), 3);
    upload.append(&[Bytes::from("tent")]).await?;
    upload.commit().await?;
    assert_eq!(get(&*driver, "u/data").await?, "content");
    Ok(())
}

/// Two at a time would overwrite each other.
pub async fn an_upload_is_busy_while_another_lives(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let upload = driver.upload(&key("u/data")).await?;
    assert_fails!(driver.upload(&key("u/data")).await, Error::Busy(_));
    drop(driver.upload(&key("v/data")).await?);
    drop(upload);
    let mut upload = driver.upload(&key("u/data")).await?;
    upload.commit().await?;
    assert_fails!(driver.upload(&key("u/data")).await, Error::Busy(_));
    drop(upload);
    let mut upload = driver.upload(&key("u/data")).await?;
    upload.cancel().await?;
    assert_fails!(driver.upload(&key("u/data")).await, Error::Busy(_));
    Ok(())
}

/// No bytes are content too.
pub async fn an_upload_may_be_empty(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    driver.upload(&key("u/data")).await?.commit().await?;
    assert_eq!(get(&*driver, "u/data").await?, "");
    Ok(())
}

/// Cancelling deletes the bytes; the next upload of the key begins anew.
pub async fn a_cancelled_upload_is_gone(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let mut upload = driver.upload(&key("u/data")).await?;
    upload.append(&[pattern(100_000)]).await?;
    upload.sync().await?;
    upload.cancel().await?;
    drop(upload);
    assert_eq!(driver.try_stat(&key("u/data")).await?, None);
    let mut upload = driver.upload(&key("u/data")).await?;
    assert_eq!(upload.size(), 0);
    Ok(upload.cancel().await?)
}

/// Deleting what an upload lies in deletes it, also when another driver does it.
pub async fn a_deleted_upload_is_gone(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let mut upload = driver.upload(&key("u/v/data")).await?;
    upload.append(&[pattern(100_000)]).await?;
    upload.sync().await?;
    drop(upload);
    store.driver().delete(&key("u/v")).await?;
    assert_eq!(driver.try_stat(&key("u/v/data")).await?, None);
    let mut upload = driver.upload(&key("u/v/data")).await?;
    assert_eq!(upload.size(), 0);
    Ok(upload.cancel().await?)
}

/// The way of every blob: uploaded in one place, kept in another.
pub async fn a_committed_upload_can_be_renamed(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let content = pattern(200_000);
    let mut upload = driver.upload(&key("u/data")).await?;
    upload.append(std::slice::from_ref(&content)).await?;
    upload.commit().await?;
    driver.rename(&key("u/data"), &key("blobs/b/data")).await?;
    assert_eq!(driver.try_stat(&key("u/data")).await?, None);
    assert!(get(&*driver, "blobs/b/data").await? == content);
    assert_fails!(driver.upload(&key("u/data")).await, Error::Busy(_));
    drop(upload);
    let mut upload = driver.upload(&key("u/data")).await?;
    assert_eq!(upload.size(), 0);
    Ok(upload.cancel().await?)
}

/// Beside its own key, where its bytes stay when nothing is left there.
pub async fn an_upload_is_committed_apart(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let parent = key("u/1");
    for size in [0, 200_000, 12_000_000] {
        let content = pattern(size);
        let (first, rest) = (content.slice(..size / 2), content.slice(size / 2..));
        let mut upload = driver.upload_apart(&key("u/1/data")).await?;
        upload.append(&[first]).await?;
        upload.sync().await?;
        drop(upload);
        let mut upload = store.driver().upload_apart(&key("u/1/data")).await?;
        upload.append(&[rest]).await?;
        let apart = upload.commit_apart().await?;
        assert!(apart.is_certain);
        assert_eq!(apart.key.parent().as_ref(), Some(&parent));
        upload.cancel().await?;
        drop(upload);
        assert!(get(&*driver, apart.key.as_str()).await? == content);
        driver.delete(&parent).await?;
    }
    Ok(())
}

/// By whoever opens it next: it may be that nobody learnt of the first time.
pub async fn an_upload_that_was_committed_apart_can_be_ended_again(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    for size in [200_000, 12_000_000] {
        let content = pattern(size);
        let mut upload = driver.upload_apart(&key("u/1/data")).await?;
        upload.append(std::slice::from_ref(&content)).await?;
        upload.sync().await?;
        let first = upload.commit_apart().await?;
        drop(upload);
        let mut upload = store.driver().upload_apart(&key("u/1/data")).await?;
        assert_eq!(upload.size(), size as u64);
        let second = upload.commit_apart().await?;
        upload.cancel().await?;
        drop(upload);
        for apart in [first, second] {
            assert!(get(&*driver, apart.key.as_str()).await? == content);
        }
        driver.delete(&key("u/1")).await?;
    }
    Ok(())
}

/// The same by the upload itself, also when it was committed before, and over what was there;
/// cancelling it then leaves nothing at its own key and does no harm to what it became.
pub async fn an_upload_is_committed_as_other_content(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let to = key("blobs/b/data");
    for (size, committed) in [(0, false), (200_000, false), (6_000_000, true), (5, true)] {
        let content = pattern(size);
        let mut upload = driver.upload(&key("u/data")).await?;
        upload.append(std::slice::from_ref(&content)).await?;
        upload.sync().await?;
        drop(upload);
        let mut upload = store.driver().upload(&key("u/data")).await?;
        if committed {
            upload.commit().await?;
        }
        upload.commit_as(&to).await?;
        assert!(get(&*driver, "blobs/b/data").await? == content);
        upload.cancel().await?;
        drop(upload);
        assert_eq!(driver.try_stat(&key("u/data")).await?, None);
        assert!(get(&*driver, "blobs/b/data").await? == content);
    }
    Ok(())
}

/// Where a driver keeps notes: those on the bytes are of exactly the bytes that were synced.
pub async fn notes_go_with_the_bytes_of_an_upload(store: &dyn Store) -> Outcome {
    let (path, begun) = (key("u/data"), "2026-11-18T11:06:40Z");
    let driver = store.driver();
    let Some(noted) = driver.noted_uploads() else {
        return Ok(());
    };
    assert_eq!(noted.notes(&path).await?, None);
    noted.begin(&path, begun).await?;
    let expected = |bytes: Option<String>| {
        let upload = begun.to_owned();
        Some(UploadNotes { upload, bytes })
    };
    assert_eq!(noted.notes(&path).await?, expected(None));
    let mut size = 0;
    for (step, is_noted) in [(0, true), (5, true), (6_000_000, false), (6_000_000, true)] {
        let driver = store.driver();
        let mut upload = driver.upload(&path).await?;
        assert_eq!(upload.size(), size as u64);
        upload.append(&[pattern(step)]).await?;
        size += step;
        let note = is_noted.then(|| format!("{size} bytes/+= of it"));
        if let Some(note) = &note {
            upload.note_bytes(note.clone());
        }
        upload.sync().await?;
        assert_eq!(upload.notes(), expected(note.clone()).as_ref());
        drop(upload);
        let driver = store.driver();
        let noted = driver.noted_uploads().map(|noted| noted.notes(&path));
        let Some(noted) = noted else { continue };
        assert_eq!(noted.await?, expected(note.clone()));
        let upload = driver.upload(&path).await?;
        assert_eq!(upload.notes(), expected(note).as_ref());
    }
    let mut upload = driver.upload(&path).await?;
    upload.commit_as(&key("blobs/b/data")).await?;
    upload.cancel().await?;
    assert_eq!(noted.notes(&path).await?, None);
    assert_eq!(noted.notes(&key("blobs/b/data")).await?, None);
    assert_eq!(get(&*driver, "blobs/b/data").await?.len(), size);
    Ok(())
}

/// Uploads of different keys keep to themselves.
pub async fn many_uploads_can_grow_at_once(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let content = pattern(1_000_000);
    let upload = |number: usize| {
        let (driver, content) = (driver.clone(), content.slice(number * 1000..));
        tokio::spawn(async move {
            let path = format!("u/{number}/data");
            let mut upload = driver.upload(&key(&path)).await?;
            for start in (0..content.len()).step_by(100_000) {
                let end = content.len().min(start + 100_000);
                upload.append(&[content.slice(start..end)]).await?;
            }
            upload.commit().await?;
            assert!(get(&*driver, &path).await? == content);
            Ok::<_, Error>(())
        })
    };
    let uploads: Vec<_> = (0..24).map(upload).collect();
    for upload in uploads {
        upload.await??;
    }
    Ok(())
}
