//! Getting one certificate (RFC 8555, section 7.4).

use std::time::Duration;

use instant_acme::{
    AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier, NewOrder, Order,
    OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use roadstead_configuration::http::AcmeChallenge;
use tokio::task::spawn_blocking;

use super::authority::Failure;
use super::cache::{Entry, parse, written};
use super::{Acme, Host};

/// How long the server may take to look at a challenge, or to sign.
const PATIENCE: RetryPolicy = RetryPolicy::new().timeout(Duration::from_secs(90));

impl Acme {
    /// Gets a certificate for a host and keeps it in the folder.
    pub(super) async fn obtain(&self, host: &Host) -> Result<Entry, Failure> {
        let account = self.authority.account(&self.cache).await?;
        let identifiers = [Identifier::Dns(host.name.clone())];
        let mut order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let mut published = Published {
            acme: self,
            names: Vec::new(),
        };
        self.answer(&mut order, host, &mut published).await?;
        if order.poll_ready(&PATIENCE).await? == OrderStatus::Invalid {
            return Err(refusal(&mut order).await);
        }
        drop(published);

        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(vec![host.name.clone()])?;
        parameters.distinguished_name = DistinguishedName::new();
        order
            .finalize_csr(parameters.serialize_request(&key)?.der())
            .await?;
        let chain = order.poll_certificate(&PATIENCE).await?;
        let text = written(&(key.serialize_pem() + &chain));
        let entry = parse(text.as_bytes(), &host.name, &self.provider)
            .ok_or("the ACME server gave a certificate that cannot be used")?;
        self.cache.keep(host.name.clone(), text).await?;
        Ok(entry)
    }

    /// Answers a challenge of each authorization that waits for one.
    async fn answer(
        &self,
        order: &mut Order,
        host: &Host,
        published: &mut Published<'_>,
    ) -> Result<(), Failure> {
        let (wanted, name) = match self.challenge {
            AcmeChallenge::TlsAlpn01 => (ChallengeType::TlsAlpn01, "tls-alpn-01"),
            AcmeChallenge::Http01 => (ChallengeType::Http01, "http-01"),
        };
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status => return Err(format!("the authorization is {status:?}").into()),
            }
            let challenge = authorization.challenge(wanted.clone());
            let mut challenge =
                challenge.ok_or_else(|| format!("the ACME server offers no {name}"))?;
            let answer = challenge.key_authorization();
            match self.challenge {
                AcmeChallenge::TlsAlpn01 => {
                    let text = challenge_certificate(&host.name, answer.digest().as_ref())?;
                    published.add(format!("{}+token", host.name), text).await?;
                }
                AcmeChallenge::Http01 => {
                    let file = token_file(&challenge.token).ok_or("the challenge has no token")?;
                    published.add(file, answer.as_str().to_owned()).await?;
                }
            }
            challenge.set_ready().await?;
        }
        Ok(())
    }
}

/// The file of an HTTP-01 token; none for what is no token (RFC 8555, section 8.3).
pub(super) fn token_file(token: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_token = !token.is_empty() && token.len() <= 200 && token.bytes().all(allowed);
    is_token.then(|| format!("{token}+http-01"))
}

/// The certificate that proves TLS-ALPN-01 (RFC 8737, section 3), with its key.
fn challenge_certificate(host: &str, digest: &[u8]) -> Result<String, Failure> {
    let mut parameters = CertificateParams::new(vec![host.to_owned()])?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    Ok(key.serialize_pem() + &parameters.self_signed(&key)?.pem())
}

/// What the server found wrong with the answer to its challenge.
async fn refusal(order: &mut Order) -> Failure {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        if let Some(problem) = problem(&mut authorization).await {
            return problem;
        }
    }
    "the ACME server refuses the order".into()
}

async fn problem(authorization: &mut AuthorizationHandle<'_>) -> Option<Failure> {
    let state = authorization.refresh().await.ok()?;
    let problem = state
        .challenges
        .iter()
        .find_map(|challenge| challenge.error.clone())?;
    Some(Box::new(problem))
}

/// The answers to challenges that lie in the folder, for as long as they are needed.
struct Published<'a> {
    acme: &'a Acme,
    names: Vec<String>,
}

impl Published<'_> {
    async fn add(&mut self, name: String, text: String) -> Result<(), Failure> {
        self.names.push(name.clone());
        Ok(self.acme.cache.keep(name, text).await?)
    }
}

impl Drop for Published<'_> {
    fn drop(&mut self) {
        let (cache, names) = (self.acme.cache.clone(), std::mem::take(&mut self.names));
        spawn_blocking(move || names.iter().for_each(|name| cache.remove(name)));
    }
}
