//! `validation`: what a manifest must fulfil to be taken.

use serde::Deserialize;

use crate::GoRegexp;
use crate::schema::{BOOL, Key, TEXT, TEXTS, choice, entries, nested, section};

section! {
    /// `validation`.
    Validation {
        /// Switches the checks of this section off.
        disabled: bool = BOOL;
        /// Switches them on even where `disabled` is set.
        enabled: bool = BOOL.differs("Deprecated, there as here.");
        /// What holds for manifests.
        manifests: ManifestValidation = nested(ManifestValidation::KEYS);
    }
}

impl Validation {
    /// Whether manifests are checked.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled || !self.disabled
    }
}

section! {
    /// `validation.manifests`.
    ManifestValidation {
        /// The URLs that a manifest may name.
        urls: UrlValidation = nested(UrlValidation::KEYS);
        /// What must exist of an index.
        indexes: IndexValidation = nested(IndexValidation::KEYS);
    }
}

/// A list of Go regular expressions.
pub(crate) const REGEXPS: Key = TEXTS.check(regexp);

fn regexp(text: &str) -> Result<(), String> {
    GoRegexp::parse(text)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

section! {
    /// `validation.manifests.urls`.
    UrlValidation {
        /// A URL must match one of these; none: no URLs.
        allow: Vec<GoRegexp> = REGEXPS;
        /// A URL must not match any of these.
        deny: Vec<GoRegexp> = REGEXPS;
    }
}

section! {
    /// `validation.manifests.indexes`.
    IndexValidation {
        /// Which manifests of an index must exist.
        platforms: Platforms = choice(&["all", "none", "list"]).default("all");
        /// The platforms of `list`.
        platformlist: Vec<Platform> = entries(Platform::KEYS);
    }
}

/// Which manifests of an index must exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platforms {
    /// All.
    All,
    /// None.
    None,
    /// Those of the platforms in the list.
    List,
}

section! {
    /// An entry of `validation.manifests.indexes.platformlist`.
    Platform {
        /// As in the index: `amd64`.
        architecture: Option<String> = TEXT;
        /// As in the index: `linux`.
        os: Option<String> = TEXT;
    }
}
