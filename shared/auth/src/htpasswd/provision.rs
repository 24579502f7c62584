//! A password file for a registry that has none.

use std::io::Write;
use std::path::Path;

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::FileError;

/// The user of a file that was made here: Distribution's.
const USER: &str = "docker";

/// The cost of the hash: that of Go's bcrypt.
const COST: u32 = 10;

/// A password file that was made, with the one password that is in it. To be shown once, and to a
/// person.
pub struct Provisioned {
    /// The user.
    pub user: &'static str,
    /// The password: nobody else has it, and the file has its hash only.
    pub password: String,
}

impl Provisioned {
    /// Makes a password file if there is none at `path`, readable by its owner alone.
    ///
    /// # Errors
    ///
    /// It cannot be made.
    pub fn at(path: &Path) -> Result<Option<Self>, FileError> {
        if path.exists() {
            return Ok(None);
        }
        let failed = |cause| FileError::Read {
            path: path.display().to_string(),
            cause,
        };
        let mut random = [0; 24];
        let unlikely = |_| failed(std::io::Error::other("no randomness"));
        rand::fill(&mut random).map_err(unlikely)?;
        let password = BASE64_URL_SAFE_NO_PAD.encode(random);
        let hash = bcrypt::hash(&password, COST);
        let hash = hash.map_err(|error| failed(std::io::Error::other(error)))?;
        match write(path, &format!("{USER}:{hash}\n")) {
            Ok(()) => Ok(Some(Self {
                user: USER,
                password,
            })),
            // Another process was faster, and has shown its password.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn write(path: &Path, line: &str) -> std::io::Result<()> {
    let mut folders = std::fs::DirBuilder::new();
    let mut file = std::fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folders.mode(0o700);
        file.mode(0o600);
    }
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        folders.recursive(true).create(folder)?;
    }
    let mut file = file.write(true).create_new(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::htpasswd::parse_users;

    #[test]
    fn a_missing_file_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/htpasswd");
        let made = Provisioned::at(&path).unwrap().unwrap();
        let users = parse_users(&std::fs::read_to_string(&path).unwrap()).unwrap();
        assert!(bcrypt::verify(&made.password, users.hash("docker").unwrap()).unwrap());
        assert!(Provisioned::at(&path).unwrap().is_none());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
