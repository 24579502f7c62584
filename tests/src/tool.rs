//! Other people's programs: finding them, and running them with a deadline.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::wait;

/// Where a program is on `PATH` or in the administrator's directories.
#[must_use]
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// How a program ended and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Outcome {
    /// Asserts that the program exited with 0, and hands on its standard output.
    ///
    /// # Panics
    /// When it did not, with what it said.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(
            self.status.success(),
            "{}\n{}\n{}",
            self.status,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// Asserts that the program did not exit with 0, and hands on its standard error.
    ///
    /// # Panics
    /// When it did.
    #[track_caller]
    pub fn failure(self) -> String {
        assert!(
            !self.status.success(),
            "it succeeded:\n{}\n{}",
            self.stdout,
            self.stderr
        );
        self.stderr
    }
}

/// Runs a program to its end.
#[track_caller]
pub fn run<A: AsRef<OsStr>>(
    program: impl AsRef<Path>,
    arguments: impl IntoIterator<Item = A>,
) -> Outcome {
    let mut command = Command::new(program.as_ref());
    command.args(arguments);
    finish(command)
}

/// Runs a prepared command to its end, or kills it at the deadline.
///
/// Output goes through files, so that a grandchild holding a pipe open cannot hang the test.
///
/// # Panics
/// When the command cannot be started or does not end in time.
#[track_caller]
pub fn finish(mut command: Command) -> Outcome {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (stdout, stderr) = (
        directory.path().join("stdout"),
        directory.path().join("stderr"),
    );
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&stdout).expect("a file for standard output"))
        .stderr(File::create(&stderr).expect("a file for standard error"))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let read = |path: &Path| {
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    };
    let deadline = std::time::Instant::now() + 2 * wait::PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        if std::time::Instant::now() > deadline {
            child.kill().expect("the child can be killed");
            child.wait().expect("the child can be reaped");
            panic!(
                "{command:?} does not end:\n{}\n{}",
                read(&stdout),
                read(&stderr)
            );
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    Outcome {
        status,
        stdout: read(&stdout),
        stderr: read(&stderr),
    }
}
