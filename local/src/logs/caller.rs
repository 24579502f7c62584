//! Where in the code an event comes from.

use tracing::Metadata;

/// The fields `func` and `file`.
pub(super) struct Caller {
    pub(super) func: String,
    pub(super) file: String,
}

impl Caller {
    pub(super) fn of(metadata: &Metadata<'_>) -> Self {
        let file = metadata.file().unwrap_or_default();
        let line = metadata.line().unwrap_or_default();
        Self {
            func: metadata.module_path().unwrap_or_default().to_owned(),
            file: format!("{file}:{line}"),
        }
    }
}
