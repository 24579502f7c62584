//! What a request wants to do.

use std::fmt;
use std::str::FromStr;

use roadstead_oci::RepositoryName;

/// One thing that a request needs the permission for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// To act on a repository.
    Repository(RepositoryName, Action),
    /// To list repositories: Distribution's `registry:catalog:*`.
    Catalog,
}

/// What is done to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Reading manifests, blobs, tags and referrers.
    Pull,
    /// Writing.
    Push,
    /// Deleting manifests, tags and blobs, and cancelling uploads.
    Delete,
    /// Being told that the repository exists. No request needs it alone: lists leave out what the
    /// caller may not list.
    List,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Delete, Self::List];

    /// The action as it stands in scopes and rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is no action.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no action: there are pull, push, delete and list")]
pub struct InvalidAction(String);

impl FromStr for Action {
    type Err = InvalidAction;

    fn from_str(text: &str) -> Result<Self, InvalidAction> {
        let found = Self::ALL.into_iter().find(|action| action.as_str() == text);
        found.ok_or_else(|| InvalidAction(text.to_owned()))
    }
}

impl Access {
    /// The type of the resource in scopes, challenges and tokens.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Repository(..) => "repository",
            Self::Catalog => "registry",
        }
    }

    /// The name of the resource.
    pub fn name(&self) -> &str {
        match self {
            Self::Repository(name, _) => name.as_str(),
            Self::Catalog => "catalog",
        }
    }

    /// The action on the resource.
    pub fn action(&self) -> &'static str {
        match self {
            Self::Repository(_, action) => action.as_str(),
            Self::Catalog => "*",
        }
    }
}
