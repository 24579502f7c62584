//! A token server: the other side of [`Token`](crate::Token) (the Docker registry's token
//! authentication specification, and its OAuth2 form).

mod scope;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_lc_rs::rand;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use roadstead_oci::RepositoryName;
use serde_json::json;

use crate::Clock;
use crate::access::{Access, Action};
use crate::controller::Refusal;
use crate::credentials::{Credentials, Login};
use crate::grant::Grant;
use crate::rules::{CurrentRules, Rules};
use crate::token::{Algorithm, Jwks, ResourceActions, SigningKeys, Verifier};

pub use scope::Scope;

/// What a token server issues, and to whom.
#[derive(Debug)]
pub struct IssuerOptions {
    /// The issuer that tokens name.
    pub issuer: String,
    /// The service that tokens are for.
    pub service: String,
    /// What signs them.
    pub keys: SigningKeys,
    /// How long a token counts.
    pub expires: Duration,
    /// How long a refresh token counts; `None` to issue none.
    pub refresh: Option<Duration>,
    /// The users.
    pub credentials: Credentials,
    /// What they may do; without rules, users may do everything and others nothing.
    pub rules: Option<CurrentRules>,
    /// What tells the time.
    pub clock: Clock,
}

/// A token server.
#[derive(Debug)]
pub struct Issuer {
    options: IssuerOptions,
    refresh: Verifier,
}

/// What a client gets.
#[derive(Clone)]
pub struct Issued {
    /// The token.
    pub token: String,
    /// For how long it counts.
    pub expires_in: Duration,
    /// When it was issued, in seconds since the epoch.
    pub issued_at: u64,
    /// What it permits, as a scope.
    pub scope: String,
    /// A token to get others with.
    pub refresh_token: Option<String>,
}

/// A token could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token cannot be made")]
pub struct NotIssued;

impl Issuer {
    /// A token server.
    pub fn new(options: IssuerOptions) -> Self {
        Self {
            refresh: Verifier {
                issuer: options.issuer.clone(),
                service: refresh_audience(&options.issuer),
                algorithms: Algorithm::ALL.to_vec(),
            },
            options,
        }
    }

    /// The service that tokens are for.
    pub fn service(&self) -> &str {
        &self.options.service
    }

    /// The keys that verify tokens.
    pub async fn jwks(&self) -> Jwks {
        self.options.keys.get().await.jwks()
    }

    /// Whether those who do not log in get tokens.
    pub async fn knows_anonymous(&self) -> bool {
        let rules = self.rules().await;
        rules.is_some_and(|rules| rules.know_anonymous())
    }

    /// Whether a password may come over plain HTTP.
    pub fn may_be_exposed(&self) -> bool {
        self.options.credentials.may_be_exposed()
    }

    /// Who this is, if the password is theirs.
    ///
    /// # Errors
    ///
    /// [`Refusal::Busy`]: too many are being checked.
    pub async fn log_in(&self, user: &str, password: &str) -> Result<Option<Login>, Refusal> {
        self.options.credentials.log_in(user, password).await
    }

    /// The user of a refresh token that counts: one that has not expired, and whose user has had no
    /// other password since.
    pub async fn refreshed(&self, token: &str) -> Option<Login> {
        let now = (self.options.clock)();
        let keys = self.options.keys.get().await;
        let claims = self.refresh.verify(token, &keys.trusted, now).ok()?;
        let credentials = &self.options.credentials;
        let fingerprint = credentials.fingerprint(&claims.subject).await?;
        (fingerprint == claims.id).then(|| Login::by_password(&claims.subject))
    }

    /// A token for as much of `scopes` as this user, or somebody who did not log in, may do. A
    /// `lasting` client that brought a password gets a refresh token as well, if there are any.
    ///
    /// # Errors
    ///
    /// The key does not sign.
    pub async fn issue(
        &self,
        login: Option<&Login>,
        scopes: &[Scope],
        lasting: bool,
    ) -> Result<Issued, NotIssued> {
        let options = &self.options;
        let now = (options.clock)().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let user = login.and_then(|login| login.grant.user());
        let access = granted(self.rules().await, login, scopes);
        let mut claims = json!({
            "iss": options.issuer,
            "sub": user.unwrap_or_default(),
            "aud": options.service,
            "exp": now.saturating_add(options.expires.as_secs()),
            "nbf": now,
            "iat": now,
            "jti": unique()?,
            "access": access,
        });
        if let Some(groups) = login.and_then(|login| login.grant.groups()) {
            claims["roadstead_groups"] = groups.iter().cloned().collect();
        }
        let keys = options.keys.get().await;
        let token = keys.sign(&claims).map_err(|_| NotIssued)?;
        let by_password = login.is_some_and(|login| login.by_password);
        let refresh_token = match user {
            Some(user) if lasting && by_password => self.lasting(user, now).await?,
            _ => None,
        };
        Ok(Issued {
            token,
            expires_in: options.expires,
            issued_at: now,
            scope: scope::written(&access),
            refresh_token,
        })
    }

    async fn lasting(&self, user: &str, now: u64) -> Result<Option<String>, NotIssued> {
        let options = &self.options;
        let Some(lasts) = options.refresh else {
            return Ok(None);
        };
        let Some(fingerprint) = options.credentials.fingerprint(user).await else {
            return Ok(None);
        };
        let claims = json!({
            "iss": options.issuer,
            "sub": user,
            "aud": refresh_audience(&options.issuer),
            "exp": now.saturating_add(lasts.as_secs()),
            "iat": now,
            "jti": fingerprint,
        });
        let keys = options.keys.get().await;
        keys.sign(&claims).map(Some).map_err(|_| NotIssued)
    }

    async fn rules(&self) -> Option<Arc<Rules>> {
        match &self.options.rules {
            Some(rules) => Some(rules.get().await),
            None => None,
        }
    }
}

fn granted(
    rules: Option<Arc<Rules>>,
    login: Option<&Login>,
    scopes: &[Scope],
) -> Vec<ResourceActions> {
    let is_anybody = rules.is_some() || login.is_some();
    let grant = login.map_or_else(Grant::anonymous, |login| login.grant.clone());
    let grant = match rules {
        Some(rules) => grant.under(rules),
        None => grant,
    };
    let permitted = scopes.iter().filter(|_| is_anybody);
    let granted = permitted.filter_map(|scope| scope.granted(&grant));
    granted.collect()
}

impl Scope {
    /// As much of the scope as is allowed; `None` for nothing.
    fn granted(&self, grant: &Grant) -> Option<ResourceActions> {
        let allowed = |access: &Access| grant.allows(access);
        // A token says who may look at the catalog, not what a key may see in it.
        let may_list = !grant.is_limited() && allowed(&Access::Catalog);
        let asked = |action: &str| self.actions.iter().any(|wanted| wanted == action);
        let actions: Vec<String> = match (self.kind.as_str(), self.name.parse::<RepositoryName>()) {
            ("repository", Ok(name)) => [Action::Pull, Action::Push, Action::Delete]
                .into_iter()
                .filter(|action| asked("*") || asked(action.as_str()))
                .filter(|action| allowed(&Access::Repository(name.clone(), *action)))
                .map(|action| action.as_str().to_owned())
                .collect(),
            ("registry", _) if self.name == "catalog" && asked("*") && may_list => {
                vec!["*".to_owned()]
            }
            _ => Vec::new(),
        };
        (!actions.is_empty()).then(|| ResourceActions {
            kind: self.kind.clone(),
            name: self.name.clone(),
            actions,
        })
    }
}

/// Whom refresh tokens are for: nobody who takes other tokens.
fn refresh_audience(issuer: &str) -> String {
    format!("{issuer}#refresh")
}

fn unique() -> Result<String, NotIssued> {
    let mut id = [0; 16];
    rand::fill(&mut id).map_err(|_| NotIssued)?;
    Ok(BASE64.encode(id))
}

/// Shows no token.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued")
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}
