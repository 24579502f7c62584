use std::fmt;
use std::sync::Arc;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: it is the key's default.
    Default,
    /// In the configuration text.
    File {
        /// The path as the user gave it.
        name: Arc<str>,
        /// Counted from 1.
        line: usize,
    },
    /// In the environment variable of this name.
    Variable(Arc<str>),
}

impl Origin {
    /// The line in the configuration text, for what was written there.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } => Some(*line),
            Self::Default | Self::Variable(_) => None,
        }
    }

    pub(crate) fn is_variable(&self) -> bool {
        matches!(self, Self::Variable(_))
    }
}

/// `default`, `config.yml:12` or `REGISTRY_HTTP_ADDR`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}
