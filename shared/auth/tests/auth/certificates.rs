//! `x5c`: chains as Distribution checks them.

use std::time::Duration;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, PublicKeyData, SigningKey,
};
use roadstead_auth::{Algorithm, Invalid, Trusted};
use serde_json::{Value, json};

use crate::kit::{NOW, claims, now, unsigned, verifier};

fn parameters(is_ca: bool) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    if is_ca {
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let at = |seconds: u64| {
        let now = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        now.into()
    };
    parameters.not_before = at(NOW - 1000);
    parameters.not_after = at(NOW + 1000);
    parameters
}

fn root() -> CertifiedIssuer<'static, KeyPair> {
    CertifiedIssuer::self_signed(parameters(true), KeyPair::generate().unwrap()).unwrap()
}

fn signed_by(
    parameters: CertificateParams,
    issuer: &Issuer<'_, KeyPair>,
) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().unwrap();
    (parameters.signed_by(&key, issuer).unwrap(), key)
}

fn trusted(roots: &[&Certificate]) -> Trusted {
    let mut trusted = Trusted::default();
    for root in roots {
        trusted.add_certificates(root.pem().as_bytes()).unwrap();
    }
    trusted
}

/// A token that `key` signs, which is of P-256, and whose header has this.
fn token(key: &KeyPair, mut header: Value) -> String {
    header["alg"] = json!("ES256");
    let unsigned = unsigned(&header, &claims().to_string());
    let der = key.sign(unsigned.as_bytes()).unwrap();
    format!("{unsigned}.{}", BASE64_URL_SAFE_NO_PAD.encode(fixed(&der)))
}

/// An ECDSA signature of P-256 in the form of RFC 7515 from that of X.509.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut fixed = Vec::new();
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        fixed.extend(std::iter::repeat_n(0, 32 - number.len()));
        fixed.extend(number);
        rest = &rest[2 + length..];
    }
    fixed
}

fn chain(certificates: &[&Certificate]) -> Value {
    let encoded = certificates
        .iter()
        .map(|one| BASE64_STANDARD.encode(one.der()));
    json!(encoded.collect::<Vec<_>>())
}

fn outcome(token: &str, trusted: &Trusted) -> Result<(), Invalid> {
    verifier().verify(token, trusted, now()).map(drop)
}

#[test]
fn a_certificate_of_a_root_signs() {
    let root = root();
    let (leaf, key) = signed_by(parameters(false), &root);
    let token = token(&key, json!({ "x5c": chain(&[&leaf]) }));
    assert_eq!(outcome(&token, &trusted(&[root.as_ref()])), Ok(()));
}

#[test]
fn a_chain_inside_an_embedded_key_is_checked_as_well() {
    let root = root();
    let (leaf, key) = signed_by(parameters(false), &root);
    let token = token(
        &key,
        json!({ "jwk": { "kty": "EC", "x5c": chain(&[&leaf]) } }),
    );
    assert_eq!(outcome(&token, &trusted(&[root.as_ref()])), Ok(()));
    let other = self::root();
    assert_eq!(
        outcome(&token, &trusted(&[other.as_ref()])),
        Err(Invalid::Key)
    );
}

#[test]
fn a_root_may_sign_itself_and_by_its_name() {
    let root = root();
    let by_chain = token(root.key(), json!({ "x5c": chain(&[root.as_ref()]) }));
    assert_eq!(outcome(&by_chain, &trusted(&[root.as_ref()])), Ok(()));
}

#[test]
fn any_extended_key_usage_will_do() {
    let root = root();
    let mut parameters = parameters(false);
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    let (leaf, key) = signed_by(parameters, &root);
    let token = token(&key, json!({ "x5c": chain(&[&leaf]) }));
    assert_eq!(outcome(&token, &trusted(&[root.as_ref()])), Ok(()));
}

#[test]
fn an_intermediate_comes_with_the_token() {
    let root = root();
    let between =
        CertifiedIssuer::signed_by(parameters(true), KeyPair::generate().unwrap(), &root).unwrap();
    let (leaf, key) = signed_by(parameters(false), &between);
    let trusted = trusted(&[root.as_ref()]);
    let whole = token(&key, json!({ "x5c": chain(&[&leaf, between.as_ref()]) }));
    assert_eq!(outcome(&whole, &trusted), Ok(()));
    let broken = token(&key, json!({ "x5c": chain(&[&leaf]) }));
    assert_eq!(outcome(&broken, &trusted), Err(Invalid::Key));
}

#[test]
fn chains_to_nowhere_count_for_nothing() {
    let (ours, theirs) = (root(), root());
    let trusted = trusted(&[ours.as_ref()]);
    let (foreign, foreign_key) = signed_by(parameters(false), &theirs);
    let alone = KeyPair::generate().unwrap();
    let self_signed = parameters(false).self_signed(&alone).unwrap();
    let mut old = parameters(false);
    old.not_after = (std::time::UNIX_EPOCH + Duration::from_secs(NOW - 10)).into();
    let (expired, expired_key) = signed_by(old, &ours);
    let (leaf, leaf_key) = signed_by(parameters(false), &ours);
    let leaf_as_issuer = Issuer::new(parameters(false), leaf_key);
    let (below_leaf, below_key) = signed_by(parameters(false), &leaf_as_issuer);
    for (key, certificates) in [
        (&foreign_key, vec![&foreign]),
        (&foreign_key, vec![&foreign, theirs.as_ref()]),
        (&foreign_key, vec![&foreign, ours.as_ref()]),
        (&alone, vec![&self_signed]),
        (&expired_key, vec![&expired]),
        (&below_key, vec![&below_leaf, &leaf]),
    ] {
        let token = token(key, json!({ "x5c": chain(&certificates) }));
        assert_eq!(outcome(&token, &trusted), Err(Invalid::Key));
    }
    // The chain is good, but another key has signed.
    let borrowed = token(&alone, json!({ "x5c": chain(&[&leaf]) }));
    assert_eq!(outcome(&borrowed, &trusted), Err(Invalid::Signature));
}

#[test]
fn a_root_that_has_expired_vouches_for_nobody() {
    let mut old = parameters(true);
    old.not_after = (std::time::UNIX_EPOCH + Duration::from_secs(NOW - 10)).into();
    let root = CertifiedIssuer::self_signed(old, KeyPair::generate().unwrap()).unwrap();
    let (leaf, key) = signed_by(parameters(false), &root);
    let token = token(&key, json!({ "x5c": chain(&[&leaf]) }));
    assert_eq!(
        outcome(&token, &trusted(&[root.as_ref()])),
        Err(Invalid::Key)
    );
}

/// The id of libtrust, the thumbprint, and what Distribution 3 takes for the thumbprint.
#[test]
fn the_key_of_a_root_has_the_names_of_both_versions() {
    use roadstead_auth::Jwk;
    let root = root();
    let trusted = trusted(&[root.as_ref()]);
    let spki = root.key().subject_public_key_info();
    let libtrust = libtrust(&spki);
    let (_, info) = x509_parser::prelude::FromDer::from_der(&spki[..])
        .map(|(rest, info)| (rest, info))
        .unwrap();
    let jwk: Jwk = roadstead_auth::PublicKey::from_spki(&info).unwrap().jwk();
    let members = format!(
        r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
        jwk.x.unwrap(),
        jwk.y.unwrap()
    );
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(sha256(members.as_bytes()));
    for id in [libtrust, thumbprint] {
        let token = token(root.key(), json!({ "kid": id }));
        assert_eq!(outcome(&token, &trusted), Ok(()), "{id}");
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().to_vec()
}

/// libtrust's `FromCryptoPublicKey(key).KeyID()`, written down once more and differently.
fn libtrust(spki: &[u8]) -> String {
    let alphabet: Vec<char> = ('A'..='Z').chain('2'..='7').collect();
    let bits: String = sha256(spki)[..30]
        .iter()
        .map(|byte| format!("{byte:08b}"))
        .collect();
    let letters: Vec<char> = bits
        .as_bytes()
        .chunks(5)
        .map(|five| {
            let five = std::str::from_utf8(five).unwrap();
            alphabet[usize::from_str_radix(five, 2).unwrap()]
        })
        .collect();
    let groups = letters
        .chunks(4)
        .map(|four| four.iter().collect::<String>());
    groups.collect::<Vec<_>>().join(":")
}

#[test]
fn algorithms_must_be_those_of_the_certificates_key() {
    let root = root();
    let header = json!({ "x5c": chain(&[root.as_ref()]), "alg": "HS256" });
    let unsigned = unsigned(&header, &claims().to_string());
    let spki = root.key().subject_public_key_info();
    let signature = crate::kit::mac(Algorithm::Hs256, &spki, unsigned.as_bytes());
    let token = format!("{unsigned}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
    assert_eq!(
        outcome(&token, &trusted(&[root.as_ref()])),
        Err(Invalid::Signature)
    );
}
