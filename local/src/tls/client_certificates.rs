//! What is asked of clients' certificates.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error as RustlsError, RootCertStore, SignatureScheme,
};

use super::error::Error;
use super::settings::ClientAuth;

/// What checks the certificates of clients as `mode` says, against `authorities`.
pub(super) fn verifier(
    mode: ClientAuth,
    authorities: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let provider = Arc::clone(provider);
    let unverified = |is_mandatory| Unverified {
        hints: authorities.subjects(),
        is_mandatory,
        provider: Arc::clone(&provider),
    };
    let verified = |authorities: &RootCertStore| {
        let authorities = Arc::new(authorities.clone());
        WebPkiClientVerifier::builder_with_provider(authorities, Arc::clone(&provider))
    };
    let verifier: Arc<dyn ClientCertVerifier> = match mode {
        ClientAuth::None => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientAuth::Request => Arc::new(unverified(false)),
        ClientAuth::RequireAny => Arc::new(unverified(true)),
        ClientAuth::VerifyIfGiven => verified(&authorities)
            .allow_unauthenticated()
            .build()
            .map_err(refused)?,
        ClientAuth::RequireAndVerify => verified(&authorities).build().map_err(refused)?,
    };
    Ok(verifier)
}

fn refused(error: rustls::server::VerifierBuilderError) -> Error {
    RustlsError::General(error.to_string()).into()
}

/// Takes any certificate whose key the client has.
#[derive(Debug)]
struct Unverified {
    hints: Vec<DistinguishedName>,
    is_mandatory: bool,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Unverified {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, RustlsError> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
