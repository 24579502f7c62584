//! Keys and tokens made from scratch, so that they can also be wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use roadstead_auth::{Algorithm, Jwk, PublicKey, Trusted, Verifier};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo};

pub(crate) const NOW: u64 = 1_800_000_000;

pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Secret(Vec<u8>),
}

impl Key {
    /// A key for an algorithm.
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        match algorithm.as_str() {
            "EdDSA" => Self::Ed(Ed25519KeyPair::generate().unwrap()),
            "ES256" => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()),
            "ES384" => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()),
            "ES512" => Self::Ec(EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap()),
            name if name.starts_with("HS") => Self::Secret((0..64).collect()),
            _ => Self::Rsa(RsaKeyPair::generate(rsa::KeySize::Rsa2048).unwrap()),
        }
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
        match self {
            Self::Rsa(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ec(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Ed(pair) => AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key())
                .unwrap()
                .as_ref()
                .to_vec(),
            Self::Secret(_) => Vec::new(),
        }
    }

    /// The key as JSON, as a token server would publish it.
    pub(crate) fn jwk(&self, kid: &str) -> Value {
        if let Self::Secret(secret) = self {
            return json!({ "kty": "oct", "kid": kid, "k": BASE64.encode(secret) });
        }
        let spki = self.spki();
        let (_, info) = SubjectPublicKeyInfo::from_der(&spki).unwrap();
        let jwk = Jwk {
            kid: Some(kid.to_owned()),
            ..PublicKey::from_spki(&info).unwrap().jwk()
        };
        serde_json::to_value(jwk).unwrap()
    }

    pub(crate) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(pair) => {
                let encoding: &'static dyn aws_lc_rs::signature::RsaEncoding =
                    match algorithm.as_str() {
                        "RS256" => &RSA_PKCS1_SHA256,
                        "RS384" => &RSA_PKCS1_SHA384,
                        "RS512" => &RSA_PKCS1_SHA512,
                        "PS256" => &RSA_PSS_SHA256,
                        "PS384" => &RSA_PSS_SHA384,
                        _ => &RSA_PSS_SHA512,
                    };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Self::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => mac(algorithm, secret, message),
        }
    }

    /// A token with any header and any claims.
    pub(crate) fn token(&self, algorithm: Algorithm, header: Value, claims: &str) -> String {
        let signed = unsigned(&header, claims);
        let signature = self.sign(algorithm, signed.as_bytes());
        format!("{signed}.{}", BASE64.encode(signature))
    }
}

pub(crate) fn mac(algorithm: Algorithm, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm.as_str() {
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    let key = hmac::Key::new(algorithm, secret);
    hmac::sign(&key, message).as_ref().to_vec()
}

pub(crate) fn unsigned(header: &Value, claims: &str) -> String {
    format!(
        "{}.{}",
        BASE64.encode(header.to_string()),
        BASE64.encode(claims)
    )
}

pub(crate) fn verifier() -> Verifier {
    Verifier {
        issuer: "issuer".to_owned(),
        service: "service".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
    }
}

pub(crate) fn trusted(keys: &[Value]) -> Trusted {
    let mut trusted = Trusted::default();
    let set = json!({ "keys": keys }).to_string();
    trusted.add_jwks(set.as_bytes()).unwrap();
    trusted
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": "issuer",
        "sub": "ann",
        "aud": "service",
        "exp": NOW + 300,
        "nbf": NOW,
        "iat": NOW,
        "jti": "1",
        "access": [{ "type": "repository", "name": "a/b", "actions": ["pull", "push"] }],
    })
}
