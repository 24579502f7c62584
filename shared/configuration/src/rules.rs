//! What holds between keys, and what a value alone does not show.

mod middleware;
mod needed;
mod notifications;

use crate::effective::Effective;
use crate::http::{Http, Net};
use crate::metadata::Store;
use crate::storage::{BlobDescriptorCache, Storage};
use crate::{Configuration, Origin, Problem, address};

pub(crate) fn check(
    configuration: &Configuration,
    effective: &Effective,
    problems: &mut Vec<Problem>,
) {
    let mut rules = Rules {
        effective,
        problems,
    };
    rules.host(&configuration.http);
    rules.addr(&configuration.http);
    rules.old_tls();
    rules.cache(&configuration.storage);
    rules.middleware(&configuration.middleware);
    rules.notifications(&configuration.notifications);
    rules.table(configuration);
    rules.needed(configuration);
    rules.validation_switch(configuration);
}

struct Rules<'a> {
    effective: &'a Effective,
    problems: &'a mut Vec<Problem>,
}

impl Rules<'_> {
    fn warn(&mut self, path: &str, message: &str, suggestion: Option<&str>) {
        let origin = self.origin(path);
        let problem = Problem::warning(path, &origin, message);
        self.problems
            .push(problem.suggest_if_some(suggestion.map(str::to_owned)));
    }

    fn error(&mut self, path: &str, message: impl Into<String>, suggestion: &str) {
        let problem = Problem::error(path, &self.origin(path), message);
        self.problems.push(problem.suggest(suggestion));
    }

    fn origin(&self, path: &str) -> Origin {
        let written = self.effective.origin(path);
        // What is missing is missing from a section, which is somewhere.
        let section = path.rsplit_once('.').map(|(section, _)| section);
        let origin = written.or_else(|| self.effective.origin(section?));
        origin.cloned().unwrap_or(Origin::Default)
    }

    fn host(&mut self, http: &Http) {
        let is_url = |host: &str| {
            host.split_once("://")
                .is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty())
        };
        if http.host.as_deref().is_some_and(|host| !is_url(host)) {
            self.warn(
                "http.host",
                "has no scheme or no host and is ignored",
                Some("write it as in https://registry.example.com"),
            );
        }
    }

    fn addr(&mut self, http: &Http) {
        if http.net != Net::Tcp {
            return;
        }
        if let Err(message) = address::check(&http.addr) {
            let origin = self.origin("http.addr");
            self.problems
                .push(Problem::error("http.addr", &origin, message));
        }
    }

    fn old_tls(&mut self) {
        let version = self
            .effective
            .find("http.tls.minimumtls")
            .map(|leaf| leaf.shown.as_str());
        if matches!(version, Some("tls1.0" | "tls1.1")) {
            self.warn(
                "http.tls.minimumtls",
                "not supported since Distribution 3: tls1.2 is the least",
                Some("use tls1.2"),
            );
        }
    }

    fn cache(&mut self, storage: &Storage) {
        if storage.cache.blobdescriptor == Some(BlobDescriptorCache::Redis) {
            self.warn(
                "storage.cache.blobdescriptor",
                "the cache in Redis is not built yet: no cache is used",
                None,
            );
        }
    }

    fn table(&mut self, configuration: &Configuration) {
        let Some(Store::Dynamodb(dynamodb)) = &configuration.metadata.store else {
            return;
        };
        if dynamodb.table.is_none() {
            self.error(
                "metadata.dynamodb.table",
                "no table is named",
                "name the table that holds the metadata",
            );
        }
        if dynamodb.region.is_none() && dynamodb.endpoint.is_none() {
            self.error(
                "metadata.dynamodb.region",
                "there is no region, nor an endpoint",
                "name the region of the table, as in eu-west-1",
            );
        }
        if dynamodb.accesskey.is_some() != dynamodb.secretkey.is_some() {
            self.error(
                "metadata.dynamodb.accesskey",
                "accesskey and secretkey only work together",
                "give both, or none for the credentials of the environment",
            );
        }
    }

    fn validation_switch(&mut self, configuration: &Configuration) {
        if configuration.validation.enabled {
            self.warn(
                "validation.enabled",
                "deprecated",
                Some("use validation.disabled"),
            );
        }
    }
}
