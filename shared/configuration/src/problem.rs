use std::fmt;

use crate::Origin;

/// Whether a problem stops a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The registry starts; the user should know.
    Warning,
    /// The registry does not start.
    Error,
}

/// One thing that is wrong with a configuration. Never carries a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops a start.
    pub severity: Severity,
    /// The key, as in `http.tls.key` or `notifications.endpoints[0].url`; empty for the whole text.
    pub path: String,
    /// What the value was read from; [`Origin::Default`] where nothing was written.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub suggestion: Option<String>,
}

impl Problem {
    pub(crate) fn error(path: &str, origin: &Origin, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, path, origin, message.into())
    }

    pub(crate) fn warning(path: &str, origin: &Origin, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, path, origin, message.into())
    }

    pub(crate) fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self {
            suggestion: Some(suggestion.into()),
            ..self
        }
    }

    pub(crate) fn suggest_if_some(self, suggestion: Option<String>) -> Self {
        Self {
            suggestion: suggestion.or(self.suggestion),
            ..self
        }
    }

    fn new(severity: Severity, path: &str, origin: &Origin, message: String) -> Self {
        Self {
            severity,
            path: path.to_owned(),
            origin: origin.clone(),
            message,
            suggestion: None,
        }
    }

    /// The line in the configuration text, for what was written there.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.origin.line()
    }
}

/// `config.yml:12: storage.filesytem: unknown key; did you mean "filesystem"?`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.origin != Origin::Default {
            write!(f, "{}: ", self.origin)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, "; {suggestion}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with a configuration that cannot be used: at least one error, and the warnings too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub(crate) Vec<Problem>);

impl Problems {
    /// The problems in the order of the text, then those of the environment.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::error::Error for Problems {}

/// The errors, one a line.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errors = self
            .iter()
            .filter(|problem| problem.severity == Severity::Error);
        for (index, problem) in errors.enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}
