//! Keys that sign.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Serialize;
use serde_json::json;
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

use super::algorithm::Algorithm;
use super::key::{Jwk, Jwks, PublicKey};
use super::key_id;
use super::trusted::Trusted;
use crate::FileError;
use crate::watched::{EVERY, Watched};

/// A key that signs tokens.
pub struct SigningKey {
    pair: Pair,
    algorithm: Algorithm,
    public: PublicKey,
    id: String,
}

enum Pair {
    Rsa(Box<RsaKeyPair>),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// The keys of a token server: the first one signs, and all of them verify, so that a new key can be
/// put before the old one for as long as tokens of that are about. Clones are the same.
#[derive(Clone, Debug)]
pub struct SigningKeys(Watched<KeySet>);

/// What such a file says at one time.
pub(crate) struct KeySet {
    keys: Vec<SigningKey>,
    pub(crate) trusted: Trusted,
}

impl SigningKeys {
    /// The keys of a PEM file, read again when it changes.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no key that can sign, or one that cannot.
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        let shown = path.display().to_string();
        let parse = move |contents: &[Vec<u8>]| {
            let pem = contents.first().map(Vec::as_slice).unwrap_or_default();
            KeySet::from_pem(pem).map_err(|error| FileError::Content {
                path: shown.clone(),
                message: error.to_string(),
            })
        };
        Watched::open(vec![path], EVERY, parse).map(Self)
    }

    /// What they are now.
    pub(crate) async fn get(&self) -> Arc<KeySet> {
        self.0.get().await
    }
}

impl From<SigningKey> for SigningKeys {
    /// A key that no file has.
    fn from(key: SigningKey) -> Self {
        Self(Watched::fixed(KeySet::new(vec![key])))
    }
}

impl KeySet {
    fn new(keys: Vec<SigningKey>) -> Self {
        let mut trusted = Trusted::default();
        for key in &keys {
            trusted.add_own(key.public());
        }
        Self { keys, trusted }
    }

    fn from_pem(pem: &[u8]) -> Result<Self, NoKey> {
        let keys = PrivateKeyDer::pem_slice_iter(pem);
        let keys = keys.map(|key| SigningKey::from_der(&key.map_err(|_| NoKey)?));
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        match keys.is_empty() {
            true => Err(NoKey),
            false => Ok(Self::new(keys)),
        }
    }

    /// The keys that verify, as token servers publish them.
    pub(crate) fn jwks(&self) -> Jwks {
        Jwks {
            keys: self.keys.iter().map(SigningKey::jwk).collect(),
        }
    }

    /// A token with these claims, by the first key.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, NoKey> {
        self.keys.first().ok_or(NoKey)?.sign(claims)
    }
}

/// There is no key that can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no private key that can sign: RSA of 2048 bits and more, P-256, P-384, P-521, Ed25519")]
pub struct NoKey;

impl SigningKey {
    /// The key of a PEM file: PKCS#8, PKCS#1 or SEC 1.
    ///
    /// # Errors
    ///
    /// There is no key of a kind that is known.
    pub fn from_pem(pem: &[u8]) -> Result<Self, NoKey> {
        Self::from_der(&PrivateKeyDer::from_pem_slice(pem).map_err(|_| NoKey)?)
    }

    fn from_der(kind: &PrivateKeyDer<'_>) -> Result<Self, NoKey> {
        let der = kind.secret_der();
        if matches!(kind, PrivateKeyDer::Pkcs1(_)) {
            return Self::rsa(RsaKeyPair::from_der(der).map_err(|_| NoKey)?);
        }
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(der) {
            return Self::ed25519(pair);
        }
        let curves: [(&'static EcdsaSigningAlgorithm, Algorithm); 3] = [
            (&ECDSA_P256_SHA256_FIXED_SIGNING, Algorithm::Es256),
            (&ECDSA_P384_SHA384_FIXED_SIGNING, Algorithm::Es384),
            (&ECDSA_P521_SHA512_FIXED_SIGNING, Algorithm::Es512),
        ];
        for (signing, algorithm) in curves {
            let pair = EcdsaKeyPair::from_pkcs8(signing, der)
                .or_else(|_| EcdsaKeyPair::from_private_key_der(signing, der));
            if let Ok(pair) = pair {
                return Self::ecdsa(pair, algorithm);
            }
        }
        Self::rsa(RsaKeyPair::from_pkcs8(der).map_err(|_| NoKey)?)
    }

    /// A key that nobody had before, and that lasts as long as this process.
    ///
    /// # Errors
    ///
    /// The system has no randomness.
    pub fn generate() -> Result<Self, NoKey> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| NoKey)?;
        Self::ecdsa(pair, Algorithm::Es256)
    }

    fn rsa(pair: RsaKeyPair) -> Result<Self, NoKey> {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| NoKey)?;
        Self::new(spki.as_ref(), Algorithm::Rs256, Pair::Rsa(Box::new(pair)))
    }

    fn ecdsa(pair: EcdsaKeyPair, algorithm: Algorithm) -> Result<Self, NoKey> {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| NoKey)?;
        Self::new(spki.as_ref(), algorithm, Pair::Ecdsa(pair))
    }

    fn ed25519(pair: Ed25519KeyPair) -> Result<Self, NoKey> {
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| NoKey)?;
        Self::new(spki.as_ref(), Algorithm::EdDsa, Pair::Ed25519(pair))
    }

    fn new(spki: &[u8], algorithm: Algorithm, pair: Pair) -> Result<Self, NoKey> {
        let (_, info) = SubjectPublicKeyInfo::from_der(spki).map_err(|_| NoKey)?;
        let public = PublicKey::from_spki(&info).ok_or(NoKey)?;
        let id = key_id::thumbprint(&public).ok_or(NoKey)?;
        Ok(Self {
            pair,
            algorithm,
            public,
            id,
        })
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key that verifies, as token servers publish it.
    pub fn jwk(&self) -> Jwk {
        Jwk {
            kid: Some(self.id.clone()),
            usage: Some("sig".to_owned()),
            alg: Some(self.algorithm.as_str().to_owned()),
            ..self.public.jwk()
        }
    }

    /// A token with these claims: a compact JWS (RFC 7515, section 7.1).
    ///
    /// # Errors
    ///
    /// The key does not sign.
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, NoKey> {
        let header = json!({ "alg": self.algorithm.as_str(), "kid": self.id, "typ": "JWT" });
        let claims = serde_json::to_vec(claims).map_err(|_| NoKey)?;
        let signed = format!(
            "{}.{}",
            BASE64.encode(header.to_string()),
            BASE64.encode(claims)
        );
        let signature = self.signature(signed.as_bytes()).ok_or(NoKey)?;
        Ok(format!("{signed}.{}", BASE64.encode(signature)))
    }

    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature);
                signed.is_ok().then_some(signature)
            }
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message).ok()?;
                Some(signature.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Some(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// Shows the name only.
impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&self.id).finish()
    }
}
