//! Keys that verify signatures, and their JSON form (RFC 7517, RFC 7518 section 6, RFC 8037).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521, OID_SIG_ED25519};
use x509_parser::prelude::SubjectPublicKeyInfo;
use x509_parser::public_key::PublicKey as Parsed;

use super::algorithm::Algorithm;

/// A key that verifies signatures, of one kind: it cannot be taken for one of another.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA, for `RS*` and `PS*`.
    Rsa {
        /// The modulus, without leading zeros.
        n: Vec<u8>,
        /// The exponent, without leading zeros.
        e: Vec<u8>,
    },
    /// A point on a curve, for the `ES*` of that curve.
    Ec {
        /// The curve.
        curve: Curve,
        /// The point, uncompressed (SEC 1, section 2.3.3).
        point: Vec<u8>,
    },
    /// Ed25519, for `EdDSA`.
    Ed25519(Vec<u8>),
    /// A secret that both sides have, for `HS*`.
    Secret(Vec<u8>),
}

/// The curves of RFC 7518, section 6.2.1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl Curve {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// How many bytes a coordinate has.
    fn width(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// A set of keys as JSON (RFC 7517, section 5).
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// A key as JSON. Parameters of private keys are not read.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the fields are those of RFC 7517 and RFC 7518")]
pub struct Jwk {
    pub kty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    #[serde(skip_serializing)]
    pub k: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x5c: Option<Vec<String>>,
}

/// Shows no secret.
impl std::fmt::Debug for Jwk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwk")
            .field("kty", &self.kty)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

impl Jwk {
    /// The key, if it is one of a kind that is known.
    pub fn key(&self) -> Option<PublicKey> {
        let bytes =
            |text: &Option<String>| BASE64.decode(text.as_ref()?.trim_end_matches('=')).ok();
        match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => Some(PublicKey::Rsa {
                n: trimmed(&bytes(&self.n)?)?,
                e: trimmed(&bytes(&self.e)?)?,
            }),
            ("EC", Some(name)) => {
                let curves = [Curve::P256, Curve::P384, Curve::P521];
                let curve = curves.into_iter().find(|curve| curve.name() == name)?;
                let mut point = vec![4];
                for coordinate in [bytes(&self.x)?, bytes(&self.y)?] {
                    let padding = curve.width().checked_sub(coordinate.len())?;
                    point.extend(std::iter::repeat_n(0, padding));
                    point.extend(coordinate);
                }
                Some(PublicKey::Ec { curve, point })
            }
            ("OKP", Some("Ed25519")) => {
                let key = bytes(&self.x)?;
                (key.len() == 32).then_some(PublicKey::Ed25519(key))
            }
            ("oct", _) => Some(PublicKey::Secret(bytes(&self.k)?)),
            _ => None,
        }
    }
}

impl PublicKey {
    /// The key of a `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7).
    pub fn from_spki(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        if info.algorithm.algorithm == OID_SIG_ED25519 {
            let key = info.subject_public_key.data.to_vec();
            return (key.len() == 32).then_some(Self::Ed25519(key));
        }
        match info.parsed().ok()? {
            Parsed::RSA(key) => Some(Self::Rsa {
                n: trimmed(key.modulus)?,
                e: trimmed(key.exponent)?,
            }),
            Parsed::EC(point) => {
                let parameters = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
                let curves = [
                    (OID_EC_P256, Curve::P256),
                    (OID_NIST_EC_P384, Curve::P384),
                    (OID_NIST_EC_P521, Curve::P521),
                ];
                let known = curves.into_iter().find(|(oid, _)| *oid == parameters);
                let (_, curve) = known?;
                let point = point.data().to_vec();
                (point.len() == 1 + 2 * curve.width()).then_some(Self::Ec { curve, point })
            }
            _ => None,
        }
    }

    /// Whether `signature` is one of `message` by this key and algorithm. A key never verifies an
    /// algorithm of another kind; secrets shorter than the hash, and RSA keys of less than 2048
    /// bits, verify nothing (RFC 7518, sections 3.2 and 3.3).
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Rsa { n, e } => rsa(algorithm).is_some_and(|parameters| {
                let key = RsaPublicKeyComponents { n, e };
                key.verify(parameters, message, signature).is_ok()
            }),
            Self::Ec { curve, point } => ecdsa(*curve, algorithm).is_some_and(|algorithm| {
                let key = UnparsedPublicKey::new(algorithm, point);
                key.verify(message, signature).is_ok()
            }),
            Self::Ed25519(key) => {
                let key = UnparsedPublicKey::new(&signature::ED25519, key);
                algorithm == Algorithm::EdDsa && key.verify(message, signature).is_ok()
            }
            Self::Secret(secret) => hs(algorithm).is_some_and(|algorithm| {
                let is_long = secret.len() >= algorithm.digest_algorithm().output_len();
                let key = hmac::Key::new(algorithm, secret);
                is_long && hmac::verify(&key, message, signature).is_ok()
            }),
        }
    }

    /// The key as JSON; of a secret, nothing but that it is one.
    pub fn jwk(&self) -> Jwk {
        let encoded = |bytes: &[u8]| Some(BASE64.encode(bytes));
        let text = |text: &str| text.to_owned();
        match self {
            Self::Rsa { n, e } => Jwk {
                kty: text("RSA"),
                n: encoded(n),
                e: encoded(e),
                ..Jwk::default()
            },
            Self::Ec { curve, point } => {
                let (x, y) = point[1..].split_at(curve.width().min(point.len() - 1));
                Jwk {
                    kty: text("EC"),
                    crv: Some(text(curve.name())),
                    x: encoded(x),
                    y: encoded(y),
                    ..Jwk::default()
                }
            }
            Self::Ed25519(key) => Jwk {
                kty: text("OKP"),
                crv: Some(text("Ed25519")),
                x: encoded(key),
                ..Jwk::default()
            },
            Self::Secret(_) => Jwk {
                kty: text("oct"),
                ..Jwk::default()
            },
        }
    }
}

/// Shows no secret.
impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.jwk().fmt(f)
    }
}

fn trimmed(bytes: &[u8]) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn ecdsa(
    curve: Curve,
    algorithm: Algorithm,
) -> Option<&'static signature::EcdsaVerificationAlgorithm> {
    match (curve, algorithm) {
        (Curve::P256, Algorithm::Es256) => Some(&signature::ECDSA_P256_SHA256_FIXED),
        (Curve::P384, Algorithm::Es384) => Some(&signature::ECDSA_P384_SHA384_FIXED),
        (Curve::P521, Algorithm::Es512) => Some(&signature::ECDSA_P521_SHA512_FIXED),
        _ => None,
    }
}

fn hs(algorithm: Algorithm) -> Option<hmac::Algorithm> {
    match algorithm {
        Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
        Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
        Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
        _ => None,
    }
}
