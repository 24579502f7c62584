//! Who may do what: the configuration's controllers, rules and token server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, anyhow, bail};
use roadstead_api::Api;
use roadstead_auth::{
    AccessController, Action, Algorithm, ApiKeys, Credentials, CurrentRules, Everybody, Htpasswd,
    Issuer, IssuerOptions, PasswordOrToken, Passwords, Privileged, Provisioned, Realm, Restricted,
    Rule, Rules, SigningKey, SigningKeys, Silly, Token, TokenOptions, Who,
};
use roadstead_configuration::access::{self, TokenServer};
use roadstead_configuration::auth::{self, Provider};
use roadstead_configuration::{Configuration, Source};

use crate::identities::identities;

/// Where the token server answers, below `http.prefix`.
const TOKENS: &str = "auth/token";

/// `api` for those whom the configuration lets in.
pub(crate) fn guarded(configuration: &Configuration, api: Api) -> anyhow::Result<Api> {
    let rules = rules(configuration)?;
    let door = door(configuration, rules.as_ref())?;
    let access: Arc<dyn AccessController> = match rules {
        Some(rules) => Arc::new(Restricted::new(door.access, rules)),
        None => door.access,
    };
    let access = privileged(configuration, access)?;
    Ok(api.with_access(access).with_issuer(door.issuer))
}

/// The access rules of a configuration; `None` where it has none, and every user may do everything.
///
/// # Errors
///
/// A rule that makes no sense.
pub fn rules(configuration: &Configuration) -> anyhow::Result<Option<CurrentRules>> {
    let Some(access) = &configuration.access else {
        return Ok(None);
    };
    let Some(path) = access.path.as_ref().filter(|path| !path.is_empty()) else {
        return Ok(Some(rules_of(access).context("access")?.into()));
    };
    if !access.rules.is_empty() || !access.groups.is_empty() {
        bail!("access.path: rules are either in the file or here");
    }
    let file = path.clone();
    let parse =
        move |content: &[u8]| rules_in(&file, content).map_err(|error| format!("{error:#}"));
    let rules = CurrentRules::open(path.into(), parse);
    Ok(Some(rules.context("access.path")?))
}

fn rules_in(path: &str, content: &[u8]) -> anyhow::Result<Rules> {
    let text = std::str::from_utf8(content).context("not UTF-8")?;
    let (path, text) = (path.to_owned(), text.to_owned());
    rules_of(&access::Access::read(&Source::File { path, text })?)
}

fn rules_of(access: &access::Access) -> anyhow::Result<Rules> {
    let rules: Result<Vec<_>, _> = access.rules.iter().enumerate().map(rule).collect();
    Rules::new(rules.context("rules")?, groups(access)?).context("rules")
}

fn rule((index, rule): (usize, &access::Rule)) -> anyhow::Result<Rule> {
    let actions = |texts: &[String]| -> Result<BTreeSet<Action>, _> {
        texts.iter().map(|text| text.parse::<Action>()).collect()
    };
    let number = || format!("rule {}", index + 1);
    let patterns: Result<Vec<_>, _> = rule.repositories.iter().map(|text| text.parse()).collect();
    let users = rule.users.iter().filter(|user| *user != "*").cloned();
    Ok(Rule {
        who: Who {
            anonymous: rule.anonymous,
            authenticated: rule.users.iter().any(|user| user == "*"),
            users: users.collect(),
            groups: rule.groups.iter().cloned().collect(),
        },
        repositories: patterns.with_context(number)?,
        allow: actions(&rule.allow).with_context(number)?,
        deny: actions(&rule.deny).with_context(number)?,
    })
}

fn groups(access: &access::Access) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut groups = BTreeMap::new();
    for group in &access.groups {
        let name = group.name.clone().filter(|name| !name.is_empty());
        let name = name.context("groups: a group has no name")?;
        let users = group.users.iter().cloned().collect();
        if groups.insert(name.clone(), users).is_some() {
            bail!("groups: there are two groups {name:?}");
        }
    }
    Ok(groups)
}

/// Whoever has the privileged key, in front of everybody else.
fn privileged(
    configuration: &Configuration,
    access: Arc<dyn AccessController>,
) -> anyhow::Result<Arc<dyn AccessController>> {
    let path = configuration.privileged_key.as_ref();
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Ok(access);
    };
    let is_open = matches!(configuration.auth.provider, None | Some(Provider::None(_)));
    if is_open && configuration.access.is_none() {
        bail!("privileged_key: everybody may do everything here; configure auth or access");
    }
    let privileged = Privileged::open(path.into(), access, SystemTime::now);
    Ok(Arc::new(privileged.context("privileged_key")?))
}

struct Door {
    access: Arc<dyn AccessController>,
    issuer: Option<Arc<Issuer>>,
}

impl Door {
    fn without_issuer(access: impl AccessController + 'static) -> Self {
        Self {
            access: Arc::new(access),
            issuer: None,
        }
    }
}

fn door(configuration: &Configuration, rules: Option<&CurrentRules>) -> anyhow::Result<Door> {
    let server = Some(&configuration.tokenserver).filter(|server| server.enabled);
    let has_users = match &configuration.auth.provider {
        Some(Provider::Htpasswd(_)) => true,
        Some(Provider::Token(_)) => server.is_some(),
        _ => false,
    };
    for (section, is_there) in [
        ("apikeys", configuration.apikeys.is_some()),
        ("oidc", configuration.oidc.is_some()),
    ] {
        if is_there && !has_users {
            bail!("{section}: nobody logs in here; configure auth.htpasswd or tokenserver");
        }
    }
    match &configuration.auth.provider {
        None | Some(Provider::None(_) | Provider::Silly(_)) if server.is_some() => Err(anyhow!(
            "tokenserver: whom tokens are for is not known; configure auth.htpasswd or auth.token"
        )),
        None | Some(Provider::None(_)) => Ok(Door::without_issuer(Everybody)),
        Some(Provider::Silly(silly)) => {
            let required = |text: &Option<String>, key| required(text, "auth.silly", key);
            Ok(Door::without_issuer(Silly {
                realm: required(&silly.realm, "realm")?,
                service: required(&silly.service, "service")?,
            }))
        }
        Some(Provider::Htpasswd(htpasswd)) => {
            passwords_door(configuration, htpasswd, server, rules)
        }
        Some(Provider::Token(token)) => token_door(configuration, token, server, rules),
        Some(_) => Err(anyhow!("auth: this provider is not built")),
    }
}

fn passwords_door(
    configuration: &Configuration,
    htpasswd: &auth::Htpasswd,
    server: Option<&TokenServer>,
    rules: Option<&CurrentRules>,
) -> anyhow::Result<Door> {
    let path = required(&htpasswd.path, "auth.htpasswd", "path")?;
    let passwords = passwords(path.into(), htpasswd.plainhttp).context("auth.htpasswd")?;
    let credentials = credentials(configuration, passwords, rules)?;
    let Some(server) = server else {
        if rules.is_some_and(|rules| rules.known().know_anonymous()) {
            tracing::warn!(
                "access rules let in those who do not log in: Docker's client can do so only with tokens; consider tokenserver.enabled"
            );
        }
        let realm = required(&htpasswd.realm, "auth.htpasswd", "realm")?;
        return Ok(Door::without_issuer(Htpasswd::new(realm, credentials)));
    };
    let keys = signing_keys(server)?;
    let token = Token::open(TokenOptions {
        realm: Realm::Here(TOKENS),
        service: server.service.clone(),
        issuer: server.issuer.clone(),
        rootcertbundle: None,
        jwks: None,
        own: Some(keys.clone()),
        algorithms: Algorithm::ALL.to_vec(),
        clock: SystemTime::now,
    })?;
    let (issuer, service) = (server.issuer.clone(), server.service.clone());
    let issuer = issuing(server, keys, (issuer, service), credentials.clone(), rules);
    Ok(Door {
        access: Arc::new(PasswordOrToken::new(credentials, token)),
        issuer: Some(issuer),
    })
}

fn token_door(
    configuration: &Configuration,
    token: &auth::Token,
    server: Option<&TokenServer>,
    rules: Option<&CurrentRules>,
) -> anyhow::Result<Door> {
    let keys = server.map(signing_keys).transpose()?;
    let options = token_options(token, server, keys.clone())?;
    let (issuer, service) = (options.issuer.clone(), options.service.clone());
    let access = Arc::new(Token::open(options).context("auth.token")?);
    let Some((server, keys)) = server.zip(keys) else {
        return Ok(Door {
            access,
            issuer: None,
        });
    };
    let path = required(&server.htpasswd, "tokenserver", "htpasswd")?;
    let passwords = passwords(path.into(), false).context("tokenserver.htpasswd")?;
    let credentials = credentials(configuration, passwords, rules)?;
    Ok(Door {
        access,
        issuer: Some(issuing(server, keys, (issuer, service), credentials, rules)),
    })
}

fn token_options(
    token: &auth::Token,
    server: Option<&TokenServer>,
    own: Option<SigningKeys>,
) -> anyhow::Result<TokenOptions> {
    let named =
        |text: &Option<String>, key, default: fn(&TokenServer) -> &String| match (text, server) {
            (None, Some(server)) => Ok(default(server).clone()),
            _ => required(text, "auth.token", key),
        };
    let realm = match (&token.realm, server) {
        _ if token.autoredirect => Realm::Host(token.autoredirectpath.clone()),
        (None, Some(_)) => Realm::Here(TOKENS),
        (realm, _) => Realm::Fixed(required(realm, "auth.token", "realm")?),
    };
    let algorithms: Result<Vec<Algorithm>, _> = token
        .signingalgorithms
        .iter()
        .map(|name| name.parse())
        .collect();
    let algorithms = algorithms.context("auth.token.signingalgorithms")?;
    let file = |path: &Option<String>| path.clone().filter(|path| !path.is_empty());
    Ok(TokenOptions {
        realm,
        service: named(&token.service, "service", |server| &server.service)?,
        issuer: named(&token.issuer, "issuer", |server| &server.issuer)?,
        rootcertbundle: file(&token.rootcertbundle).map(PathBuf::from),
        jwks: file(&token.jwks).map(PathBuf::from),
        own,
        algorithms: match algorithms {
            none if none.is_empty() => Algorithm::ALL.to_vec(),
            some => some,
        },
        clock: SystemTime::now,
    })
}

fn issuing(
    server: &TokenServer,
    keys: SigningKeys,
    (issuer, service): (String, String),
    credentials: Credentials,
    rules: Option<&CurrentRules>,
) -> Arc<Issuer> {
    // Who holds a token of a key that ends with this process would have to log in again after it.
    let lasts = server.privatekey.is_some() && !server.refreshexpiration.is_zero();
    Arc::new(Issuer::new(IssuerOptions {
        issuer,
        service,
        keys,
        expires: server.expiration,
        refresh: lasts.then_some(server.refreshexpiration),
        credentials,
        rules: rules.cloned(),
        clock: SystemTime::now,
    }))
}

fn signing_keys(server: &TokenServer) -> anyhow::Result<SigningKeys> {
    let Some(path) = &server.privatekey else {
        tracing::warn!(
            "tokenserver.privatekey is not set: tokens are signed by a key that other replicas do not know and that ends with this process"
        );
        return Ok(SigningKey::generate()?.into());
    };
    SigningKeys::open(path.into()).context("tokenserver.privatekey")
}

/// The passwords, and what else the configuration takes for one.
fn credentials(
    configuration: &Configuration,
    passwords: Arc<Passwords>,
    rules: Option<&CurrentRules>,
) -> anyhow::Result<Credentials> {
    let keys = api_keys(configuration)?;
    let keys = keys.map(|path| ApiKeys::open(path, SystemTime::now));
    let keys = keys.transpose().context("apikeys")?.map(Arc::new);
    let identities = identities(configuration, rules.map(CurrentRules::known).as_deref())?;
    Ok(Credentials::from(passwords)
        .with_api_keys(keys)
        .with_identities(identities.map(Arc::new)))
}

/// The file of API keys; `None` where the configuration has none.
///
/// # Errors
///
/// Its path is empty.
pub fn api_keys(configuration: &Configuration) -> anyhow::Result<Option<PathBuf>> {
    let keys = configuration.apikeys.as_ref();
    let path = keys.map(|keys| required(&keys.path, "apikeys", "path"));
    Ok(path.transpose()?.map(PathBuf::from))
}

/// The file of those users who log in here; `None` where there is none.
pub fn password_file(configuration: &Configuration) -> Option<PathBuf> {
    let path = match &configuration.auth.provider {
        Some(Provider::Htpasswd(htpasswd)) => htpasswd.path.as_ref(),
        _ => configuration.tokenserver.htpasswd.as_ref(),
    };
    path.map(PathBuf::from)
}

fn passwords(path: PathBuf, exposed: bool) -> anyhow::Result<Arc<Passwords>> {
    if let Some(made) = Provisioned::at(&path)? {
        show(&path, &made);
    }
    Ok(Arc::new(Passwords::open(path, exposed)?))
}

/// A password is for the one who starts the server, and no part of the log.
#[expect(clippy::print_stderr, reason = "this is shown to a person, once")]
fn show(path: &std::path::Path, made: &Provisioned) {
    tracing::warn!(file = %path.display(), "the password file is missing: it was made, with one user");
    eprintln!(
        "\n  user: {}\n  password: {}\n\n  It is not shown again; replace it with htpasswd -B {}\n",
        made.user,
        made.password,
        path.display()
    );
}

fn required(text: &Option<String>, section: &str, key: &str) -> anyhow::Result<String> {
    let text = text.clone().filter(|text| !text.is_empty());
    text.ok_or_else(|| anyhow!("{section}: {key} is missing"))
}
