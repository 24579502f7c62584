//! The file that the hashes of keys are in.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};

use super::key::{ApiKey, Hash, hexadecimal};
use super::scope::KeyScope;
use crate::FileError;

/// The keys of a file, by their names.
#[derive(Debug, Default)]
pub struct ApiKeyFile(BTreeMap<String, StoredKey>);

/// What is known of a key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    /// The name of the key.
    pub id: String,
    /// The user that its bearer acts as.
    pub owner: String,
    /// The SHA-256 of the key, in hexadecimal.
    sha256: String,
    /// When it was made, in seconds since the epoch.
    pub created: u64,
    /// When it ends, in seconds since the epoch; `None` for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// What it may do at most; `None` for all that its owner may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<KeyScope>>,
}

/// What a key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// The user that its bearer acts as.
    pub owner: String,
    /// Now, in seconds since the epoch.
    pub created: u64,
    /// When it ends; `None` for never.
    pub expires: Option<u64>,
    /// What it may do at most; with none, all that its owner may.
    pub scopes: Vec<KeyScope>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    keys: Vec<StoredKey>,
}

impl StoredKey {
    /// Whether it has not ended.
    pub fn counts(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

impl ApiKeyFile {
    /// The keys in the order of their names.
    pub fn keys(&self) -> impl Iterator<Item = &StoredKey> {
        self.0.values()
    }

    /// What is known of this key. The names are no secrets; the hash is compared in any case.
    pub(super) fn find(&self, key: &ApiKey) -> Option<&StoredKey> {
        let stored = self.0.get(key.id());
        let nothing = hexadecimal(&Hash::default());
        let expected = stored.map_or(&nothing, |stored| &stored.sha256);
        let hash = hexadecimal(&key.hash());
        let is_equal = verify_slices_are_equal(hash.as_bytes(), expected.as_bytes()).is_ok();
        stored.filter(|_| is_equal)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let mut keys = BTreeMap::new();
        for key in document.keys {
            if let Some(twice) = keys.insert(key.id.clone(), key) {
                return Err(format!("the key {} is there twice", twice.id));
            }
        }
        Ok(Self(keys))
    }

    /// The keys of the file at `path`; none where there is no file. Blocks.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no file of keys.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        match std::fs::read(path) {
            Ok(bytes) => Self::parse(&bytes).map_err(|message| FileError::Content {
                path: path.display().to_string(),
                message,
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(path)(error)),
        }
    }

    /// Makes a key and keeps its hash in the file at `path`, which is made where there is none, for
    /// its owner alone to read. Blocks, also while another process changes it.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written, or is no file of keys: it is left as it was.
    pub fn add(path: &Path, new: NewKey) -> Result<ApiKey, FileError> {
        let key = ApiKey::generate().map_err(failed(path))?;
        let stored = StoredKey {
            id: key.id().to_owned(),
            owner: new.owner,
            sha256: hexadecimal(&key.hash()),
            created: new.created,
            expires: new.expires,
            scopes: Some(new.scopes).filter(|scopes| !scopes.is_empty()),
        };
        changed(path, |keys| keys.insert(stored.id.clone(), stored))?;
        Ok(key)
    }

    /// Takes the key of this name out of the file, and says whether it was there. Blocks.
    ///
    /// # Errors
    ///
    /// The file cannot be read or written, or is no file of keys: it is left as it was.
    pub fn revoke(path: &Path, id: &str) -> Result<bool, FileError> {
        changed(path, |keys| keys.remove(id)).map(|removed| removed.is_some())
    }

    /// Makes an empty file where there is none.
    pub(super) fn provide(path: &Path) -> Result<(), FileError> {
        match path.exists() {
            true => Ok(()),
            false => changed(path, |_| ()),
        }
    }
}

fn changed<T>(
    path: &Path,
    change: impl FnOnce(&mut BTreeMap<String, StoredKey>) -> T,
) -> Result<T, FileError> {
    if let Some(folder) = folder(path) {
        let made = DirBuilder::new().recursive(true).create(folder);
        made.map_err(failed(path))?;
    }
    let _lock = locked(path).map_err(failed(path))?;
    let mut file = ApiKeyFile::read(path)?;
    let outcome = change(&mut file.0);
    let document = Document {
        keys: file.0.into_values().collect(),
    };
    let json = serde_json::to_vec_pretty(&document);
    let json = json.map_err(|error| failed(path)(error.into()))?;
    replace(path, &json).map_err(failed(path))?;
    Ok(outcome)
}

/// One process at a time: the lock is on a file beside, as the one that counts is replaced.
fn locked(path: &Path) -> io::Result<File> {
    let lock = private().open(beside(path, ".lock"))?;
    lock.lock()?;
    Ok(lock)
}

/// All of the new content or all of the old, also after a power cut.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private().create_new(true).open(&new)?;
    file.write_all(content)?;
    #[cfg(unix)]
    keep_owner(path, &file)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    File::open(folder(path).unwrap_or(Path::new(".")))?.sync_all()
}

/// What root changes, the server can still read.
#[cfg(unix)]
fn keep_owner(path: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (Ok(old), new_metadata) = (std::fs::metadata(path), new.metadata()?) else {
        return Ok(());
    };
    if (old.uid(), old.gid()) == (new_metadata.uid(), new_metadata.gid()) {
        return Ok(());
    }
    fchown(new, Some(old.uid()), Some(old.gid()))
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn folder(path: &Path) -> Option<&Path> {
    let folder = path.parent();
    folder.filter(|folder| !folder.as_os_str().is_empty())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FileError + '_ {
    |cause| FileError::Read {
        path: path.display().to_string(),
        cause,
    }
}
