//! What TLS is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roadstead_configuration::http::{self, Http, MinimumTls};
use rustls::crypto::CryptoProvider;
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::acme::{Acme, AcmeSettings};
use super::error::Error;
use super::{client_certificates, pem, suites};

const CERTIFICATE: &str = "http.tls.certificate";
const KEY: &str = "http.tls.key";
const AUTHORITIES: &str = "http.tls.clientcas";

/// What TLS is made of: [`ServerConfig`] as the configuration has it, with files by their paths.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) identity: Identity,
    authorities: Vec<PathBuf>,
    client_auth: ClientAuth,
    versions: Vec<&'static SupportedProtocolVersion>,
    protocols: Vec<Vec<u8>>,
    pub(super) provider: Arc<CryptoProvider>,
}

/// Where the server's certificates come from.
#[derive(Clone, Debug)]
pub(super) enum Identity {
    /// From files, which somebody else renews.
    Files { certificate: PathBuf, key: PathBuf },
    /// From an ACME server.
    Acme(AcmeSettings),
}

/// What is asked of clients' certificates; Go's `ClientAuthType`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientAuth {
    /// Nothing.
    None,
    /// One, if the client has one.
    Request,
    /// Any.
    RequireAny,
    /// One of one of the authorities, if the client has one.
    VerifyIfGiven,
    /// One of one of the authorities.
    RequireAndVerify,
}

impl Settings {
    /// What `http` says; none when it asks for no TLS.
    ///
    /// # Errors
    ///
    /// Halves without their other halves, and cipher suites none of which can be had.
    pub fn of(http: &Http) -> Result<Option<Self>, Error> {
        let tls = &http.tls;
        let identity = match (files(tls)?, AcmeSettings::of(&tls.letsencrypt)?) {
            (Some(_), Some(_)) => return Err(Error::Both),
            (Some(files), None) => files,
            (None, Some(acme)) => Identity::Acme(acme),
            (None, None) if tls.clientcas.is_empty() => return Ok(None),
            (None, None) => return half(AUTHORITIES, CERTIFICATE),
        };
        let mut provider = super::provider();
        suites::choose(&mut provider, &tls.ciphersuites)?;
        Ok(Some(Self {
            identity,
            authorities: tls.clientcas.iter().map(PathBuf::from).collect(),
            client_auth: client_auth(tls)?,
            versions: versions(tls.minimumtls, &provider),
            protocols: protocols(http),
            provider: Arc::new(provider),
        }))
    }

    /// All files that make a difference.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let pair = match &self.identity {
            Identity::Files { certificate, key } => vec![certificate, key],
            Identity::Acme(_) => Vec::new(),
        };
        let files = pair.into_iter().chain(&self.authorities);
        files.map(PathBuf::as_path)
    }

    /// What the files say now; with ACME, `acme` has the certificates.
    pub(super) fn server_config(&self, acme: Option<&Arc<Acme>>) -> Result<ServerConfig, Error> {
        let authorities = pem::authorities(AUTHORITIES, &self.authorities)?;
        let clients = client_certificates::verifier(self.client_auth, authorities, &self.provider)?;
        let resolver: Arc<dyn ResolvesServerCert> = match (&self.identity, acme) {
            (Identity::Files { certificate, key }, _) => {
                let pair = certified_key(certificate, key, &self.provider)?;
                Arc::new(SingleCertAndKey::from(pair))
            }
            (Identity::Acme(_), Some(acme)) => Arc::clone(acme) as _,
            (Identity::Acme(acme), None) => Arc::new(Acme::new(acme, &self.provider)?),
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(resolver);
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(config)
    }
}

fn half<T>(given: &'static str, missing: &'static str) -> Result<T, Error> {
    Err(Error::Half { given, missing })
}

/// The two files, if any.
fn files(tls: &http::Tls) -> Result<Option<Identity>, Error> {
    let path = |text: &Option<String>| {
        let text = text.as_deref().filter(|text| !text.is_empty());
        text.map(PathBuf::from)
    };
    match (path(&tls.certificate), path(&tls.key)) {
        (Some(certificate), Some(key)) => Ok(Some(Identity::Files { certificate, key })),
        (Some(_), None) => half(CERTIFICATE, KEY),
        (None, Some(_)) => half(KEY, CERTIFICATE),
        (None, None) => Ok(None),
    }
}

fn certified_key(
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, Error> {
    let chain = pem::certificates(CERTIFICATE, certificate)?;
    let pair = CertifiedKey::from_der(chain, pem::key(KEY, key)?, provider);
    pair.map_err(|error| {
        let (name, path) = match error {
            rustls::Error::InconsistentKeys(_) => {
                return Error::OtherKey {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                };
            }
            rustls::Error::InvalidCertificate(_) => (CERTIFICATE, certificate),
            _ => (KEY, key),
        };
        Error::File {
            name,
            path: path.to_owned(),
            problem: format!("cannot be used: {error}"),
        }
    })
}

/// Distribution verifies where there are authorities and nothing else is said; without any it
/// does not ask, whatever is said. Here what was asked for happens, or there is no start.
fn client_auth(tls: &http::Tls) -> Result<ClientAuth, Error> {
    let can_verify = !tls.clientcas.is_empty();
    Ok(match tls.clientauth {
        None if can_verify => ClientAuth::RequireAndVerify,
        None => ClientAuth::None,
        Some(http::ClientAuth::RequestClientCert) => ClientAuth::Request,
        Some(http::ClientAuth::RequireAnyClientCert) => ClientAuth::RequireAny,
        Some(http::ClientAuth::VerifyClientCertIfGiven) if can_verify => ClientAuth::VerifyIfGiven,
        Some(http::ClientAuth::RequireAndVerifyClientCert) if can_verify => {
            ClientAuth::RequireAndVerify
        }
        Some(http::ClientAuth::VerifyClientCertIfGiven) => {
            return Err(Error::NoAuthorities("verify-client-cert-if-given"));
        }
        Some(http::ClientAuth::RequireAndVerifyClientCert) => {
            return Err(Error::NoAuthorities("require-and-verify-client-cert"));
        }
    })
}

/// Those from the minimum on for which there are suites.
fn versions(
    minimum: MinimumTls,
    provider: &CryptoProvider,
) -> Vec<&'static SupportedProtocolVersion> {
    let wanted: &[&SupportedProtocolVersion] = match minimum {
        MinimumTls::Tls12 => &[&TLS13, &TLS12],
        MinimumTls::Tls13 => &[&TLS13],
    };
    let has_suites = |version: &SupportedProtocolVersion| {
        let mut suites = provider.cipher_suites.iter();
        suites.any(|suite| suite.version().version == version.version)
    };
    wanted
        .iter()
        .copied()
        .filter(|version| has_suites(version))
        .collect()
}

/// What is offered by ALPN (RFC 7301), the best first.
fn protocols(http: &Http) -> Vec<Vec<u8>> {
    let protocols: &[&[u8]] = match http.http2.disabled {
        true => &[b"http/1.1"],
        false => &[b"h2", b"http/1.1"],
    };
    protocols.iter().map(|protocol| protocol.to_vec()).collect()
}
