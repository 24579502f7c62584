//! The key that signs. CloudFront takes RSA of 2048 bits and ECDSA on P-256, each with SHA-1 or
//! SHA-256 (Developer Guide, "Specify signers that can create signed URLs").

mod evp;

use std::fmt;

use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

/// What of a policy is signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: what CloudFront expects unless a URL says otherwise.
    #[default]
    Sha1,
    /// SHA-256, which the URL then says.
    Sha256,
}

/// A private key. It is never shown.
pub struct PrivateKey(evp::Key);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey")
    }
}

/// A file that CloudFront's key is not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    /// There is no key.
    #[error("there is no unencrypted private key in PEM form (PKCS#1, PKCS#8 or SEC1)")]
    NotPem,
    /// There is another one.
    #[error("CloudFront takes RSA keys of 2048 bits and ECDSA keys on P-256; this is neither")]
    Unsuitable,
}

impl PrivateKey {
    /// The first private key in a PEM file.
    ///
    /// # Errors
    ///
    /// When there is none, or none that CloudFront takes.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| InvalidKey::NotPem)?;
        if !is_suitable(&der) {
            return Err(InvalidKey::Unsuitable);
        }
        let key = evp::Key::from_der(der.secret_der());
        key.map(Self).ok_or(InvalidKey::Unsuitable)
    }

    /// The signature of `message`: RSASSA-PKCS1-v1_5, or ECDSA in DER. `None` only where memory
    /// or randomness cannot be had.
    pub(crate) fn sign(&self, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
        self.0.sign(hash, message)
    }
}

fn is_suitable(der: &PrivateKeyDer<'_>) -> bool {
    const RSA_BYTES: usize = 2048 / 8;
    let is_rsa_2048 = |key: RsaKeyPair| key.public_modulus_len() == RSA_BYTES;
    let p256 = &ECDSA_P256_SHA256_ASN1_SIGNING;
    match der {
        PrivateKeyDer::Pkcs1(key) => {
            RsaKeyPair::from_der(key.secret_pkcs1_der()).is_ok_and(is_rsa_2048)
        }
        PrivateKeyDer::Sec1(key) => {
            EcdsaKeyPair::from_private_key_der(p256, key.secret_sec1_der()).is_ok()
        }
        PrivateKeyDer::Pkcs8(key) => {
            let der = key.secret_pkcs8_der();
            RsaKeyPair::from_pkcs8(der).is_ok_and(is_rsa_2048)
                || EcdsaKeyPair::from_pkcs8(p256, der).is_ok()
        }
        _ => false,
    }
}
