//! What the registry permits.

use anyhow::Context;
use regex::RegexSet;
use roadstead_configuration::validation::{Platforms, Validation};
use roadstead_configuration::{Configuration, GoRegexp};
use roadstead_oci::Platform;
use roadstead_registry::{PlatformPolicy, Policy, UrlPolicy};

pub(crate) fn policy(configuration: &Configuration) -> anyhow::Result<Policy> {
    let storage = &configuration.storage;
    Ok(Policy {
        delete: storage.delete.enabled,
        read_only: storage.maintenance.readonly.enabled,
        urls: url_policy(&configuration.validation)?,
        platforms: platform_policy(&configuration.validation),
    })
}

/// Distribution: with validation, what matches `allow` and not `deny`; without, anything.
fn url_policy(validation: &Validation) -> anyhow::Result<UrlPolicy> {
    if !validation.is_enabled() {
        return Ok(UrlPolicy::new(|_| true));
    }
    let urls = &validation.manifests.urls;
    let allow = expressions(&urls.allow).context("validation.manifests.urls.allow")?;
    let deny = expressions(&urls.deny).context("validation.manifests.urls.deny")?;
    Ok(UrlPolicy::new(move |url| {
        allow.is_match(url) && !deny.is_match(url)
    }))
}

fn expressions(expressions: &[GoRegexp]) -> Result<RegexSet, regex::Error> {
    RegexSet::new(expressions.iter().map(GoRegexp::translated))
}

fn platform_policy(validation: &Validation) -> PlatformPolicy {
    let indexes = &validation.manifests.indexes;
    match indexes.platforms {
        _ if !validation.is_enabled() => PlatformPolicy::All,
        Platforms::All => PlatformPolicy::All,
        Platforms::None => PlatformPolicy::None,
        Platforms::List => PlatformPolicy::Only(
            indexes
                .platformlist
                .iter()
                .map(|platform| Platform {
                    architecture: platform.architecture.clone().unwrap_or_default(),
                    os: platform.os.clone().unwrap_or_default(),
                })
                .collect(),
        ),
    }
}
