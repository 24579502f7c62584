//! `stat` and `read`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{Outcome, Store, assert_fails, get, get_range, key, pattern, put};
use crate::{ByteRange, DriverExt, Error, Key, ListOptions, Stat};

/// Every operation tells an absent key apart from a failure.
pub async fn what_is_not_there_is_not_found(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    for path in ["a", "a/b", "a/b/c", &"x".repeat(255), &"x".repeat(300)] {
        let key = &key(path);
        assert_fails!(driver.stat(key).await, Error::NotFound(_));
        let read = driver.read(key, ByteRange::ALL).await;
        assert_fails!(read, Error::NotFound(_));
        assert_fails!(driver.delete(key).await, Error::NotFound(_));
        let list = driver.list(key, ListOptions::ALL).await;
        assert_fails!(list, Error::NotFound(_));
        assert_fails!(
            driver.rename(key, &Key::new("b")?).await,
            Error::NotFound(_)
        );
        assert_eq!(driver.try_stat(key).await?, None);
        assert_eq!(driver.try_get(key, 10).await?, None);
        assert!(!driver.try_delete(key).await?);
    }
    Ok(())
}

/// Content is no prefix.
pub async fn nothing_lies_below_content(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    put(&*driver, "a/b", "content").await?;
    let below = &key("a/b/c");
    assert_fails!(driver.stat(below).await, Error::NotFound(_));
    assert_fails!(driver.read(below, ByteRange::ALL).await, Error::NotFound(_));
    assert_fails!(driver.delete(below).await, Error::NotFound(_));
    let list = driver.list(&key("a/b"), ListOptions::ALL).await;
    assert_fails!(list, Error::NotFound(_));
    Ok(())
}

/// `stat` and `read` agree on the size and on a time that makes sense.
pub async fn content_has_a_size_and_a_time(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    put(&*driver, "a/b", "content").await?;
    let Stat::Content(stat) = driver.stat(&key("a/b")).await? else {
        panic!("no content");
    };
    assert_eq!(stat.size, 7);
    let now = SystemTime::now();
    let hour = Duration::from_secs(3600);
    assert!(stat.modified > now - hour && stat.modified < now + hour);
    let range = ByteRange {
        offset: 3,
        length: Some(1),
    };
    assert_eq!(driver.read(&key("a/b"), range).await?.stat, stat);
    Ok(())
}

/// A key with only keys below it is a prefix, and not for reading.
pub async fn a_prefix_is_no_content(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    put(&*driver, "a/b/c", "content").await?;
    for path in ["a", "a/b"] {
        assert_eq!(driver.stat(&key(path)).await?, Stat::Prefix);
        let read = driver.read(&key(path), ByteRange::ALL).await;
        assert_fails!(read, Error::NotFound(_));
    }
    Ok(())
}

/// The root of an empty store is an empty prefix.
pub async fn the_root_is_always_there(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let root = Key::root();
    assert_eq!(driver.stat(&root).await?, Stat::Prefix);
    assert_eq!(driver.list(&root, ListOptions::ALL).await?, []);
    let read = driver.read(&root, ByteRange::ALL).await;
    assert_fails!(read, Error::NotFound(_));
    put(&*driver, "a", "content").await?;
    assert_eq!(driver.stat(&root).await?, Stat::Prefix);
    Ok(())
}

/// Whatever form a driver gives small and large content, the bytes are those that were written.
pub async fn content_of_any_size_reads_back(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    const KIB: usize = 1024;
    for size in [0, 1, 64 * KIB - 1, 64 * KIB, 64 * KIB + 1, 5 * KIB * KIB] {
        let content = pattern(size);
        put(&*driver, "a", content.clone()).await?;
        assert!(get(&*driver, "a").await? == content, "{size} bytes");
        let other = store.driver();
        assert!(get(&*other, "a").await? == content, "{size} bytes");
    }
    assert_fails!(driver.get(&key("a"), 10).await, Error::TooLarge { .. });
    Ok(())
}

/// A range gives the bytes that exist of it.
pub async fn a_range_stops_at_the_end(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    for size in [100, 200_000] {
        let content = pattern(size);
        put(&*driver, "a", content.clone()).await?;
        let size = size as u64;
        for (offset, length, expected) in [
            (0, None, 0..size),
            (0, Some(size), 0..size),
            (0, Some(size + 1), 0..size),
            (0, Some(u64::MAX), 0..size),
            (0, Some(1), 0..1),
            (0, Some(0), 0..0),
            (7, None, 7..size),
            (7, Some(50), 7..57),
            (7, Some(u64::MAX), 7..size),
            (size - 1, None, size - 1..size),
            (size - 1, Some(10), size - 1..size),
        ] {
            let read = get_range(&*driver, "a", offset, length).await?;
            let expected = expected.start as usize..expected.end as usize;
            assert!(read == content[expected], "{offset} {length:?} of {size}");
        }
    }
    Ok(())
}

/// A range that begins at the end or later is an error that tells the size.
pub async fn a_range_beyond_the_end_is_refused(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    put(&*driver, "a", "content").await?;
    put(&*driver, "empty", "").await?;
    for (path, offset, length) in [
        ("a", 7, None),
        ("a", 7, Some(0)),
        ("a", 8, Some(1)),
        ("a", u64::MAX, Some(u64::MAX)),
        ("empty", 1, None),
    ] {
        let read = get_range(&*driver, path, offset, length).await;
        let end = if path == "a" { 7 } else { 0 };
        assert_fails!(&read, Error::OutOfRange { size, .. } if *size == end);
    }
    Ok(())
}

/// Empty content is content, and can be read whole.
pub async fn content_may_be_empty(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    put(&*driver, "a/b", "").await?;
    assert_eq!(driver.try_stat(&key("a/b")).await?.map(|s| s.size), Some(0));
    assert_eq!(get(&*driver, "a/b").await?, Bytes::new());
    assert_eq!(get_range(&*driver, "a/b", 0, Some(5)).await?, Bytes::new());
    Ok(())
}

/// The longest name that filesystems take can be used by every operation.
pub async fn a_name_may_have_255_bytes(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let name = "x".repeat(255);
    let (long, longer) = (format!("{name}/y"), format!("{name}/{name}"));
    put(&*driver, &long, "content").await?;
    driver.rename(&key(&long), &key(&longer)).await?;
    put(&*driver, &longer, "other").await?;
    assert_eq!(get(&*driver, &longer).await?, "other");
    assert_eq!(
        super::names(&*driver, &name).await?,
        std::slice::from_ref(&name)
    );
    driver.delete(&key(&longer)).await?;
    let mut upload = driver.upload(&key(&longer)).await?;
    upload.append(&[Bytes::from("upload")]).await?;
    upload.commit().await?;
    assert_eq!(get(&*driver, &longer).await?, "upload");
    Ok(())
}

/// Readers of the same content do not disturb each other.
pub async fn many_can_read_at_once(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let content = pattern(1_000_000);
    put(&*driver, "a", content.clone()).await?;
    let read = |offset: usize| {
        let (driver, content) = (store.driver(), content.clone());
        tokio::spawn(async move {
            let read = get_range(&*driver, "a", offset as u64, None).await;
            assert!(read? == content[offset..]);
            Ok::<_, Error>(())
        })
    };
    let readers: Vec<_> = (0..32).map(|reader| read(reader * 31_000)).collect();
    for reader in readers {
        reader.await??;
    }
    Ok(())
}
