//! What only a filesystem can do to its driver.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use roadstead_storage::{
    ByteRange, Content, Driver, DriverExt, Entry, EntryKind, Error, Key, ListOptions, Stat, Write,
    WriteMode,
};
use roadstead_storage_filesystem::{Config, FilesystemDriver, Sync};
use tempfile::TempDir;

fn driver(root: &Path) -> FilesystemDriver {
    let config = Config {
        root: root.to_owned(),
        sync: Sync::Always,
        ..Config::default()
    };
    FilesystemDriver::new(config).unwrap()
}

fn fresh() -> (TempDir, FilesystemDriver) {
    let folder = tempfile::tempdir().unwrap();
    let driver = driver(folder.path());
    (folder, driver)
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

async fn get(driver: &FilesystemDriver, path: &str) -> Result<Bytes, Error> {
    driver.get(&key(path), u64::MAX).await
}

/// An outage, and the words that tell an operator what it is about.
#[track_caller]
fn assert_unavailable<T: std::fmt::Debug>(result: Result<T, Error>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    let causes = causes.join(": ");
    assert!(causes.contains(words), "{causes}");
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn the_tree_is_that_of_distribution() {
    let (folder, driver) = fresh();
    driver.put(&key("a/b/c"), "content".into()).await.unwrap();
    let mut upload = driver.upload(&key("u/data")).await.unwrap();
    upload.append(&["upload".into()]).await.unwrap();
    drop(upload);
    let (file, folder) = (folder.path().join("a/b/c"), folder.path());
    assert_eq!(fs::read(&file).unwrap(), b"content");
    assert_eq!(fs::read(folder.join("u/data")).unwrap(), b"upload");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let umask = 0o777 & !mode(&folder.join("a")) & 0o755;
    assert_eq!(mode(&file), 0o644 & !umask);
    assert_eq!(mode(&folder.join("u/data")), 0o644 & !umask);
}

#[tokio::test]
async fn bytes_that_distribution_appended_are_gone_on_from() {
    let (folder, driver) = fresh();
    fs::create_dir(folder.path().join("u")).unwrap();
    fs::write(folder.path().join("u/data"), "con").unwrap();
    let mut upload = driver.upload(&key("u/data")).await.unwrap();
    assert_eq!(upload.size(), 3);
    upload.append(&["tent".into()]).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(get(&driver, "u/data").await.unwrap(), "content");
}

#[tokio::test]
async fn unfinished_files_are_not_there_and_go_with_their_directory() {
    let (folder, driver) = fresh();
    driver.put(&key("a/b"), "content".into()).await.unwrap();
    let name = "c.01234567-89ab-cdef-0123-456789abcdef.tmp";
    fs::write(folder.path().join("a").join(name), "half").unwrap();
    let unfinished = key("a").join(name).unwrap();
    assert_eq!(driver.try_stat(&unfinished).await.unwrap(), None);
    assert_eq!(driver.try_get(&unfinished, 100).await.unwrap(), None);
    let rename = driver.rename(&unfinished, &key("a/d")).await;
    assert!(matches!(rename, Err(Error::NotFound(_))), "{rename:?}");
    let write = driver.put(&unfinished, "x".into()).await;
    assert!(matches!(write, Err(Error::InvalidKey(_))), "{write:?}");
    let list = driver.list(&key("a"), ListOptions::ALL).await.unwrap();
    assert_eq!(list.len(), 1);
    driver.delete(&key("a")).await.unwrap();
    assert!(!folder.path().join("a").exists());
}

#[tokio::test]
async fn a_directory_may_have_an_unfinished_files_name() {
    let (_folder, driver) = fresh();
    let tag = "v1.01234567-89ab-cdef-0123-456789abcdef.tmp";
    let link = key("tags").join(tag).unwrap().join("link").unwrap();
    driver.put(&link, "content".into()).await.unwrap();
    let list = driver.list(&key("tags"), ListOptions::ALL).await.unwrap();
    let (name, kind) = (tag.to_owned(), EntryKind::Prefix);
    assert_eq!(list, [Entry { name, kind }]);
    let prefix = driver.stat(&key("tags").join(tag).unwrap()).await.unwrap();
    assert_eq!(prefix, Stat::Prefix);
}

#[tokio::test]
async fn an_empty_directory_is_there_and_has_no_names() {
    let (folder, driver) = fresh();
    driver.put(&key("tags/v1"), "content".into()).await.unwrap();
    driver.delete(&key("tags/v1")).await.unwrap();
    assert!(folder.path().join("tags").is_dir());
    let list = driver.list(&key("tags"), ListOptions::ALL).await.unwrap();
    assert_eq!(list, []);
    driver.delete(&key("tags")).await.unwrap();
    assert!(!folder.path().join("tags").exists());
}

#[tokio::test]
async fn a_name_that_is_too_long_is_not_found_and_cannot_be_written() {
    let (_folder, driver) = fresh();
    let deep = vec!["x".repeat(200); 30].join("/");
    for path in ["x".repeat(256), format!("a/{}/b", "x".repeat(256)), deep] {
        let key = key(&path);
        assert_eq!(driver.try_stat(&key).await.unwrap(), None);
        let write = driver.put(&key, "x".into()).await;
        assert!(matches!(write, Err(Error::InvalidKey(_))), "{write:?}");
        let upload = driver.upload(&key).await;
        assert!(matches!(upload, Err(Error::InvalidKey(_))), "{upload:?}");
    }
}

#[tokio::test]
async fn a_fifo_cannot_hang_anything() {
    let (folder, driver) = fresh();
    make_fifo(&folder.path().join("fifo"));
    let all = async {
        let fifo = key("fifo");
        let irregular = "neither a regular file nor a directory";
        assert_unavailable(driver.stat(&fifo).await, irregular);
        assert_unavailable(driver.read(&fifo, ByteRange::ALL).await, irregular);
        assert_unavailable(driver.upload(&fifo).await, irregular);
        assert_unavailable(driver.rename(&fifo, &key("x")).await, irregular);
        let list = driver.list(&Key::root(), ListOptions::ALL).await;
        assert_eq!(list.unwrap(), []);
        driver.put(&fifo, "content".into()).await.unwrap();
        assert_eq!(get(&driver, "fifo").await.unwrap(), "content");
    };
    tokio::time::timeout(Duration::from_secs(10), all)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_loop_of_links_is_an_outage_and_not_an_absence() {
    let (folder, driver) = fresh();
    symlink("b", folder.path().join("a")).unwrap();
    symlink("a", folder.path().join("b")).unwrap();
    for path in ["a", "a/x"] {
        let key = key(path);
        assert_unavailable(driver.stat(&key).await, "symbolic links");
        assert_unavailable(driver.read(&key, ByteRange::ALL).await, "symbolic links");
    }
    assert_unavailable(driver.put(&key("a/x"), "x".into()).await, "symbolic links");
    driver.delete(&key("a")).await.unwrap();
    assert_eq!(driver.try_stat(&key("b")).await.unwrap(), None);
}

#[tokio::test]
async fn a_link_leads_to_another_folder_and_deleting_it_stays_here() {
    let (folder, driver) = fresh();
    let elsewhere = tempfile::tempdir().unwrap();
    symlink(elsewhere.path(), folder.path().join("blobs")).unwrap();
    driver
        .put(&key("blobs/a/b"), "content".into())
        .await
        .unwrap();
    assert_eq!(fs::read(elsewhere.path().join("a/b")).unwrap(), b"content");
    let list = driver.list(&Key::root(), ListOptions::ALL).await.unwrap();
    assert_eq!(list[0].kind, EntryKind::Prefix);
    driver.delete(&key("blobs")).await.unwrap();
    assert_eq!(driver.try_stat(&key("blobs/a/b")).await.unwrap(), None);
    assert_eq!(fs::read(elsewhere.path().join("a/b")).unwrap(), b"content");
}

#[tokio::test]
async fn the_root_may_be_replaced_while_the_driver_lives() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let driver = driver(&root);
    driver.put(&key("a"), "old".into()).await.unwrap();
    fs::rename(&root, folder.path().join("aside")).unwrap();
    assert_eq!(driver.try_stat(&key("a")).await.unwrap(), None);
    driver.put(&key("a"), "new".into()).await.unwrap();
    assert_eq!(fs::read(root.join("a")).unwrap(), b"new");
}

#[tokio::test]
async fn content_that_is_open_outlives_its_deletion() {
    let (_folder, driver) = fresh();
    let content = Bytes::from(vec![b'x'; 100_000]);
    driver.put(&key("a"), content.clone()).await.unwrap();
    let object = driver.read(&key("a"), ByteRange::ALL).await.unwrap();
    driver.put(&key("a"), "other".into()).await.unwrap();
    driver.delete(&key("a")).await.unwrap();
    let Content::File(range) = object.content else {
        panic!("not a file: {object:?}");
    };
    let mut bytes = vec![0; 100_000];
    range.file.read_exact_at(&mut bytes, range.offset).unwrap();
    assert!(bytes == content);
}

#[tokio::test]
async fn content_that_is_cut_short_while_open_is_an_outage() {
    let (folder, driver) = fresh();
    let content = Bytes::from(vec![b'x'; 100_000]);
    driver.put(&key("a"), content).await.unwrap();
    let object = driver.read(&key("a"), ByteRange::ALL).await.unwrap();
    let file = fs::File::options()
        .write(true)
        .open(folder.path().join("a"));
    file.unwrap().set_len(10).unwrap();
    let Content::File(range) = object.content else {
        panic!("not a file: {object:?}");
    };
    let mut bytes = vec![0; 100_000];
    let read = range.file.read_exact_at(&mut bytes, range.offset);
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn an_upload_is_busy_for_another_process_too() {
    let (folder, driver) = fresh();
    drop(driver.upload(&key("u/data")).await.unwrap());
    // util-linux's flock holds the lock until its standard input ends.
    let mut other = Command::new("flock")
        .arg(folder.path().join("u/data"))
        .args(["sh", "-c", "echo locked; cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let output = other.stdout.take().unwrap();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line).unwrap();
    assert_eq!(line, "locked\n");
    let upload = driver.upload(&key("u/data")).await;
    assert!(matches!(upload, Err(Error::Busy(_))), "{upload:?}");
    drop(other.stdin.take());
    other.wait().unwrap();
    driver.upload(&key("u/data")).await.unwrap();
}

#[tokio::test]
async fn an_upload_is_busy_for_another_driver_too() {
    let (folder, driver) = fresh();
    let upload = driver.upload(&key("u/data")).await.unwrap();
    let other = self::driver(folder.path());
    let busy = other.upload(&key("u/data")).await;
    assert!(matches!(busy, Err(Error::Busy(_))), "{busy:?}");
    drop(upload);
    other.upload(&key("u/data")).await.unwrap();
}

#[tokio::test]
async fn an_abandoned_append_ends_before_the_upload_goes_on() {
    let (_folder, driver) = fresh();
    let content = Bytes::from(vec![b'x'; 8 * 1024 * 1024]);
    let mut upload = driver.upload(&key("u/data")).await.unwrap();
    let append = [content.clone()];
    let append = upload.append(&append);
    let abandoned = tokio::time::timeout(Duration::ZERO, append).await;
    if abandoned.is_err() {
        assert_unavailable(upload.append(&["more".into()]).await, "abandoned");
        assert_unavailable(upload.commit().await, "abandoned");
    }
    drop(upload); // it was not abandoned if the append was done at once
    let upload = loop {
        match driver.upload(&key("u/data")).await {
            Err(Error::Busy(_)) => tokio::time::sleep(Duration::from_millis(1)).await,
            upload => break upload.unwrap(),
        }
    };
    assert!([0, content.len() as u64].contains(&upload.size()));
}

#[tokio::test]
async fn an_upload_that_was_deleted_meanwhile_does_not_commit() {
    let (folder, driver) = fresh();
    let mut upload = driver.upload(&key("u/data")).await.unwrap();
    driver.delete(&key("u")).await.unwrap();
    upload.append(&["content".into()]).await.unwrap();
    let commit = upload.commit().await;
    assert!(matches!(commit, Err(Error::NotFound(_))), "{commit:?}");
    assert!(!folder.path().join("u").exists());
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_an_outage_for_writes() {
    let (folder, driver) = fresh();
    let elsewhere = folder.path().join("not/mounted");
    symlink(&elsewhere, folder.path().join("blobs")).unwrap();
    let not_there = "Not a directory";
    assert_unavailable(driver.put(&key("blobs/a"), "x".into()).await, not_there);
    assert_unavailable(driver.put(&key("blobs/a/b"), "x".into()).await, not_there);
    assert_unavailable(driver.upload(&key("blobs/a/b")).await, not_there);
    assert!(!elsewhere.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writing_goes_on_while_the_directory_is_deleted_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let unsynced = || {
        let config = Config {
            root: folder.path().to_owned(),
            sync: Sync::Never,
            ..Config::default()
        };
        FilesystemDriver::new(config).unwrap()
    };
    let (writer, deleter) = (unsynced(), unsynced());
    let write = |mode| Write {
        key: key("a/b/c/d"),
        content: "content".into(),
        mode,
    };
    let writing = tokio::spawn(async move {
        for mode in [WriteMode::Overwrite, WriteMode::CreateNew].repeat(500) {
            match writer.write(&[write(mode)]).await {
                Ok(()) | Err(Error::Busy(_) | Error::Exists(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
            match writer.upload(&key("a/b/u/data")).await {
                Ok(_) | Err(Error::Busy(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
            match writer.rename(&key("a/b/u/data"), &key("a/e/f")).await {
                Ok(()) | Err(Error::Busy(_) | Error::NotFound(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    while !writing.is_finished() {
        match deleter.delete(&key("a")).await {
            Ok(()) | Err(Error::NotFound(_) | Error::Busy(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    writing.await.unwrap();
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_is_an_outage() {
    let test = "a_directory_that_cannot_be_written_is_an_outage";
    let Some(disk) = TinyDisk::mount(test) else {
        return;
    };
    let driver = driver(disk.path());
    driver.put(&key("a/b"), "content".into()).await.unwrap();
    let mut upload = driver.upload(&key("u/data")).await.unwrap();
    upload.append(&["con".into()]).await.unwrap();
    drop(upload);
    disk.remount("ro");
    let read_only = "Read-only file system";
    assert_unavailable(driver.put(&key("a/b"), "x".into()).await, read_only);
    assert_unavailable(driver.put(&key("c/d"), "x".into()).await, read_only);
    assert_unavailable(driver.upload(&key("u/data")).await, read_only);
    assert_unavailable(driver.rename(&key("a/b"), &key("e")).await, read_only);
    assert_unavailable(driver.delete(&key("a")).await, read_only);
    assert_eq!(get(&driver, "a/b").await.unwrap(), "content");
}

#[tokio::test]
async fn a_directory_that_may_not_be_used_is_an_outage() {
    let (folder, driver) = fresh();
    driver.put(&key("a/b"), "content".into()).await.unwrap();
    let set = |mode| {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path().join("a"), mode).unwrap();
    };
    set(0o000);
    if fs::read_dir(folder.path().join("a")).is_ok() {
        skip(
            "a_directory_that_may_not_be_used_is_an_outage",
            "this user may do everything",
        );
        return;
    }
    let denied = "Permission denied";
    assert_unavailable(driver.stat(&key("a/b")).await, denied);
    assert_unavailable(get(&driver, "a/b").await, denied);
    assert_unavailable(driver.put(&key("a/c"), "x".into()).await, denied);
    assert_unavailable(driver.delete(&key("a/b")).await, denied);
    set(0o755);
}

#[tokio::test]
async fn a_full_disk_is_an_outage_that_leaves_nothing_half_done() {
    let test = "a_full_disk_is_an_outage_that_leaves_nothing_half_done";
    let Some(disk) = TinyDisk::mount(test) else {
        return;
    };
    let driver = driver(disk.path());
    let full = "No space left on device";
    let (half, twice) = (vec![b'x'; SPACE / 2], Bytes::from(vec![b'y'; SPACE * 2]));
    driver.put(&key("a/b"), half.clone().into()).await.unwrap();
    assert_unavailable(driver.put(&key("a/b"), twice.clone()).await, full);
    assert!(get(&driver, "a/b").await.unwrap() == half);
    let names = || fs::read_dir(disk.path().join("a")).unwrap().count();
    assert_eq!(names(), 1);

    let mut upload = driver.upload(&key("u/data")).await.unwrap();
    upload.append(&["con".into()]).await.unwrap();
    let file = disk.path().join("u/data");
    for _ in 0..2 {
        let append = upload.append(&["more".into(), twice.clone()]).await;
        assert_unavailable(append, full);
        assert_eq!(upload.size(), 3);
        assert_eq!(fs::metadata(&file).unwrap().len(), 3);
    }
    upload.append(&["tent".into()]).await.unwrap();
    upload.commit().await.unwrap();
    assert_eq!(get(&driver, "u/data").await.unwrap(), "content");
}

#[tokio::test]
async fn content_can_be_renamed_to_another_disk() {
    let test = "content_can_be_renamed_to_another_disk";
    let Some(disk) = TinyDisk::mount(test) else {
        return;
    };
    let (folder, driver) = fresh();
    symlink(disk.path(), folder.path().join("blobs")).unwrap();
    let content = Bytes::from(vec![b'x'; SPACE / 4]);
    driver.put(&key("u/data"), content.clone()).await.unwrap();
    driver.put(&key("blobs/b"), "old".into()).await.unwrap();
    let way = ["u/data", "blobs/a/data", "back", "blobs/b"];
    for (from, to) in way.into_iter().zip(&way[1..]) {
        driver.rename(&key(from), &key(to)).await.unwrap();
        assert!(get(&driver, to).await.unwrap() == content);
        assert_eq!(driver.try_stat(&key(from)).await.unwrap(), None);
    }
    let full = Bytes::from(vec![b'y'; SPACE * 2]);
    driver.put(&key("big"), full.clone()).await.unwrap();
    let rename = driver.rename(&key("big"), &key("blobs/b")).await;
    assert_unavailable(rename, "No space left on device");
    assert!(get(&driver, "big").await.unwrap() == full);
    assert!(get(&driver, "blobs/b").await.unwrap() == content);
}

/// How many bytes fit on a [`TinyDisk`].
const SPACE: usize = 256 * 1024;

/// A small filesystem of its own, for as long as the value lives.
struct TinyDisk(TempDir);

impl TinyDisk {
    /// Only root can have one; the test is skipped otherwise.
    fn mount(test: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={SPACE}");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tmpfs"]);
        let mounted = mount.arg(folder.path()).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            skip(test, "no tmpfs can be mounted");
            return None;
        }
        Some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-o", &options]).arg(self.path()).status();
        assert!(mounted.unwrap().success());
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.unwrap().success());
    }
}

#[expect(clippy::print_stderr, reason = "a test that is skipped has to be seen")]
fn skip(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: {why}");
}
