//! Where a registry stores: a directory, a bucket, or a bucket and a table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ministack::{self, BUCKET, KEY};
use crate::{emulator, lambda, swift, tool, wait, yaml};

/// Chooses the kind of every store: `filesystem`, `s3`, `swift` or `s3+dynamodb`.
pub const KIND: &str = "ROADSTEAD_STORE";

/// What a store is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Filesystem,
    /// A folder of a bucket.
    S3,
    /// A folder of a bucket in OpenStack Swift, which is stricter than the emulator, and looks at no `If-Match`.
    Swift,
    /// A folder of a bucket and a table of DynamoDB.
    S3Dynamodb,
}

impl Kind {
    /// What the environment says; a directory when it says nothing.
    ///
    /// # Panics
    /// When it says something else.
    #[must_use]
    pub fn of_tests() -> Self {
        match std::env::var(KIND).as_deref() {
            Err(_) | Ok("filesystem") => Self::Filesystem,
            Ok("s3") => Self::S3,
            Ok("swift") => Self::Swift,
            Ok("s3+dynamodb") => Self::S3Dynamodb,
            Ok(other) => panic!("{KIND}={other}: there are filesystem, s3, swift and s3+dynamodb"),
        }
    }
}

/// Leaves a test that only makes sense over these kinds of stores, having said why.
#[macro_export]
macro_rules! only_over {
    ($($kind:ident)|+: $reason:expr) => {
        if !matches!($crate::store::Kind::of_tests(), $($crate::store::Kind::$kind)|+) {
            $crate::skip!("not over {:?}: {}", $crate::store::Kind::of_tests(), $reason);
        }
    };
}

/// What a registry stores. It outlives the processes that serve it.
#[derive(Clone)]
pub struct Store(Arc<Parts>);

struct Parts {
    kind: Kind,
    directory: TempDir,
    /// What the folder of the bucket, and the table, is called.
    name: String,
    table: OnceLock<()>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store of the kind that the environment says.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn new() -> Self {
        Self::of(Kind::of_tests())
    }

    /// An empty store.
    ///
    /// # Panics
    /// When there is no place for temporary files.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let name = directory.path().file_name().expect("it has a name");
        // One emulator may serve several runs: the name is unique on this machine, and the time
        // tells apart those that come one after another.
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
        let name = format!(
            "{}-{}",
            name.to_string_lossy().trim_start_matches('.'),
            now.as_nanos()
        );
        Self(Arc::new(Parts {
            kind,
            directory,
            name,
            table: OnceLock::new(),
        }))
    }

    /// Whether its metadata lie in a table.
    #[must_use]
    pub fn has_table(&self) -> bool {
        self.0.kind == Kind::S3Dynamodb
    }

    /// A place for a test's own files, beside the stored ones.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.0.directory.path()
    }

    /// The sections of the configuration that describe it.
    #[must_use]
    pub(crate) fn config(&self) -> Value {
        if self.0.kind == Kind::Filesystem {
            return json!({"storage": {"filesystem": {"rootdirectory": self.directory()}}});
        }
        let [key, secret] = self.keys();
        let mut url = self.url().to_owned();
        if lambda::is_front() {
            // Functions redirect to the bucket. Clients keep their credentials for the host they
            // were given for, and a bucket is another one.
            url = url.replace("127.0.0.1", "localhost");
        }
        let mut config = json!({"storage": {
            "s3": {
                "bucket": BUCKET,
                "region": "us-east-1",
                "regionendpoint": url,
                "forcepathstyle": true,
                "accesskey": key,
                "secretkey": secret,
                "rootdirectory": format!("/{}", self.0.name),
            },
            // The tests look at the bytes that the registry sends.
            "redirect": {"disable": true},
        }});
        if self.0.kind == Kind::S3Dynamodb {
            config["metadata"] = dynamodb(&self.0.name);
        }
        config
    }

    /// Where its bucket is served, and its table if it has one.
    ///
    /// # Panics
    /// When the store has no bucket, or its emulator cannot be had.
    #[must_use]
    #[track_caller]
    pub fn service(&self) -> SocketAddr {
        emulator::address(self.url())
    }

    /// Waits until all that was stored before is older than what is stored from now on: Swift counts in
    /// whole seconds and rounds up, so that what was stored just now is from the future.
    pub fn wait_for_the_past(&self) {
        if self.0.kind == Kind::Swift {
            let age = || SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
            let second = || age().as_secs();
            let begun = second();
            wait::until("the second to be over", || {
                (second() != begun).then_some(())
            });
        }
    }

    #[track_caller]
    fn url(&self) -> &'static str {
        match self.0.kind {
            Kind::Filesystem => panic!("the store is a directory"),
            Kind::S3 | Kind::S3Dynamodb => ministack::url().expect("such tests need MiniStack"),
            Kind::Swift => swift::url().expect("such tests need Swift"),
        }
    }

    fn keys(&self) -> [&'static str; 2] {
        match self.0.kind {
            Kind::Swift => [swift::KEY, swift::SECRET],
            _ => [KEY; 2],
        }
    }

    /// Creates the table, if there is to be one.
    pub(crate) fn prepare(&self, roadstead: &Path) {
        if self.0.kind != Kind::S3Dynamodb {
            return;
        }
        self.0.table.get_or_init(|| {
            let mut document = json!({"version": 0.1});
            yaml::merge(&mut document, &self.config());
            let path = self.scratch().join("table.yml");
            std::fs::write(&path, yaml::render(&document)).expect("it can be written");
            let mut command = Command::new(roadstead);
            command.args(["metadata", "create-table"]).arg(path);
            tool::finish(command).success();
        });
    }

    fn directory(&self) -> PathBuf {
        self.0.directory.path().join("registry")
    }

    /// The driver's root directory.
    ///
    /// # Panics
    /// When the store is no directory: such a test says `only_over!`.
    #[must_use]
    #[track_caller]
    pub fn root(&self) -> PathBuf {
        assert_eq!(self.0.kind, Kind::Filesystem, "the store has no files");
        self.directory()
    }

    /// The directory under which Distribution's layout begins.
    #[must_use]
    #[track_caller]
    pub fn layout(&self) -> PathBuf {
        self.root().join("docker/registry/v2")
    }

    /// The file that holds a blob.
    #[must_use]
    #[track_caller]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').expect("a digest");
        self.layout()
            .join("blobs")
            .join(algorithm)
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }

    /// A repository's directory.
    #[must_use]
    #[track_caller]
    pub fn repository(&self, name: &str) -> PathBuf {
        self.layout().join("repositories").join(name)
    }

    /// Every directory and file in sorted order, relative to the root: `find | sort`. Not the
    /// journal, which says what is there already, and comes and goes with the process.
    #[must_use]
    #[track_caller]
    pub fn tree(&self) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.root(), "", &mut found);
        found.sort();
        found
    }

    /// The files of [`Store::tree`] with their content.
    #[must_use]
    #[track_caller]
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let root = self.root();
        let read = |name: String| {
            (root.join(&name).is_file()).then(|| (name.clone(), std::fs::read(root.join(name))))
        };
        self.tree()
            .into_iter()
            .filter_map(read)
            .map(|(name, content)| (name, content.expect("a stored file can be read")))
            .collect()
    }
}

/// Where a server over a directory keeps its journal, below the root.
pub const JOURNAL: &str = "roadstead~journal";

/// The section `metadata` for a table of MiniStack.
///
/// # Panics
/// When there is no MiniStack.
#[must_use]
pub fn dynamodb(table: &str) -> Value {
    let url = ministack::url().expect("tests over a table need MiniStack");
    json!({"dynamodb": {
        "table": table,
        "region": "us-east-1",
        "endpoint": url,
        "accesskey": KEY,
        "secretkey": KEY,
    }})
}

fn walk(directory: &Path, prefix: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if name == JOURNAL {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), &format!("{name}/"), found);
        }
        found.push(name);
    }
}
