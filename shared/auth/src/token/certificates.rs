//! Chains of certificates in tokens (`x5c`), checked as CNCF Distribution has them checked.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::key::PublicKey;

/// The longest chain that is looked at.
const LONGEST: usize = 10;

/// A certificate's key, and its `SubjectPublicKeyInfo`.
pub(super) fn key(certificate: &CertificateDer<'_>) -> Option<(PublicKey, Vec<u8>)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let info = parsed.public_key();
    Some((PublicKey::from_spki(info)?, info.raw.to_vec()))
}

/// The key of the first certificate of `chain`, if it is one of `roots` or was signed by one, all
/// are valid now, and no name is constrained. The key may be meant for any use.
pub(super) fn verified(
    chain: &[String],
    roots: &[CertificateDer<'static>],
    now: UnixTime,
) -> Option<PublicKey> {
    let chain: Option<Vec<_>> = chain
        .iter()
        .take(LONGEST)
        .map(|text| decoded(text))
        .collect();
    let chain = chain?;
    let (leaf, intermediates) = chain.split_first()?;
    let (leaf_key, _) = key(leaf)?;
    let valid = |root: &&CertificateDer<'_>| is_valid(root, now);
    if roots.iter().filter(valid).any(|root| root == leaf) {
        return Some(leaf_key);
    }
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .filter(valid)
        .filter_map(|root| webpki::anchor_from_trusted_cert(root).ok())
        .collect();
    let algorithms = webpki::ALL_VERIFICATION_ALGS;
    let end = EndEntityCert::try_from(leaf).ok()?;
    let path = end.verify_for_usage(
        algorithms,
        &anchors,
        intermediates,
        now,
        AnyUsage,
        None,
        None,
    );
    path.is_ok().then_some(leaf_key)
}

fn decoded(text: &str) -> Option<CertificateDer<'static>> {
    BASE64_STANDARD.decode(text).ok().map(CertificateDer::from)
}

fn is_valid(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let validity = parsed.validity();
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now)
}

/// Go's `ExtKeyUsageAny`.
struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}
