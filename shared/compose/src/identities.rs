//! The issuers whose tokens are taken for a password: the configuration's `oidc`.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow, bail, ensure};
use async_trait::async_trait;
use http::Uri;
use roadstead_auth::{Fetch, IDENTITY_USER, Identities, IdentityOptions, IdentityRule, Rules};
use roadstead_configuration::Configuration;
use roadstead_configuration::access::{OidcIssuer, OidcRule};
use roadstead_fetch::Options;
use serde_json::Value;

/// How long an issuer may take to answer: somebody who logs in waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many bytes its documents may have; those of big issuers have some 10 kB.
const LARGEST: usize = 512 * 1024;

/// The issuers; `None` where there are none.
///
/// # Errors
///
/// One that makes no sense: nothing is served then.
pub(crate) fn identities(
    configuration: &Configuration,
    rules: Option<&Rules>,
) -> anyhow::Result<Option<Identities>> {
    let Some(oidc) = &configuration.oidc else {
        return Ok(None);
    };
    let mut issuers: Vec<IdentityOptions> = Vec::new();
    for (index, written) in oidc.issuers.iter().enumerate() {
        let place = || format!("oidc.issuers[{index}]");
        let issuer = issuer(written, rules).with_context(place)?;
        let is_same = |other: &IdentityOptions| other.issuer == issuer.issuer;
        ensure!(
            !issuers.iter().any(is_same),
            "{}: the issuer {:?} is there twice",
            place(),
            issuer.issuer
        );
        issuers.push(issuer);
    }
    ensure!(!issuers.is_empty(), "oidc.issuers: there is none");
    tracing::info!(
        "tokens of {} issuers are passwords of {IDENTITY_USER}",
        issuers.len()
    );
    Ok(Some(Identities::new(issuers)))
}

fn issuer(written: &OidcIssuer, rules: Option<&Rules>) -> anyhow::Result<IdentityOptions> {
    let text = |text: &Option<String>, key: &str| {
        let text = text.clone().filter(|text| !text.is_empty());
        text.ok_or_else(|| anyhow!("{key} is missing"))
    };
    let web = Web {
        options: Options {
            patience: PATIENCE,
            largest: LARGEST,
            authorities: written.ca.as_ref().map(PathBuf::from),
        },
        plain: written.plainhttp,
    };
    let issuer = text(&written.issuer, "issuer")?;
    for url in [Some(&issuer), written.jwksuri.as_ref()]
        .into_iter()
        .flatten()
    {
        web.permitted(url).map_err(anyhow::Error::msg)?;
    }
    let own: anyhow::Result<Vec<_>> = written.rules.iter().map(|own| rule(own, rules)).collect();
    let own = own.context("rules")?;
    ensure!(!own.is_empty(), "rules is missing: nobody could log in");
    Ok(IdentityOptions {
        issuer,
        audience: text(&written.audience, "audience")?,
        keys: written.jwksuri.clone(),
        fetch: Arc::new(web),
        rules: own,
        clock: SystemTime::now,
    })
}

fn rule(written: &OidcRule, rules: Option<&Rules>) -> anyhow::Result<IdentityRule> {
    let mut claims = BTreeMap::new();
    for (name, value) in &written.claims {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Bool(flag) => flag.to_string(),
            Value::Number(number) => number.to_string(),
            _ => bail!("the claim {name} must be a text, a number or a bool"),
        };
        claims.insert(name.clone(), value);
    }
    let groups: BTreeSet<String> = written.groups.iter().cloned().collect();
    if let Some(group) = groups
        .iter()
        .find(|group| !rules.is_some_and(|rules| rules.have_group(group)))
    {
        bail!("the group {group:?} is not defined in access.groups");
    }
    let user = written.user.clone().unwrap_or_default();
    Ok(IdentityRule::new(claims, user, groups)?)
}

/// The network, as far as an issuer may send this machine there.
#[derive(Debug)]
struct Web {
    options: Options,
    /// Whether plain HTTP to this machine itself will do.
    plain: bool,
}

impl Web {
    fn permitted(&self, url: &str) -> Result<Uri, String> {
        let uri: Uri = url.parse().map_err(|_| format!("{url:?} is no URL"))?;
        let host = uri.host().filter(|host| !host.is_empty());
        let (Some(scheme), Some(host)) = (uri.scheme_str(), host) else {
            return Err(format!("{url:?} is no URL with a scheme and a host"));
        };
        match scheme {
            "https" => Ok(uri),
            "http" if self.plain && is_loopback(host) => Ok(uri),
            _ => Err(format!(
                "{url:?} must be https (with plainhttp, http to this machine will do)"
            )),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Result<std::net::IpAddr, _> = address.parse();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

#[async_trait]
impl Fetch for Web {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, String> {
        let uri = self.permitted(url)?;
        let fetched = roadstead_fetch::fetch(&uri, &self.options).await;
        let text = fetched.map_err(|error| format!("{url}: {}", chain(&error)))?;
        Ok(text.to_vec())
    }
}

/// An error and all that it comes from, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_asked_and_this_machine_if_permitted() {
        let web = |plain| Web {
            options: Options {
                patience: PATIENCE,
                largest: LARGEST,
                authorities: None,
            },
            plain,
        };
        for (url, secure, plain) in [
            ("https://issuer.test", true, true),
            ("https://issuer.test/a/b", true, true),
            ("http://127.0.0.1:80/a", false, true),
            ("http://[::1]/a", false, true),
            ("http://localhost/a", false, true),
            ("http://issuer.test/", false, false),
            ("http://169.254.169.254/", false, false),
            ("http://localhost.issuer.test/", false, false),
            ("http://127.0.0.1@issuer.test/", false, false),
            ("file:///etc/passwd", false, false),
            ("/a", false, false),
            ("", false, false),
        ] {
            assert_eq!(web(false).permitted(url).is_ok(), secure, "{url}");
            assert_eq!(web(true).permitted(url).is_ok(), plain, "{url}");
        }
    }
}
