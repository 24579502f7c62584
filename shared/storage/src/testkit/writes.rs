//! `write`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::{Outcome, Store, assert_fails, create, get, key, overwrite, put};
use crate::{Driver, DriverExt, Error};

/// Shorter, longer and empty content replaces what was there.
pub async fn a_write_replaces_what_was_there(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    for content in ["content", "more content", "less", ""] {
        put(&*driver, "a/b", content).await?;
        assert_eq!(get(&*driver, "a/b").await?, content);
    }
    Ok(())
}

/// One call writes to many places, also twice to the same one.
pub async fn the_writes_of_one_call_all_take_effect(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    driver.write(&[]).await?;
    driver
        .write(&[
            overwrite("a/b/c", "1"),
            create("a/d", "2"),
            overwrite("e", "3"),
            overwrite("a/b/f", "4"),
            overwrite("e", "5"),
        ])
        .await?;
    for (path, content) in [("a/b/c", "1"), ("a/d", "2"), ("e", "5"), ("a/b/f", "4")] {
        assert_eq!(get(&*driver, path).await?, content);
    }
    Ok(())
}

/// A conflict stops a call: neither the write in conflict nor a later one takes effect.
pub async fn create_new_leaves_what_was_there(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    driver.write(&[create("a", "first")]).await?;
    let again = driver.write(&[create("a", "second")]).await;
    assert_fails!(again, Error::Exists(_));
    let writes = [
        overwrite("b", "before"),
        create("a", "second"),
        overwrite("c", "after"),
    ];
    assert_fails!(driver.write(&writes).await, Error::Exists(_));
    let twice = [create("d", "first"), create("d", "second")];
    assert_fails!(driver.write(&twice).await, Error::Exists(_));
    assert_eq!(get(&*driver, "a").await?, "first");
    assert_eq!(driver.try_stat(&key("c")).await?, None);
    let twice = driver.try_get(&key("d"), 100).await?;
    assert!(twice.is_none_or(|content| content == "first"));
    put(&*driver, "a", "third").await?;
    assert_eq!(get(&*driver, "a").await?, "third");
    Ok(())
}

/// Of those who create the same key, one succeeds, and its content stays.
pub async fn one_of_many_creators_wins(store: &dyn Store) -> Outcome {
    for round in 0..20 {
        let path = format!("round/{round}/a");
        let create = |creator: usize| {
            let (driver, path) = (store.driver(), path.clone());
            tokio::spawn(async move {
                let write = create(&path, format!("creator {creator}"));
                (creator, driver.write(&[write]).await)
            })
        };
        let creators: Vec<_> = (0..8).map(create).collect();
        let mut winners = Vec::new();
        for creator in creators {
            match creator.await? {
                (creator, Ok(())) => winners.push(creator),
                (_, Err(Error::Exists(_))) => {}
                (_, Err(error)) => return Err(error.into()),
            }
        }
        assert!(!winners.is_empty());
        assert!(
            winners.len() == 1 || !store.creates_exactly(),
            "{winners:?}"
        );
        let content = get(&*store.driver(), &path).await?;
        let of_a_winner = |winner: &usize| content == format!("creator {winner}");
        assert!(
            winners.iter().any(of_a_winner),
            "{content:?} of {winners:?}"
        );
    }
    Ok(())
}

/// While content is replaced, a reader sees the whole of the one or of the other.
pub async fn a_reader_never_sees_half_a_write(store: &dyn Store) -> Outcome {
    let contents = [(b'a', 100_000), (b'b', 30_000), (b'c', 200_000)];
    put(&*store.driver(), "a", "").await?;
    let writers = contents.map(|(byte, size)| {
        let driver = store.driver();
        tokio::spawn(async move {
            for _ in 0..30 {
                put(&*driver, "a", vec![byte; size]).await?;
            }
            Ok::<_, Error>(())
        })
    });
    let done = Arc::new(AtomicBool::new(false));
    let reader = {
        let (driver, done) = (store.driver(), Arc::clone(&done));
        tokio::spawn(async move {
            while !done.load(Ordering::Relaxed) {
                let content = get(&*driver, "a").await?;
                let whole = |(byte, size): (u8, usize)| content == vec![byte; size];
                assert!(content.is_empty() || contents.into_iter().any(whole));
            }
            Ok::<_, Error>(())
        })
    };
    for writer in writers {
        writer.await??;
    }
    done.store(true, Ordering::Relaxed);
    Ok(reader.await??)
}

/// Who sees a later write of a call sees the earlier ones as well.
pub async fn writes_take_effect_in_their_order(store: &dyn Store) -> Outcome {
    let driver = store.driver();
    let write = async |driver: &dyn Driver, number: u32| {
        let number = Bytes::from(number.to_string());
        let writes = [
            overwrite("first", number.clone()),
            overwrite("x/y/second", number),
        ];
        driver.write(&writes).await
    };
    write(&*driver, 0).await?;
    let reader = {
        let driver = store.driver();
        tokio::spawn(async move {
            let (mut first, mut second) = (0, 0);
            while first < 100 {
                second = second.max(number(&*driver, "x/y/second").await?);
                first = number(&*driver, "first").await?;
                assert!(first >= second, "{first} after {second}");
            }
            Ok::<_, Error>(())
        })
    };
    for round in 1..=100 {
        write(&*driver, round).await?;
    }
    Ok(reader.await??)
}

async fn number(driver: &dyn Driver, path: &str) -> Result<u32, Error> {
    let content = get(driver, path).await?;
    let number = std::str::from_utf8(&content).ok().map(str::parse);
    Ok(number
        .and_then(Result::ok)
        .unwrap_or_else(|| panic!("{content:?}")))
}
