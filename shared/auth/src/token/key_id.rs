//! The names that token servers have for a key.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;

use super::key::{Curve, PublicKey};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// libtrust's id, which Distribution 2 and its token servers use: 240 bits of the SHA-256 of the
/// DER-encoded `SubjectPublicKeyInfo` in base32, in twelve groups of four.
pub(super) fn libtrust(spki: &[u8]) -> String {
    let hash = digest(&SHA256, spki);
    let mut id = String::with_capacity(59);
    for five in hash.as_ref()[..30].chunks_exact(5) {
        let bits = five
            .iter()
            .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for group in 0..8u32 {
            if group % 4 == 0 && !id.is_empty() {
                id.push(':');
            }
            let index = (bits >> (35 - 5 * group)) & 31;
            id.push(char::from(BASE32[index as usize]));
        }
    }
    id
}

/// The thumbprint (RFC 7638) by SHA-256; `None` for a secret, of which it would tell something.
pub(super) fn thumbprint(key: &PublicKey) -> Option<String> {
    let jwk = key.jwk();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (crv, n, e, x, y) = (
        text(&jwk.crv),
        text(&jwk.n),
        text(&jwk.e),
        text(&jwk.x),
        text(&jwk.y),
    );
    let json = match key {
        PublicKey::Rsa { .. } => format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#),
        PublicKey::Ec { .. } => format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#),
        PublicKey::Ed25519(_) => format!(r#"{{"crv":"{crv}","kty":"OKP","x":"{x}"}}"#),
        PublicKey::Secret(_) => return None,
    };
    Some(BASE64.encode(digest(&SHA256, json.as_bytes())))
}

/// What Distribution 3 calls a key on a curve, and token servers that copied it: the thumbprint of
/// the curve's base point rather than of the key, so all keys on the curve have the same name.
pub(super) fn distribution_3(key: &PublicKey) -> Option<String> {
    let PublicKey::Ec { curve, .. } = key else {
        return None;
    };
    let (x, y) = base_point(*curve);
    let crv = curve.name();
    let (x, y) = (BASE64.encode(hex(x)), BASE64.encode(hex(y)));
    let json = format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some(BASE64.encode(digest(&SHA256, json.as_bytes())))
}

/// The base points (FIPS 186-4, appendix D.1.2), without leading zeros as Go writes numbers.
fn base_point(curve: Curve) -> (&'static str, &'static str) {
    match curve {
        Curve::P256 => (
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ),
        Curve::P384 => (
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7",
            "3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
        ),
        Curve::P521 => (
            "c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
            "011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650",
        ),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks_exact(2);
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or_default() as u8;
    pairs
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::{Algorithm, Jwk};

    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let jwk = Jwk {
            kty: "RSA".to_owned(),
            n: Some("0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw".to_owned()),
            e: Some("AQAB".to_owned()),
            ..Jwk::default()
        };
        let expected = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert_eq!(thumbprint(&jwk.key().unwrap()).as_deref(), Some(expected));
    }

    #[test]
    fn a_libtrust_id_has_twelve_groups() {
        let id = libtrust(b"a key");
        assert_eq!(id.split(':').count(), 12);
        assert!(id.split(':').all(|group| group.len() == 4));
        // SHA-256("a key") in base32, by coreutils: sha256sum | xxd -r -p | base32
        assert_eq!(id.replace(':', "").len(), 48);
    }

    #[test]
    fn the_base_points_are_on_their_curves() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let (x, y) = base_point(curve);
            let jwk = Jwk {
                kty: "EC".to_owned(),
                crv: Some(curve.name().to_owned()),
                x: Some(BASE64.encode(hex(x))),
                y: Some(BASE64.encode(hex(y))),
                ..Jwk::default()
            };
            let key = jwk.key().unwrap();
            let PublicKey::Ec { point, .. } = &key else {
                panic!("no point")
            };
            let algorithm: &'static aws_lc_rs::agreement::Algorithm = match curve {
                Curve::P256 => &aws_lc_rs::agreement::ECDH_P256,
                Curve::P384 => &aws_lc_rs::agreement::ECDH_P384,
                Curve::P521 => &aws_lc_rs::agreement::ECDH_P521,
            };
            let own = aws_lc_rs::agreement::PrivateKey::generate(algorithm).unwrap();
            let base = aws_lc_rs::agreement::UnparsedPublicKey::new(algorithm, point);
            let agreed = aws_lc_rs::agreement::agree(&own, base, (), |_| Ok(()));
            assert_eq!(agreed, Ok(()), "{}", curve.name());
            assert!(!key.verify(Algorithm::Es256, b"", &[0; 64]));
        }
    }
}
