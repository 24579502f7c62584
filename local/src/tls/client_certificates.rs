//! What is asked of clients' certificates.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error as RustlsError,
    RootCertStore, SignatureScheme,
};

use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::error::Error;
use super::settings::ClientAuth;

/// What checks the certificates of clients as `mode` says, against `authorities`, which are those of
/// `certificates`.
pub(super) fn verifier(
    mode: ClientAuth,
    (authorities, certificates): (RootCertStore, Vec<CertificateDer<'static>>),
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let provider = Arc::clone(provider);
    let unverified = |is_mandatory| Unverified {
        hints: authorities.subjects(),
        is_mandatory,
        provider: Arc::clone(&provider),
    };
    let verified = |is_mandatory| {
        let all = verified(authorities.clone(), is_mandatory, &provider).map_err(refused)?;
        Ok::<_, Error>(Verified {
            all,
            certificates: certificates.clone(),
            provider: Arc::clone(&provider),
        })
    };
    let verifier: Arc<dyn ClientCertVerifier> = match mode {
        ClientAuth::None => return Ok(WebPkiClientVerifier::no_client_auth()),
        ClientAuth::Request => Arc::new(unverified(false)),
        ClientAuth::RequireAny => Arc::new(unverified(true)),
        ClientAuth::VerifyIfGiven => Arc::new(verified(false)?),
        ClientAuth::RequireAndVerify => Arc::new(verified(true)?),
    };
    Ok(verifier)
}

fn verified(
    authorities: RootCertStore,
    is_mandatory: bool,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    let provider = Arc::clone(provider);
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider);
    match is_mandatory {
        true => builder.build(),
        false => builder.allow_unauthenticated().build(),
    }
}

/// Takes certificates of authorities that are valid now. webpki looks at everything but how long
/// the authorities themselves are for, which Go does.
#[derive(Debug)]
struct Verified {
    all: Arc<dyn ClientCertVerifier>,
    certificates: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Verified {
    fn client_auth_mandatory(&self) -> bool {
        self.all.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.all.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, RustlsError> {
        let certificates = self.certificates.iter();
        let valid: Vec<_> = certificates.filter(|one| is_valid(one, now)).collect();
        if valid.len() == self.certificates.len() {
            return self.all.verify_client_cert(leaf, between, now);
        }
        let mut authorities = RootCertStore::empty();
        for certificate in valid {
            authorities.add(certificate.clone())?;
        }
        let expired = |_| RustlsError::from(CertificateError::UnknownIssuer);
        let verifier = verified(authorities, true, &self.provider).map_err(expired)?;
        verifier.verify_client_cert(leaf, between, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.all
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, RustlsError> {
        self.all
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.all.supported_verify_schemes()
    }
}

fn is_valid(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let parsed = X509Certificate::from_der(certificate);
    let now = i64::try_from(now.as_secs()).map(ASN1Time::from_timestamp);
    let (Ok((_, parsed)), Ok(Ok(now))) = (parsed, now) else {
        return false;
    };
    parsed.validity().is_valid_at(now)
}

fn refused(error: VerifierBuilderError) -> Error {
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
