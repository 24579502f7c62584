//! Keys without which a section cannot be served: all that are missing are named at once, before
//! anything is opened or made.

use super::Rules;
use crate::auth::{Provider, Token};
use crate::health::Health;
use crate::http::Tls;
use crate::storage::{Driver, S3};
use crate::{Configuration, Problem};

impl Rules<'_> {
    pub(super) fn needed(&mut self, configuration: &Configuration) {
        if let Driver::S3(s3) = &configuration.storage.driver {
            self.bucket(s3);
        }
        self.users(configuration);
        self.tls(&configuration.http.tls);
        self.health(&configuration.health);
    }

    fn bucket(&mut self, s3: &S3) {
        let section = match self.effective.origin("storage.s3aws") {
            Some(_) => "storage.s3aws",
            None => "storage.s3",
        };
        self.need(section, &[("bucket", &s3.bucket)]);
        if is_empty(&s3.regionendpoint) {
            self.need(section, &[("region", &s3.region)]);
        }
    }

    fn users(&mut self, configuration: &Configuration) {
        let server = &configuration.tokenserver;
        match &configuration.auth.provider {
            Some(Provider::Silly(silly)) => {
                let keys = [("realm", &silly.realm), ("service", &silly.service)];
                self.need("auth.silly", &keys);
            }
            Some(Provider::Htpasswd(htpasswd)) => {
                self.need("auth.htpasswd", &[("path", &htpasswd.path)]);
                if !server.enabled {
                    self.need("auth.htpasswd", &[("realm", &htpasswd.realm)]);
                }
            }
            Some(Provider::Token(_)) if server.enabled => {
                self.need("tokenserver", &[("htpasswd", &server.htpasswd)]);
            }
            Some(Provider::Token(token)) => self.token(token),
            _ => {}
        }
        self.logins(configuration);
        if let Some(keys) = &configuration.apikeys {
            self.need("apikeys", &[("path", &keys.path)]);
        }
    }

    /// Sections that are about users need some.
    fn logins(&mut self, configuration: &Configuration) {
        let server = configuration.tokenserver.enabled;
        let (has_users, has_tokens) = match &configuration.auth.provider {
            Some(Provider::Htpasswd(_)) => (true, true),
            Some(Provider::Token(_)) => (server, true),
            _ => (false, false),
        };
        if server && !has_tokens {
            self.error(
                "tokenserver",
                "whom tokens are for is not known",
                "configure auth.htpasswd or auth.token",
            );
        }
        for (section, is_there) in [
            ("apikeys", configuration.apikeys.is_some()),
            ("oidc", configuration.oidc.is_some()),
        ] {
            if is_there && !has_users {
                let message = "nobody logs in here";
                self.error(section, message, "configure auth.htpasswd or tokenserver");
            }
        }
    }

    fn token(&mut self, token: &Token) {
        let keys = [("service", &token.service), ("issuer", &token.issuer)];
        self.need("auth.token", &keys);
        if !token.autoredirect {
            self.need("auth.token", &[("realm", &token.realm)]);
        }
        if is_empty(&token.rootcertbundle) && is_empty(&token.jwks) {
            self.error(
                "auth.token",
                "token auth requires at least one token signing key",
                "name the file of the certificates as rootcertbundle, or that of the keys as jwks",
            );
        }
    }

    fn tls(&mut self, tls: &Tls) {
        let files = [("certificate", &tls.certificate), ("key", &tls.key)];
        self.both("http.tls", files);
        let acme = &tls.letsencrypt;
        let host = acme.hosts.first().cloned();
        let folder = [("cachefile", &acme.cachefile), ("hosts", &host)];
        self.both("http.tls.letsencrypt", folder);
    }

    fn health(&mut self, health: &Health) {
        for (index, check) in health.file.iter().enumerate() {
            self.need(&format!("health.file[{index}]"), &[("file", &check.file)]);
        }
        for (index, check) in health.http.iter().enumerate() {
            self.need(&format!("health.http[{index}]"), &[("uri", &check.uri)]);
        }
        for (index, check) in health.tcp.iter().enumerate() {
            self.need(&format!("health.tcp[{index}]"), &[("addr", &check.addr)]);
        }
    }

    fn need(&mut self, section: &str, keys: &[(&str, &Option<String>)]) {
        for (key, _) in keys.iter().filter(|(_, value)| is_empty(value)) {
            if !self.is_refused(&format!("{section}.{key}")) {
                let origin = self.origin(section);
                let problem = Problem::error(section, &origin, format!("{key} is missing"));
                self.problems.push(problem);
            }
        }
    }

    /// Neither or both.
    fn both(&mut self, section: &str, [one, other]: [(&str, &Option<String>); 2]) {
        let (given, missing) = match (is_empty(one.1), is_empty(other.1)) {
            (false, true) => (one.0, other.0),
            (true, false) => (other.0, one.0),
            _ => return,
        };
        let [given, missing] = [given, missing].map(|key| format!("{section}.{key}"));
        if !self.is_refused(&missing) {
            let origin = self.origin(&given);
            let problem = Problem::error(&given, &origin, format!("needs {missing}"));
            self.problems.push(problem);
        }
    }

    /// Whether the value of a key counts as unset because there is something wrong with it.
    fn is_refused(&self, path: &str) -> bool {
        let mut problems = self.problems.iter();
        problems.any(|problem| problem.path.starts_with(path))
    }
}

fn is_empty(text: &Option<String>) -> bool {
    text.as_deref().is_none_or(str::is_empty)
}
