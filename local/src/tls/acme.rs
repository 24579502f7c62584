//! `http.tls.letsencrypt`: certificates by ACME (RFC 8555).
//!
//! Every host has a certificate of its own, so that one that is refused takes none of the others
//! with it. All state lies in the folder `cachefile`, in the form of Go's `autocert`, which is
//! Distribution's: a folder that Distribution has filled goes on to serve. Replicas that share it
//! share certificates and renew them once, and each answers the challenges of all.

mod authority;
mod cache;
mod http01;
mod order;
mod renewal;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use roadstead_configuration::http::{AcmeChallenge, LetsEncrypt};
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::task::spawn_blocking;

use super::error::Error;
use authority::Authority;
use cache::{Cache, Entry};

/// What TLS-ALPN-01 agrees on (RFC 8737, section 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// What certificates are got by.
#[derive(Clone, Debug)]
pub(super) struct AcmeSettings {
    folder: PathBuf,
    hosts: Vec<String>,
    email: Option<String>,
    directory: String,
    challenge: AcmeChallenge,
    http_address: String,
    authorities: Vec<PathBuf>,
}

impl AcmeSettings {
    /// What the section says; none when it does not switch ACME on.
    pub(super) fn of(section: &LetsEncrypt) -> Result<Option<Self>, Error> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let half = |given, missing| Err(Error::Half { given, missing });
        let folder = match given(&section.cachefile) {
            Some(folder) => PathBuf::from(folder),
            None if section.hosts.is_empty() => return Ok(None),
            None => {
                return half(
                    "http.tls.letsencrypt.hosts",
                    "http.tls.letsencrypt.cachefile",
                );
            }
        };
        if section.hosts.is_empty() {
            return half(
                "http.tls.letsencrypt.cachefile",
                "http.tls.letsencrypt.hosts",
            );
        }
        Ok(Some(Self {
            folder,
            hosts: section
                .hosts
                .iter()
                .map(|host| host.to_ascii_lowercase())
                .collect(),
            email: given(&section.email),
            directory: section.directoryurl.clone(),
            challenge: section.challenge,
            http_address: section.httpaddr.clone(),
            authorities: section.rootcas.iter().map(PathBuf::from).collect(),
        }))
    }
}

/// The certificates of the hosts.
#[derive(Debug)]
pub(super) struct Acme {
    hosts: Vec<Host>,
    challenge: AcmeChallenge,
    cache: Cache,
    authority: Authority,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
struct Host {
    name: String,
    current: RwLock<Option<Arc<Entry>>>,
}

impl Acme {
    /// What the folder has already; the tasks of [`Self::start`] see to the rest.
    pub(super) fn new(
        settings: &AcmeSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let host = |name: &String| Host {
            name: name.clone(),
            current: RwLock::default(),
        };
        let acme = Self {
            hosts: settings.hosts.iter().map(host).collect(),
            challenge: settings.challenge,
            cache: Cache::open(&settings.folder)?,
            authority: Authority::new(settings, provider)?,
            provider: Arc::clone(provider),
        };
        for host in &acme.hosts {
            acme.adopt(host);
        }
        Ok(acme)
    }

    /// Keeps the certificates valid for as long as somebody else holds `self`.
    pub(super) async fn start(self: &Arc<Self>, settings: &AcmeSettings) -> Result<(), Error> {
        if self.challenge == AcmeChallenge::Http01 {
            http01::start(&settings.http_address, self).await?;
        }
        for index in 0..self.hosts.len() {
            tokio::spawn(renewal::keep(Arc::downgrade(self), index));
        }
        Ok(())
    }

    /// What answers the challenge for a host, of which any replica may have asked for it.
    pub(super) async fn challenge(self: Arc<Self>, host: &str) -> Option<Arc<ServerConfig>> {
        let host = self.host(host)?.name.clone();
        let acme = Arc::clone(&self);
        let read = spawn_blocking(move || acme.cache.challenge(&host, &acme.provider));
        let certificate = SingleCertAndKey::from(read.await.ok()??);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        Some(Arc::new(config))
    }

    fn host(&self, name: &str) -> Option<&Host> {
        let mut hosts = self.hosts.iter();
        hosts.find(|host| host.name.eq_ignore_ascii_case(name))
    }

    /// Takes what the folder has, if it is better than what is in use.
    fn adopt(&self, host: &Host) {
        let Some(entry) = self.cache.certificate(&host.name, &self.provider) else {
            return;
        };
        let is_newer = match host.current() {
            Some(current) => current.expires < entry.expires,
            None => true,
        };
        if is_newer {
            host.set(entry);
        }
    }
}

impl Host {
    fn current(&self) -> Option<Arc<Entry>> {
        let current = self.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, entry: Entry) {
        let current = self.current.write();
        *current.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(entry));
    }
}

/// Whether a client only wants to see the answer to a challenge.
pub(super) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    hello.alpn().into_iter().flatten().eq([PROTOCOL])
}

impl ResolvesServerCert for Acme {
    /// Who names no host gets the only one, if there is but one; other hosts are refused.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let host = match (hello.server_name(), self.hosts.as_slice()) {
            (Some(name), _) => self.host(name)?,
            (None, [only]) => only,
            (None, _) => return None,
        };
        Some(Arc::clone(&host.current()?.key))
    }
}
