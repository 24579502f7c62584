//! Measures the driver on a folder: `cargo run --release --example measure -- /some/folder`.

#![expect(
    clippy::print_stdout,
    reason = "printing figures is what it is there for"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use roadstead_storage::{
    ByteRange, Driver, DriverExt, Error, Key, ListOptions, Upload, Write, WriteMode,
};
use roadstead_storage_filesystem::{Config, FilesystemDriver, Sync};

type Outcome = Result<(), Box<dyn std::error::Error + Send + std::marker::Sync>>;

#[tokio::main]
async fn main() -> Outcome {
    let folder = std::env::args().nth(1).ok_or("which folder?")?;
    for sync in [Sync::Always, Sync::Never] {
        println!("sync: {sync:?}");
        let root = std::path::Path::new(&folder).join(format!("{sync:?}"));
        let config = Config {
            root: root.clone(),
            sync,
            ..Config::default()
        };
        let driver = Arc::new(FilesystemDriver::new(config)?);
        writes(&*driver).await?;
        upload(&*driver).await?;
        reads(&driver).await?;
        lists(&*driver).await?;
        driver.delete(&Key::root()).await?;
        std::fs::remove_dir(root)?;
    }
    Ok(())
}

fn report(what: &str, count: u32, began: Instant) {
    let each = began.elapsed() / count;
    let rate = 1.0 / each.max(Duration::from_nanos(1)).as_secs_f64();
    println!("  {what:<52} {each:>12.1?} {rate:>12.0}/s");
}

fn small(path: &str) -> Result<Write, Error> {
    Ok(Write {
        key: Key::new(path)?,
        content: Bytes::from_static(&[b'x'; 71]),
        mode: WriteMode::Overwrite,
    })
}

async fn writes(driver: &dyn Driver) -> Outcome {
    const ROUNDS: u32 = 300;
    let same: Vec<Write> = ["a/link", "b/link", "c/link", "d/link"]
        .iter()
        .map(|path| small(path))
        .collect::<Result<_, _>>()?;
    driver.write(&same).await?;
    tokio::time::sleep(Duration::from_millis(100)).await;
    driver.write(&same).await?;
    for (count, what) in [(1, "write 1 small file"), (4, "write 4 small files")] {
        let began = Instant::now();
        for _ in 0..ROUNDS {
            driver.write(&same[..count]).await?;
        }
        report(&format!("{what}, directories known"), ROUNDS, began);
    }
    let began = Instant::now();
    for round in 0..ROUNDS {
        driver
            .write(&[
                small(&format!("blobs/sha256/{:02x}/{round}/data", round % 7))?,
                small(&format!("r/_manifests/revisions/sha256/{round}/link"))?,
                small(&format!("r/_manifests/tags/{round}/index/sha256/x/link"))?,
                small(&format!("r/_manifests/tags/{round}/current/link"))?,
            ])
            .await?;
    }
    report("push a manifest with a new tag (4 files)", ROUNDS, began);
    let began = Instant::now();
    for round in 0..ROUNDS {
        let from = Key::new(&format!("r/_manifests/tags/{round}/current/link"))?;
        driver
            .rename(&from, &Key::new(&format!("moved/{round}/data"))?)
            .await?;
    }
    report("rename to a new directory", ROUNDS, began);
    let began = Instant::now();
    for round in 0..ROUNDS {
        let key = Key::new(&format!("r/_manifests/tags/{round}"))?;
        driver.delete(&key).await?;
    }
    report("delete a tag", ROUNDS, began);
    Ok(())
}

async fn upload(driver: &dyn Driver) -> Outcome {
    let chunk = Bytes::from(vec![b'x'; 256 * 1024]);
    let chunks = vec![chunk; 4];
    let began = Instant::now();
    let mut upload: Box<dyn Upload> = driver.upload(&Key::new("u/data")?).await?;
    for _ in 0..512 {
        upload.append(&chunks).await?;
    }
    let appended = began.elapsed();
    upload.commit().await?;
    let whole = began.elapsed();
    println!("  upload of 512 MiB: appended after {appended:.2?}, committed after {whole:.2?}");
    let began = Instant::now();
    for round in 0..100 {
        let mut upload = driver
            .upload(&Key::new(&format!("u/{round}/data"))?)
            .await?;
        upload.append(&chunks[..1]).await?;
        upload.commit().await?;
    }
    report("upload of 256 KiB", 100, began);
    Ok(())
}

async fn reads(driver: &Arc<FilesystemDriver>) -> Outcome {
    const ROUNDS: u32 = 200_000;
    let big = Key::new("u/0/data")?;
    for (path, size) in [
        ("read/a/b/c/d/e/71", 71),
        ("read/a/b/c/d/e/8k", 8192),
        ("read/a/b/c/d/e/64k", 65_536),
    ] {
        driver
            .put(&Key::new(path)?, vec![b'x'; size].into())
            .await?;
    }
    for (key, what) in [
        (Key::new("read/a/b/c/d/e/71")?, "read 71 bytes"),
        (Key::new("read/a/b/c/d/e/8k")?, "read 8 KiB"),
        (Key::new("read/a/b/c/d/e/64k")?, "read 64 KiB"),
        (big, "open 256 KiB"),
    ] {
        let (one, two) = (driver.clone(), key.clone());
        let other = tokio::spawn(async move { read(&*one, &two, ROUNDS / 2).await });
        let began = Instant::now();
        read(&**driver, &key, ROUNDS / 2).await?;
        other.await??;
        report(&format!("{what}, two tasks"), ROUNDS, began);
    }
    for (path, what) in [
        ("read/a/b/c/d/e/71", "stat"),
        ("read/a/nothing", "stat of nothing"),
    ] {
        let key = Key::new(path)?;
        let began = Instant::now();
        for _ in 0..ROUNDS {
            driver.try_stat(&key).await?;
        }
        report(what, ROUNDS, began);
    }
    Ok(())
}

async fn read(driver: &dyn Driver, key: &Key, rounds: u32) -> Result<(), Error> {
    for _ in 0..rounds {
        driver.read(key, ByteRange::ALL).await?;
    }
    Ok(())
}

async fn lists(driver: &dyn Driver) -> Outcome {
    let tags: Vec<Write> = (0..3000)
        .map(|tag| small(&format!("l/tags/v{tag}/link")))
        .collect::<Result<_, _>>()?;
    driver.write(&tags).await?;
    let prefix = Key::new("l/tags")?;
    let options = ListOptions {
        after: Some("v1500"),
        limit: 100,
    };
    let began = Instant::now();
    let mut rounds = 0;
    while began.elapsed() < Duration::from_millis(40) {
        driver.list(&prefix, options).await?;
        rounds += 1;
    }
    report("list 100 of 3000, just changed", rounds, began);
    tokio::time::sleep(Duration::from_millis(100)).await;
    driver.list(&prefix, options).await?;
    let began = Instant::now();
    for _ in 0..20_000 {
        driver.list(&prefix, options).await?;
    }
    report("list 100 of 3000, remembered", 20_000, began);
    Ok(())
}
