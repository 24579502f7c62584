//! What a registry permits, whoever asks.

use std::fmt;
use std::sync::Arc;

use roadstead_oci::Platform;

use crate::Error;

/// The switches and rules of one registry.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether manifests, tags and blobs can be deleted: one gate for all three.
    pub delete: bool,
    /// Whether nothing can be changed at all.
    pub read_only: bool,
    /// Which foreign URLs a manifest may name.
    pub urls: UrlPolicy,
    /// Which children of an index must be there when it is pushed.
    pub platforms: PlatformPolicy,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            delete: false,
            read_only: false,
            urls: UrlPolicy::default(),
            platforms: PlatformPolicy::All,
        }
    }
}

impl Policy {
    pub(crate) fn permit_write(&self) -> Result<(), Error> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        Ok(())
    }

    pub(crate) fn permit_delete(&self) -> Result<(), Error> {
        self.permit_write()?;
        if !self.delete {
            return Err(Error::DeletionDisabled);
        }
        Ok(())
    }
}

/// A rule on URLs; as it stands none is permitted.
#[derive(Clone)]
pub struct UrlPolicy(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl UrlPolicy {
    /// Permits the URLs for which `permits` is true.
    pub fn new(permits: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(permits))
    }

    /// Whether a manifest may name `url`.
    pub fn permits(&self, url: &str) -> bool {
        (self.0)(url)
    }
}

impl Default for UrlPolicy {
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl fmt::Debug for UrlPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UrlPolicy")
    }
}

/// Distribution's `validation.manifests.indexes.platforms`.
#[derive(Clone, Debug)]
pub enum PlatformPolicy {
    /// Every child must be there.
    All,
    /// No child has to be there.
    None,
    /// The children for these platforms must be there.
    Only(Vec<Platform>),
}

impl PlatformPolicy {
    pub(crate) fn requires(&self, platform: Option<&Platform>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(platforms) => platform.is_some_and(|platform| platforms.contains(platform)),
        }
    }
}
