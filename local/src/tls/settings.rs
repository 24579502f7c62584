//! What TLS is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use roadstead_configuration::http::{self, Http, MinimumTls};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::error::Error;
use super::{client_certificates, pem, suites};

const CERTIFICATE: &str = "http.tls.certificate";
const KEY: &str = "http.tls.key";
const AUTHORITIES: &str = "http.tls.clientcas";

/// What TLS is made of: [`ServerConfig`] as the configuration has it, with files by their paths.
#[derive(Clone, Debug)]
pub struct Settings {
    certificate: PathBuf,
    key: PathBuf,
    authorities: Vec<PathBuf>,
    client_auth: ClientAuth,
    versions: Vec<&'static SupportedProtocolVersion>,
    protocols: Vec<Vec<u8>>,
    provider: Arc<CryptoProvider>,
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
        let path = |text: &Option<String>| {
            let text = text.as_deref().filter(|text| !text.is_empty());
            text.map(PathBuf::from)
        };
        let half = |given, missing| Err(Error::Half { given, missing });
        let (certificate, key) = match (path(&tls.certificate), path(&tls.key)) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(_), None) => return half(CERTIFICATE, KEY),
            (None, Some(_)) => return half(KEY, CERTIFICATE),
            (None, None) if tls.clientcas.is_empty() => return Ok(None),
            (None, None) => return half(AUTHORITIES, CERTIFICATE),
        };
        let mut provider = super::provider();
        suites::choose(&mut provider, &tls.ciphersuites)?;
        Ok(Some(Self {
            certificate,
            key,
            authorities: tls.clientcas.iter().map(PathBuf::from).collect(),
            client_auth: client_auth(tls)?,
            versions: versions(tls.minimumtls, &provider),
            protocols: protocols(http),
            provider: Arc::new(provider),
        }))
    }

    /// All files that make a difference.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let pair = [&self.certificate, &self.key];
        pair.into_iter()
            .chain(&self.authorities)
            .map(PathBuf::as_path)
    }

    /// What the files say now.
    pub(super) fn server_config(&self) -> Result<ServerConfig, Error> {
        let authorities = pem::authorities(AUTHORITIES, &self.authorities)?;
        let clients = client_certificates::verifier(self.client_auth, authorities, &self.provider)?;
        let resolver = rustls::sign::SingleCertAndKey::from(self.certified_key()?);
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&self.versions)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols.clone_from(&self.protocols);
        Ok(config)
    }

    fn certified_key(&self) -> Result<CertifiedKey, Error> {
        let certificates = pem::certificates(CERTIFICATE, &self.certificate)?;
        let key = pem::key(KEY, &self.key)?;
        let pair = CertifiedKey::from_der(certificates, key, &self.provider);
        pair.map_err(|error| self.refusal(&error))
    }

    fn refusal(&self, error: &rustls::Error) -> Error {
        let (name, path) = match error {
            rustls::Error::InconsistentKeys(_) => {
                return Error::OtherKey {
                    certificate: self.certificate.clone(),
                    key: self.key.clone(),
                };
            }
            rustls::Error::InvalidCertificate(_) => (CERTIFICATE, &self.certificate),
            _ => (KEY, &self.key),
        };
        Error::File {
            name,
            path: path.clone(),
            problem: format!("cannot be used: {error}"),
        }
    }
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
