//! What was acknowledged before the machine stopped is done once more.
//!
//! As long as the kernel runs, what a killed process wrote is there for everybody, and only has to be
//! forced. After that the journal is right, and the files may be anything: missing, empty, or of another
//! content than was written.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use roadstead_storage::{Key, WriteMode};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use uuid::Uuid;

use super::claims::is_at_or_below;
use super::filesystem;
use super::record::{Entry, Record};
use super::segment::Contents;
use crate::directory::{self, Directory};
use crate::error::vanished;
use crate::temporary;
use crate::write::Staged;

/// A file that changed so much later than the journal says was written by somebody else, say another registry, who
/// came after the crash. Beyond the time that a write takes.
const LATER: Duration = Duration::from_secs(5);

/// Does what the journals in `folder` say that no process has any more, and removes them.
pub(super) fn recover(root: &Path, folder: &Path, run: Uuid) -> io::Result<()> {
    let directory = match Directory::open(folder) {
        Err(error) if vanished(&error) => return Ok(()),
        directory => directory?,
    };
    // One at a time; who comes second finds all done.
    flock(&directory, FlockOperation::LockExclusive)?;
    let orphans = orphans(folder)?;
    let mut lost = Vec::new();
    for orphan in &orphans {
        let contents = Contents::read(&orphan.locked)?;
        lost.extend(contents.filter(|contents| contents.header.run != run));
    }
    let lost = Lost::of(lost);
    let count = lost.write_again(root)?;
    if count > 0 {
        tracing::warn!(
            files = count,
            "the machine stopped without a clean end; what was pushed just before is written again"
        );
    }
    let removed = remove(&directory, &orphans);
    // Unless another process has its own there.
    let _removed = std::fs::remove_dir(folder);
    match removed {
        // Nothing had to be written, and nothing will be.
        Err(error) if count == 0 && Errno::from_io_error(&error) == Some(Errno::ROFS) => Ok(()),
        outcome => outcome,
    }
}

/// A segment whose process is gone; locked, so that it stays ours.
struct Orphan {
    path: PathBuf,
    locked: File,
}

fn orphans(folder: &Path) -> io::Result<Vec<Orphan>> {
    let mut orphans = Vec::new();
    let entries = match std::fs::read_dir(folder) {
        // Another process has recovered, or ended, meanwhile.
        Err(error) if vanished(&error) => return Ok(orphans),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_type()?.is_file() {
            continue;
        }
        let path = entry.path();
        let file = match File::open(&path) {
            Err(error) if vanished(&error) => continue,
            file => file?,
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => {}
            outcome => {
                outcome?;
                orphans.push(Orphan { path, locked: file });
            }
        }
    }
    Ok(orphans)
}

fn remove(directory: &Directory, orphans: &[Orphan]) -> io::Result<()> {
    if orphans.is_empty() {
        return Ok(());
    }
    filesystem::sync(directory.file())?;
    for orphan in orphans {
        match std::fs::remove_file(&orphan.path) {
            // Its process did so when it ended.
            Err(error) if vanished(&error) => {}
            outcome => outcome?,
        }
    }
    directory::sync(directory.file())
}

/// What has to be in the store.
struct Lost {
    /// With when it was said.
    contents: BTreeMap<Key, (Bytes, SystemTime)>,
}

impl Lost {
    fn of(journals: Vec<Contents>) -> Self {
        let mut records: Vec<Record> = journals
            .into_iter()
            .flat_map(|journal| journal.records)
            .collect();
        records.sort_by_key(|record| record.time);
        let mut contents = BTreeMap::new();
        for record in records {
            let time = SystemTime::UNIX_EPOCH + Duration::from_nanos(record.time);
            for entry in record.entries {
                match entry {
                    Entry::Write { key, content } => drop(contents.insert(key, (content, time))),
                    Entry::Forget { key } => {
                        contents.retain(|other, _| !is_at_or_below(other, &key))
                    }
                }
            }
        }
        Self { contents }
    }

    /// How many files had to be.
    fn write_again(&self, root: &Path) -> io::Result<usize> {
        let mut count = 0;
        for (key, (content, time)) in &self.contents {
            let path = root.join(key.as_str());
            if is_needed(&path, content, *time)? {
                clear_the_way(root, &path)?;
                write(&path, content)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

fn is_needed(path: &Path, content: &[u8], time: SystemTime) -> io::Result<bool> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => return Ok(true),
        metadata => metadata?,
    };
    let is_right = || Ok::<_, io::Error>(metadata.is_file() && std::fs::read(path)? == content);
    Ok(metadata.modified()? <= time + LATER && !is_right()?)
}

fn is_absent(error: &io::Error) -> bool {
    vanished(error) || error.kind() == io::ErrorKind::NotADirectory
}

/// Puts aside what no registry has put at `path` or above: after a crash of a filesystem without a
/// journal, one name may lead to what another one was. It is as a file that was never finished then.
fn clear_the_way(root: &Path, path: &Path) -> io::Result<()> {
    let above = path.ancestors().skip(1).take_while(|above| *above != root);
    let mut files = above.filter(|above| above.is_file());
    let obstacle = files.next().or(path.is_dir().then_some(path));
    let Some((obstacle, name)) =
        obstacle.and_then(|obstacle| Some((obstacle, obstacle.file_name()?.to_str()?)))
    else {
        return Ok(());
    };
    let aside = obstacle.with_file_name(temporary::beside(name));
    tracing::warn!(path = %obstacle.display(), aside = %aside.display(), "put aside: it is in the way of what was pushed");
    std::fs::rename(obstacle, aside)
}

/// Durable only with the filesystem.
fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(parent), Some(name)) = (
        path.parent(),
        path.file_name().and_then(|name| name.to_str()),
    ) else {
        return Ok(());
    };
    let directory = Rc::new(Directory::create(parent)?);
    let mut staged = Staged::create(directory, name, content)?;
    staged.publish(WriteMode::Overwrite)
}
