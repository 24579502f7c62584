//! From what the system calls say to what the contract says.

use std::io;

use roadstead_storage::{Error, Key};
use rustix::io::Errno;

/// What did not work, and where; the source of [`Error::Unavailable`].
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {key:?}")]
struct Failure {
    action: &'static str,
    key: String,
    source: io::Error,
}

/// A failed look at `key`. Only a name that is not there, or cannot be, is "not found".
pub(crate) fn reading(action: &'static str, key: &Key, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG) => not_found(key),
        _ => unavailable(action, key, error),
    }
}

/// A failed change of `key`.
pub(crate) fn writing(action: &'static str, key: &Key, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NAMETOOLONG) => Error::InvalidKey(key.to_string()),
        _ => unavailable(action, key, error),
    }
}

pub(crate) fn not_found(key: &Key) -> Error {
    Error::NotFound(key.to_string())
}

pub(crate) fn unavailable(action: &'static str, key: &Key, source: io::Error) -> Error {
    let key = key.to_string();
    let failure = Failure {
        action,
        key,
        source,
    };
    Error::Unavailable(failure.into())
}

/// A FIFO, a device or a socket lies where content belongs.
pub(crate) fn irregular(key: &Key) -> Error {
    let what = io::Error::other("it is neither a regular file nor a directory");
    unavailable("use", key, what)
}

/// Whether something went away under an operation's feet, so that trying again makes sense.
pub(crate) fn vanished(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}
