//! Which names a middleware is about.

use std::fmt;
use std::sync::Arc;

/// A rule on names of repositories, or of tags.
#[derive(Clone)]
pub struct Pattern(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Pattern {
    /// The names for which `matches` is true.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }

    /// Every name.
    pub fn all() -> Self {
        Self::new(|_| true)
    }

    /// Whether this is about `name`.
    pub fn matches(&self, name: &str) -> bool {
        (self.0)(name)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern")
    }
}
