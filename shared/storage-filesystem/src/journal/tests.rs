//! What a machine that stops can do to the files, and that nobody notices afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::select;
use roadstead_storage::{Driver as _, DriverExt as _, Error, Stat};
use tempfile::TempDir;

use super::segment::SIZE;
use super::*;
use crate::disk::Disk;
use crate::{FilesystemDriver, Sync, temporary};

/// No key is below another one.
const KEYS: [&str; 6] = [
    "a/1/link",
    "a/2/link",
    "a/2/x/link",
    "b/data",
    "b/c/link",
    "d",
];
const PREFIXES: [&str; 8] = ["a", "a/2", "a/2/link", "b", "b/c", "d", "e", ""];

/// A content that no journal takes.
const LARGE: usize = LIMIT + 1;

type Contents = BTreeMap<String, Bytes>;

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn write(path: &str, content: &Bytes, mode: WriteMode) -> Write {
    Write {
        key: key(path),
        content: content.clone(),
        mode,
    }
}

/// The store at `root`, as of the given run of a kernel; the journal empties itself when it has to.
fn open(root: &Path, run: u128) -> FilesystemDriver {
    let machine = Machine {
        run: Uuid::from_u128(run),
        is_fit: |_| true,
        delay: Duration::from_secs(86_400),
    };
    let disk = Disk::new(root.to_owned(), Sync::Journal, 25);
    FilesystemDriver::on(disk.with_journal(Journal::on(machine, root))).unwrap()
}

fn journal(driver: &FilesystemDriver) -> &Journal {
    driver.disk().journal().unwrap()
}

/// What only the journal keeps from being lost.
fn at_risk(driver: &FilesystemDriver) -> Vec<Key> {
    let state = journal(driver).shared.lock();
    let keys = state.segments().flat_map(|open| open.keys.iter().cloned());
    keys.collect()
}

/// What a crash may make of a file that nobody forced.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Kept,
    Missing,
    Empty,
    Older,
    /// A directory where the file was.
    Directory,
    /// A file where its directory was.
    File,
}

const FATES: [Fate; 6] = [
    Fate::Kept,
    Fate::Missing,
    Fate::Empty,
    Fate::Older,
    Fate::Directory,
    Fate::File,
];

/// The store after the machine has stopped and started again.
fn crash(driver: &FilesystemDriver, fates: &[Fate]) -> (TempDir, FilesystemDriver) {
    let copy = tempfile::tempdir().unwrap();
    let forcing = journal(driver).shared.forcing.lock().unwrap();
    let at_risk = at_risk(driver);
    copy_tree(driver.disk().root(), copy.path());
    drop(forcing);
    for (key, fate) in at_risk.iter().zip(fates.iter().cycle()) {
        let path = copy.path().join(key.as_str());
        if !path.exists() {
            continue;
        }
        match fate {
            Fate::Kept => {}
            Fate::Missing => remove_with_directories(&path, copy.path()),
            Fate::Empty => damage(&path, b""),
            Fate::Older => damage(&path, b"older"),
            Fate::Directory => {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
                age(&path);
            }
            Fate::File => {
                remove_with_directories(&path, copy.path());
                let parent = path.parent().unwrap();
                if !parent.exists() {
                    fs::create_dir_all(parent.parent().unwrap()).unwrap();
                    fs::write(parent, "what another name led to").unwrap();
                }
            }
        }
    }
    let driver = open(copy.path(), 2);
    (copy, driver)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if path.is_dir() {
            copy_tree(&path, &to);
            continue;
        }
        fs::copy(&path, &to).unwrap();
        set_modified(&to, fs::metadata(&path).unwrap().modified().unwrap());
    }
}

fn set_modified(path: &Path, time: SystemTime) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(time).unwrap();
}

fn damage(path: &Path, content: &[u8]) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, content).unwrap();
    set_modified(path, modified);
}

/// What a damaged filesystem says of a time may be anything, but is not later.
fn age(directory: &Path) {
    let directory = fs::File::open(directory).unwrap();
    directory.set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

fn remove_with_directories(path: &Path, root: &Path) {
    fs::remove_file(path).unwrap();
    let above = path.ancestors().skip(1).take_while(|above| *above != root);
    for directory in above {
        // Those that are empty now.
        let _ = fs::remove_dir(directory);
    }
}

fn contents(root: &Path) -> Contents {
    let mut found = Contents::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            if temporary::is_temporary(path.file_name().unwrap().to_str().unwrap()) {
                continue;
            }
            if path.is_file() {
                found.insert(name, fs::read(&path).unwrap().into());
            } else if name != FOLDER {
                folders.push(path);
            }
        }
    }
    found
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<&'static str>, u8),
    WriteLarge(&'static str),
    WriteNew(&'static str),
    Delete(&'static str),
    DeleteSeen(&'static str),
    Rename(&'static str, &'static str),
    Append(&'static str),
    Force,
}

fn step() -> impl Strategy<Value = Step> {
    let key = || select(&KEYS[..]);
    let some = proptest::collection::vec(key(), 1..4);
    prop_oneof![
        6 => (some, any::<u8>()).prop_map(|(keys, content)| Step::Write(keys, content)),
        1 => key().prop_map(Step::WriteLarge),
        1 => key().prop_map(Step::WriteNew),
        2 => select(&PREFIXES[..]).prop_map(Step::Delete),
        1 => key().prop_map(Step::DeleteSeen),
        1 => (key(), key()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => key().prop_map(Step::Append),
        1 => Just(Step::Force),
    ]
}

async fn take(driver: &FilesystemDriver, step: Step) -> Result<(), Error> {
    match step {
        Step::Write(keys, content) => {
            let content = Bytes::from(vec![content; 100]);
            let write = |path| write(path, &content, WriteMode::Overwrite);
            driver
                .write(&keys.into_iter().map(write).collect::<Vec<_>>())
                .await
        }
        Step::WriteLarge(path) => driver.put(&key(path), vec![7; LARGE].into()).await,
        Step::WriteNew(path) => {
            let new = Bytes::from_static(b"new");
            driver
                .write(&[write(path, &new, WriteMode::CreateNew)])
                .await
        }
        Step::Delete(path) => driver.delete(&key(path)).await,
        Step::DeleteSeen(path) => {
            if let Stat::Content(seen) = driver.stat(&key(path)).await? {
                assert!(driver.delete_if(&key(path), &seen).await?);
            }
            Ok(())
        }
        Step::Rename(from, to) => driver.rename(&key(from), &key(to)).await,
        Step::Append(path) => {
            let mut upload = driver.upload(&key(path)).await?;
            upload.append(&[Bytes::from_static(b"more")]).await?;
            upload.commit().await
        }
        Step::Force => {
            journal(driver).shared.force().unwrap();
            Ok(())
        }
    }
}

fn in_runtime<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_crash_is_not_noticed(
        steps in proptest::collection::vec(step(), 1..25),
        fates in proptest::collection::vec(select(&FATES[..]), 1..8),
    ) {
        let store = tempfile::tempdir().unwrap();
        let driver = open(store.path(), 1);
        for step in steps {
            match in_runtime(take(&driver, step)) {
                Ok(()) | Err(Error::NotFound(_) | Error::Exists(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let expected = contents(store.path());
        let (copy, driver) = crash(&driver, &fates);
        prop_assert_eq!(contents(copy.path()), expected);
        prop_assert!(!copy.path().join(FOLDER).exists(), "done once, the journal is gone");
        drop(driver);
    }
}

/// What several do at a time to the same keys is in the journal in the order in which it happened.
#[test]
fn a_crash_is_not_noticed_after_a_crowd() {
    for round in 0..10u8 {
        let store = tempfile::tempdir().unwrap();
        let driver = open(store.path(), 1);
        in_runtime(async {
            let work = |worker: u8| {
                let driver = &driver;
                async move {
                    for turn in 0..20u8 {
                        let step = match (worker + turn) % 5 {
                            0 => Step::Delete("a/2"),
                            1 => Step::Rename("d", "a/1/link"),
                            _ => Step::Write(vec!["a/1/link", "a/2/link", "d"], worker * 20 + turn),
                        };
                        match take(driver, step).await {
                            Ok(()) | Err(Error::NotFound(_) | Error::Busy(_)) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                        tokio::task::yield_now().await;
                    }
                }
            };
            tokio::join!(work(0), work(1), work(2), work(3));
        });
        let expected = contents(store.path());
        let fates = [Fate::Missing, Fate::Older, Fate::Empty];
        let fates = [fates[usize::from(round) % 3]];
        let (copy, _driver) = crash(&driver, &fates);
        assert_eq!(contents(copy.path()), expected);
    }
}

#[test]
fn a_killed_process_is_not_a_crash() {
    let store = tempfile::tempdir().unwrap();
    let driver = open(store.path(), 1);
    in_runtime(take(&driver, Step::Write(vec!["d"], 1))).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_tree(store.path(), copy.path());
    // Somebody else works on after the process is gone.
    fs::remove_file(copy.path().join("d")).unwrap();
    let _driver = open(copy.path(), 1);
    assert_eq!(contents(copy.path()), Contents::new());
    assert!(!copy.path().join(FOLDER).exists());
}

#[test]
fn two_that_recover_at_once_do_it_once() {
    let store = tempfile::tempdir().unwrap();
    let driver = open(store.path(), 1);
    in_runtime(take(&driver, Step::Write(vec!["d", "b/data"], 1))).unwrap();
    let expected = contents(store.path());
    for _ in 0..20 {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(store.path(), copy.path());
        fs::remove_file(copy.path().join("d")).unwrap();
        std::thread::scope(|scope| {
            let open = || drop(open(copy.path(), 2));
            scope.spawn(open);
            scope.spawn(open);
        });
        assert_eq!(contents(copy.path()), expected);
        assert!(!copy.path().join(FOLDER).exists());
    }
}

#[test]
fn what_another_registry_wrote_after_the_crash_stays() {
    let store = tempfile::tempdir().unwrap();
    let driver = open(store.path(), 1);
    in_runtime(take(&driver, Step::Write(vec!["d"], 1))).unwrap();
    let copy = tempfile::tempdir().unwrap();
    copy_tree(store.path(), copy.path());
    fs::write(copy.path().join("d"), "theirs").unwrap();
    set_modified(
        &copy.path().join("d"),
        SystemTime::now() + Duration::from_secs(60),
    );
    let _driver = open(copy.path(), 2);
    assert_eq!(contents(copy.path())["d"], "theirs");
}

#[test]
fn the_journal_of_a_living_process_is_left_alone() {
    let store = tempfile::tempdir().unwrap();
    let driver = open(store.path(), 1);
    in_runtime(take(&driver, Step::Write(vec!["d"], 1))).unwrap();
    fs::remove_file(store.path().join("d")).unwrap();
    let other = open(store.path(), 2);
    assert_eq!(contents(store.path()), Contents::new());
    assert_eq!(at_risk(&driver), [key("d")]);
    drop(other);
    assert!(store.path().join(FOLDER).exists());
    drop(driver);
    assert!(
        !store.path().join(FOLDER).exists(),
        "a clean end leaves no journal"
    );
}

/// More than two segments have room for, at a time when nobody empties them.
#[test]
fn a_full_journal_is_emptied_or_passed_by() {
    let store = tempfile::tempdir().unwrap();
    let driver = open(store.path(), 1);
    let content = Bytes::from(vec![1; LIMIT]);
    in_runtime(async {
        for number in 0..40 {
            driver
                .put(&key(&format!("n/{number}")), content.clone())
                .await
                .unwrap();
        }
    });
    assert!(at_risk(&driver).len() < 2 * SIZE / LIMIT);
    let (copy, _driver) = crash(&driver, &[Fate::Missing]);
    assert_eq!(contents(copy.path()).len(), 40);
}

#[test]
fn a_root_that_is_made_anew_gets_a_journal_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let driver = open(&root, 1);
    in_runtime(take(&driver, Step::Write(vec!["a/1/link"], 1))).unwrap();
    fs::remove_dir_all(&root).unwrap();
    in_runtime(take(&driver, Step::Write(vec!["d"], 2))).unwrap();
    let (copy, _driver) = crash(&driver, &[Fate::Missing]);
    let found: Vec<String> = contents(copy.path()).into_keys().collect();
    assert_eq!(found, ["d"]);
}

/// Otherwise a file that gets its name after everything was forced would be in no journal any more.
#[test]
fn the_journal_is_not_emptied_before_what_it_says_is_done() {
    let store = tempfile::tempdir().unwrap();
    let driver = open(store.path(), 1);
    let elsewhere = tempfile::tempdir().unwrap();
    let other = open(elsewhere.path(), 1);
    let writes = [write(
        "d",
        &Bytes::from_static(b"content"),
        WriteMode::Overwrite,
    )];
    let alone = Arc::new(Semaphore::new(0));
    let appended = journal(&driver).append(&writes, &|_| Ok(()), &alone);
    let applying = appended.unwrap().unwrap().wait().unwrap();
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            journal(&driver).shared.force().unwrap();
            order.lock().unwrap().push("forced");
        });
        while journal(&driver).shared.lock().closed.is_none() {
            std::thread::yield_now();
        }
        // As much as that thread has left to do, were it not to wait.
        for _ in 0..3 {
            in_runtime(take(&other, Step::Write(vec!["d"], 1))).unwrap();
            journal(&other).shared.force().unwrap();
        }
        order.lock().unwrap().push("done");
        drop(applying);
    });
    assert_eq!(*order.lock().unwrap(), ["done", "forced"]);
}
