//! Rules that may be in a file of their own.

use std::path::PathBuf;
use std::sync::Arc;

use super::Rules;
use crate::FileError;
use crate::watched::{EVERY, Watched};

/// The rules that hold now. Clones are the same.
#[derive(Clone, Debug)]
pub struct CurrentRules(Watched<Rules>);

impl CurrentRules {
    /// The rules of the file at `path`, read again when it changes; while it cannot be read or makes
    /// no sense, those from before hold.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or `parse` says what is wrong with it.
    pub fn open(
        path: PathBuf,
        parse: impl Fn(&[u8]) -> Result<Rules, String> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let parse = move |contents: &[Vec<u8>]| {
            let content = contents.first().map(Vec::as_slice).unwrap_or_default();
            parse(content).map_err(|message| FileError::Content {
                path: shown.clone(),
                message,
            })
        };
        Watched::open(vec![path], EVERY, parse).map(Self)
    }

    /// The rules; at most a second old.
    pub async fn get(&self) -> Arc<Rules> {
        self.0.get().await
    }

    /// The rules as they were read last.
    pub fn known(&self) -> Arc<Rules> {
        self.0.known()
    }
}

impl From<Rules> for CurrentRules {
    /// Rules that do not change.
    fn from(rules: Rules) -> Self {
        Self(Watched::fixed(rules))
    }
}
