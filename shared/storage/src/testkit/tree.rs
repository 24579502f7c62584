//! `rename`, `delete` and `list`.

use std::time::Duration;

use super::{Outcome, Store, assert_fails, get, key, names, overwrite, pattern, put};
use crate::{DriverExt, Entry, EntryKind, Error, ListOptions};

/// Content moves whole, to new places and over other content.
pub async fn a_rename_replaces_what_was_there(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let content = pattern(100_000);
    put(&*driver, "a/b", content.clone()).await?;
    put(&*driver, "c", "old").await?;
    driver.rename(&key("a/b"), &key("d/e/f")).await?;
    assert!(get(&*driver, "d/e/f").await? == content);
    driver.rename(&key("d/e/f"), &key("c")).await?;
    assert!(get(&*driver, "c").await? == content);
    for gone in ["a/b", "d/e/f"] {
        assert_eq!(driver.try_stat(&key(gone)).await?, None);
    }
    Ok(())
}

/// Neither nothing nor a prefix can be renamed, and what lies at the target stays.
pub async fn a_rename_needs_content(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    put(&*driver, "a/b", "content").await?;
    put(&*driver, "to", "old").await?;
    for from in ["a", "a/c", "a/b/c", "x/y"] {
        let rename = driver.rename(&key(from), &key("to")).await;
        assert_fails!(rename, Error::NotFound(_));
    }
    assert_eq!(get(&*driver, "to").await?, "old");
    Ok(())
}

/// Only what was seen goes, with nothing below or beside it.
pub async fn content_that_was_written_again_is_not_deleted(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let path = key("a/b/data");
    put(&*driver, "a/c", "beside").await?;
    put(&*driver, "a/b/data", "content").await?;
    let stat = async || driver.try_stat(&path).await;
    let Some(seen) = stat().await? else {
        panic!("it was written");
    };
    // The clock of a store may tick slowly.
    while stat().await? == Some(seen) {
        tokio::time::sleep(Duration::from_millis(10)).await;
        put(&*driver, "a/b/data", "content").await?;
    }
    assert!(!driver.delete_if(&path, &seen).await?);
    assert_eq!(get(&*driver, "a/b/data").await?, "content");
    let Some(seen) = stat().await? else {
        panic!("it is still there");
    };
    assert!(store.driver().delete_if(&path, &seen).await?);
    assert_eq!(stat().await?, None);
    assert!(!driver.delete_if(&path, &seen).await?);
    assert!(!driver.delete_if(&key("a"), &seen).await?);
    assert_eq!(get(&*driver, "a/c").await?, "beside");
    put(&*driver, "a/b/data", "content").await?;
    assert_eq!(get(&*driver, "a/b/data").await?, "content");
    Ok(())
}

const SIBLINGS: [&str; 6] = ["a-b/c", "a.b", "a0", "aa", "ab/c", "b/a/c"];

/// All below a prefix goes, and nothing that is merely called alike.
pub async fn deleting_a_prefix_spares_its_siblings(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let below = ["a/x", "a/y/z", "a/y/z2/0"];
    let all = below.iter().chain(&SIBLINGS);
    let writes: Vec<_> = all.map(|path| overwrite(path, *path)).collect();
    driver.write(&writes).await?;
    driver.delete(&key("a")).await?;
    assert_fails!(driver.stat(&key("a")).await, Error::NotFound(_));
    for gone in below {
        assert_eq!(driver.try_stat(&key(gone)).await?, None);
    }
    for sibling in SIBLINGS {
        assert_eq!(get(&*driver, sibling).await?, sibling);
    }
    assert_fails!(driver.delete(&key("a")).await, Error::NotFound(_));
    Ok(())
}

/// The same for content.
pub async fn deleting_content_spares_its_siblings(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let all = SIBLINGS.iter().chain(&["a"]);
    let writes: Vec<_> = all.map(|path| overwrite(path, *path)).collect();
    driver.write(&writes).await?;
    driver.delete(&key("a")).await?;
    assert_fails!(driver.stat(&key("a")).await, Error::NotFound(_));
    for sibling in SIBLINGS {
        assert_eq!(get(&*driver, sibling).await?, sibling);
    }
    Ok(())
}

/// The order is that of the names, not that of the keys, in which `/` would have a say.
pub async fn names_are_listed_in_the_order_of_their_bytes(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let paths = [
        "a/y", "a-b", "a.b/x", "a0", "a/x/z", "aB", "ab", "B", "_c/d", "1", "10", "2",
    ];
    let paths = paths.map(|path| overwrite(&format!("p/{path}"), "content"));
    driver.write(&paths).await?;
    let entries = driver.list(&key("p"), ListOptions::ALL).await?;
    use EntryKind::{Content, Prefix};
    let expected = [
        ("1", Content),
        ("10", Content),
        ("2", Content),
        ("B", Content),
        ("_c", Prefix),
        ("a", Prefix),
        ("a-b", Content),
        ("a.b", Prefix),
        ("a0", Content),
        ("aB", Content),
        ("ab", Content),
    ];
    let name = str::to_owned;
    let expected = expected.map(|(n, kind)| Entry {
        name: name(n),
        kind,
    });
    assert_eq!(entries, expected);
    assert_eq!(names(&*driver, "p/a").await?, ["x", "y"]);
    assert_eq!(names(&*driver, "").await?, ["p"]);
    Ok(())
}

/// `after` need not exist, and `limit` counts from there.
pub async fn a_list_can_begin_and_end_anywhere(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let writes = ["b", "d/x", "d-", "f"].map(|path| overwrite(&format!("p/{path}"), ""));
    driver.write(&writes).await?;
    for (after, limit, expected) in [
        (None, 0, &[][..]),
        (None, 1, &["b"]),
        (None, 3, &["b", "d", "d-"]),
        (None, 4, &["b", "d", "d-", "f"]),
        (None, 5, &["b", "d", "d-", "f"]),
        (Some(""), 1, &["b"]),
        (Some("a"), 1, &["b"]),
        (Some("b"), 1, &["d"]),
        (Some("b"), 9, &["d", "d-", "f"]),
        (Some("c"), 9, &["d", "d-", "f"]),
        (Some("d"), 9, &["d-", "f"]),
        (Some("d."), 9, &["f"]),
        (Some("d/x"), 9, &["f"]),
        (Some("f"), 9, &[]),
        (Some("zzz"), usize::MAX, &[]),
    ] {
        let options = ListOptions { after, limit };
        let entries = driver.list(&key("p"), options).await?;
        let names: Vec<_> = entries.iter().map(|entry| &*entry.name).collect();
        assert_eq!(names, expected, "{options:?}");
    }
    Ok(())
}

/// Many names, page by page, are the same as all at once.
pub async fn pages_make_up_the_whole_list(store: &dyn Store) -> Outcome {
    /// More than S3 lists and deletes by one request.
    const COUNT: usize = 1100;
    let driver = store.driver();
    let tags: Vec<_> = (0..COUNT).map(|n| format!("v{}.{}", n % 50, n)).collect();
    let write = |tag: &String| overwrite(&format!("tags/{tag}"), "");
    let writes: Vec<_> = tags.iter().map(write).collect();
    driver.write(&writes).await?;
    let mut expected = tags;
    expected.sort_unstable();
    assert_eq!(names(&*driver, "tags").await?, expected);
    for limit in [100, 999] {
        let mut paged: Vec<String> = Vec::new();
        loop {
            let after = paged.last().map(String::as_str);
            let options = ListOptions { after, limit };
            let page = driver.list(&key("tags"), options).await?;
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            paged.extend(page.into_iter().map(|entry| entry.name));
        }
        assert_eq!(paged, expected);
    }
    Ok(())
}

/// Whoever made it, with another driver too, and however often the list was taken before.
pub async fn a_list_shows_every_change_at_once(store: &dyn Store) -> Outcome {
    let (driver, other) = (store.driver(), store.driver());
    put(&*driver, "p/keep", "").await?;
    for round in 0..60 {
        if round % 20 == 0 {
            // Long enough for a driver that remembers what has not changed for a while.
            tokio::time::sleep(Duration::from_millis(80)).await;
        }
        for _ in 0..2 {
            assert_eq!(names(&*driver, "p").await?, ["keep"]);
        }
        put(&*other, "p/new", "").await?;
        assert_eq!(names(&*driver, "p").await?, ["keep", "new"]);
        other.rename(&key("p/new"), &key("p/newer")).await?;
        assert_eq!(names(&*driver, "p").await?, ["keep", "newer"]);
        other.delete(&key("p/newer")).await?;
    }
    Ok(())
}
