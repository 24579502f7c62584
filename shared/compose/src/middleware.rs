//! What stands in front of the registry, its repositories and its storage: an explicit match, one
//! arm each.

#[cfg(feature = "cloudfront")]
mod cloudfront;

use std::sync::Arc;

use anyhow::{Context, anyhow};
use regex::RegexSet;
use roadstead_configuration::GoRegexp;
use roadstead_configuration::middleware::{
    ImmutableTags, Middleware, RedirectTo, RegistryOptions, RepositoryOptions, Rewrite,
    StorageMiddleware, StorageOptions,
};
use roadstead_registry::Registry;
use roadstead_registry::middleware::{
    self as built, AllowList, Pattern, ReadOnly, RegistryMiddleware, RepositoryMiddleware,
};
use roadstead_storage::redirection;
use roadstead_storage::{Driver, UrlSigner};

const STORAGE: &[&str] = &[
    #[cfg(feature = "cloudfront")]
    "cloudfront",
    "redirect",
    "rewrite",
];

/// `registry`, whose clients are sent where the driver sends them, unless the entries have it
/// otherwise, each of which is around those before it.
pub(crate) fn redirected(
    registry: Registry,
    driver: Arc<dyn Driver>,
    entries: &[StorageMiddleware],
) -> anyhow::Result<Registry> {
    let mut entries = entries.iter().filter(|entry| !entry.disabled).peekable();
    if entries.peek().is_none() {
        return Ok(registry);
    }
    let mut signer: Arc<dyn UrlSigner> = Arc::new(driver);
    for entry in entries {
        let name = entry.name.as_deref().unwrap_or_default();
        let inner = signer;
        let around = match &entry.options {
            #[cfg(feature = "cloudfront")]
            StorageOptions::Cloudfront(options) => cloudfront::signer(options, inner),
            StorageOptions::Redirect(options) => redirect(options, inner),
            StorageOptions::Rewrite(options) => rewrite(options, inner),
            _ => Err(unknown("storage", name, STORAGE)),
        };
        signer = around.with_context(|| format!("middleware.storage: {name}"))?;
    }
    Ok(registry.with_signer(signer))
}

fn redirect(options: &RedirectTo, inner: Arc<dyn UrlSigner>) -> anyhow::Result<Arc<dyn UrlSigner>> {
    let base_url = options.baseurl.as_deref().unwrap_or_default();
    let redirect = redirection::Redirect::new(base_url, inner)?;
    Ok(Arc::new(redirect))
}

fn rewrite(options: &Rewrite, inner: Arc<dyn UrlSigner>) -> anyhow::Result<Arc<dyn UrlSigner>> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (scheme, host) = (text(&options.scheme), text(&options.host));
    let prefix = text(&options.trimpathprefix);
    let rewrite = redirection::Rewrite::new(&scheme, &host, &prefix, inner)?;
    Ok(Arc::new(rewrite))
}

/// What may refuse a request to the registry or to one of its repositories.
pub(crate) fn middleware(configuration: &Middleware) -> anyhow::Result<built::Middleware> {
    let registry = configuration.registry.iter();
    let registry = registry.filter(|entry| !entry.disabled).map(|entry| {
        let name = entry.name.as_deref().unwrap_or_default();
        let built = of_registry(name, &entry.options);
        built.with_context(|| format!("middleware.registry: {name}"))
    });
    let repository = configuration.repository.iter();
    let repository = repository.filter(|entry| !entry.disabled).map(|entry| {
        let name = entry.name.as_deref().unwrap_or_default();
        let built = of_repository(name, &entry.options);
        built.with_context(|| format!("middleware.repository: {name}"))
    });
    Ok(built::Middleware {
        registry: registry.collect::<anyhow::Result<_>>()?,
        repository: repository.collect::<anyhow::Result<_>>()?,
    })
}

fn of_registry(
    name: &str,
    options: &RegistryOptions,
) -> anyhow::Result<Arc<dyn RegistryMiddleware>> {
    Ok(match options {
        RegistryOptions::Allowlist(options) => {
            Arc::new(AllowList::new(whole(&options.repositories)?))
        }
        _ => return Err(unknown("registry", name, &["allowlist"])),
    })
}

fn of_repository(
    name: &str,
    options: &RepositoryOptions,
) -> anyhow::Result<Arc<dyn RepositoryMiddleware>> {
    Ok(match options {
        RepositoryOptions::Immutabletags(options) => Arc::new(immutable_tags(options)?),
        RepositoryOptions::Readonly(options) => {
            Arc::new(ReadOnly::new(some_or_all(&options.repositories)?))
        }
        _ => return Err(unknown("repository", name, &["immutabletags", "readonly"])),
    })
}

fn immutable_tags(options: &ImmutableTags) -> anyhow::Result<built::ImmutableTags> {
    let repositories = some_or_all(&options.repositories)?;
    let tags = some_or_all(&options.tags)?;
    Ok(built::ImmutableTags::new(
        repositories,
        tags,
        options.deletable,
    ))
}

fn unknown(kind: &str, name: &str, there_are: &[&str]) -> anyhow::Error {
    let there_are = there_are.join(", ");
    anyhow!("{kind} middleware {name:?} is not built; there are: {there_are}")
}

fn some_or_all(expressions: &[GoRegexp]) -> anyhow::Result<Pattern> {
    match expressions {
        [] => Ok(Pattern::all()),
        expressions => whole(expressions),
    }
}

/// The names that one of the expressions matches from their beginning to their end.
fn whole(expressions: &[GoRegexp]) -> anyhow::Result<Pattern> {
    let whole = |expression: &GoRegexp| format!(r"\A(?:{})\z", expression.translated());
    let expressions = RegexSet::new(expressions.iter().map(whole))?;
    Ok(Pattern::new(move |name| expressions.is_match(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(expressions: &[&str]) -> Pattern {
        let parsed = expressions
            .iter()
            .map(|text| GoRegexp::parse(text).unwrap());
        some_or_all(&parsed.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn an_expression_matches_a_whole_name() {
        let some = pattern(&["library/.*", "a|b", "^c$"]);
        for name in ["library/debian", "library/a/b", "a", "b", "c"] {
            assert!(some.matches(name), "{name}");
        }
        for name in ["my/library/debian", "library", "ab", "aa", "c/d", ""] {
            assert!(!some.matches(name), "{name}");
        }
        assert!(pattern(&[]).matches("anything"));
    }
}
