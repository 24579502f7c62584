//! What the driver has to be told.

use std::path::PathBuf;

/// How the driver behaves; the defaults are CNCF Distribution's, which has no `sync`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory that holds everything; it is created with the first write.
    pub root: PathBuf,
    /// At most how many threads block on the disk at a time; fewer than 25 count as 25.
    pub max_threads: usize,
    /// When bytes are forced to the disk.
    pub sync: Sync,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/var/lib/registry"),
            max_threads: 100,
            sync: Sync::Journal,
        }
    }
}

/// When bytes and the directory entries that lead to them are forced to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// Before an operation returns: a crash of the machine loses nothing that was acknowledged,
    /// once a driver is opened on the store again. Small content is first forced as a part of a
    /// journal, and within about a second at its own key; where the filesystem is not one of
    /// this machine, as `Always`.
    Journal,
    /// Before an operation returns, all content at its own key: a crash of the machine loses nothing
    /// that was acknowledged, whoever reads the store next.
    Always,
    /// Never: a crash of the machine may lose or truncate what was written in its last seconds;
    /// a crash of the process alone loses nothing. For tests and for stores that can be refilled.
    Never,
}
