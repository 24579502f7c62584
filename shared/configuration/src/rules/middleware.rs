//! Entries of `middleware`: that there is such a one, and that it has what it needs.

use super::Rules;
use crate::Secret;
use crate::middleware::{IpFilter, Middleware, RegistryOptions, RepositoryOptions, StorageOptions};
use crate::schema::Key;

/// What every entry has.
struct Entry<'a> {
    path: String,
    name: Option<&'a str>,
    disabled: bool,
}

impl Rules<'_> {
    pub(super) fn middleware(&mut self, middleware: &Middleware) {
        for (index, entry) in middleware.registry.iter().enumerate() {
            let path = format!("middleware.registry[{index}]");
            let (name, disabled) = (entry.name.as_deref(), entry.disabled);
            let entry_of = Entry {
                path,
                name,
                disabled,
            };
            if self.is_known(&entry_of, "registry", RegistryOptions::VARIANTS) {
                self.registry_options(&entry_of.path, &entry.options);
            }
        }
        for (index, entry) in middleware.repository.iter().enumerate() {
            let path = format!("middleware.repository[{index}]");
            let (name, disabled) = (entry.name.as_deref(), entry.disabled);
            self.is_known(
                &Entry {
                    path,
                    name,
                    disabled,
                },
                "repository",
                RepositoryOptions::VARIANTS,
            );
        }
        for (index, entry) in middleware.storage.iter().enumerate() {
            let path = format!("middleware.storage[{index}]");
            let (name, disabled) = (entry.name.as_deref(), entry.disabled);
            let entry_of = Entry {
                path,
                name,
                disabled,
            };
            if self.is_known(&entry_of, "storage", StorageOptions::VARIANTS) {
                self.storage_options(&entry_of.path, &entry.options);
            }
        }
    }

    /// Whether the entry counts, and is one that there is.
    fn is_known(&mut self, entry: &Entry<'_>, list: &str, variants: &[Key]) -> bool {
        if entry.disabled {
            let message = "this entry is left out; Distribution applies it all the same";
            self.warn(&format!("{}.disabled", entry.path), message, None);
            return false;
        }
        let names: Vec<&str> = variants.iter().map(|key| key.name).collect();
        let is_known = entry.name.is_some_and(|name| names.contains(&name));
        if !is_known {
            let message = match entry.name {
                Some(name) => format!("there is no {list} middleware {name:?}"),
                None => format!("the {list} middleware has no name"),
            };
            let there_are = format!("one of {}", names.join(", "));
            self.error(&format!("{}.name", entry.path), message, &there_are);
        }
        is_known
    }

    fn registry_options(&mut self, path: &str, options: &RegistryOptions) {
        if let RegistryOptions::Allowlist(list) = options
            && list.repositories.is_empty()
        {
            self.error(
                &format!("{path}.options.repositories"),
                "an allowlist without repositories would serve none",
                "list regular expressions, as in [library/.*]",
            );
        }
    }

    fn storage_options(&mut self, path: &str, options: &StorageOptions) {
        let needed = match options {
            StorageOptions::Cloudfront(cloudfront) => {
                let regions = match cloudfront.ipfilteredby {
                    IpFilter::AwsRegion => Some(("awsregion", cloudfront.awsregion.as_deref())),
                    _ => None,
                };
                [
                    Some(("baseurl", cloudfront.baseurl.as_deref())),
                    Some((
                        "privatekey",
                        cloudfront.privatekey.as_ref().map(Secret::expose),
                    )),
                    Some(("keypairid", cloudfront.keypairid.as_deref())),
                    regions,
                ]
            }
            StorageOptions::Redirect(to) => {
                [Some(("baseurl", to.baseurl.as_deref())), None, None, None]
            }
            _ => return,
        };
        for (key, value) in needed.into_iter().flatten() {
            if value.is_none_or(str::is_empty) {
                let path = format!("{path}.options.{key}");
                self.error(&path, "this has to be set", "see docs/configuration.md");
            }
        }
    }
}
