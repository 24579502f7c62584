//! Tokens that somebody made who has none of the configured keys, and tokens that were bent.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use roadstead_auth::{Algorithm, Invalid, Trusted};
use serde_json::{Value, json};

use crate::kit::{Key, claims, mac, now, trusted, unsigned, verifier};

fn refused(token: &str, trusted: &Trusted) -> Invalid {
    verifier().verify(token, trusted, now()).unwrap_err()
}

#[test]
fn a_token_without_a_signature_counts_for_nothing() {
    let key = Key::of(Algorithm::Rs256);
    let trusted = trusted(&[key.jwk("k")]);
    for name in [
        "none", "None", "NONE", "nOnE", "", "rs256", "RS256 ", "ES256K", "RSA1_5",
    ] {
        let unsigned = unsigned(&json!({ "alg": name, "kid": "k" }), &claims().to_string());
        for signature in ["", "AA"] {
            let token = format!("{unsigned}.{signature}");
            assert_eq!(refused(&token, &trusted), Invalid::Algorithm, "{name}");
        }
    }
    for name in ["RS256", "PS256", "ES256", "EdDSA", "HS256"] {
        let unsigned = unsigned(&json!({ "alg": name, "kid": "k" }), &claims().to_string());
        for signature in [vec![], vec![0], vec![0; 64], vec![0; 256]] {
            let token = format!("{unsigned}.{}", BASE64.encode(signature));
            assert_eq!(refused(&token, &trusted), Invalid::Signature, "{name}");
        }
    }
}

/// CVE-2022-21449: a signature of zeros is no signature.
#[test]
fn a_signature_of_zeros_counts_for_nothing_on_any_curve() {
    for (algorithm, length) in [
        (Algorithm::Es256, 64),
        (Algorithm::Es384, 96),
        (Algorithm::Es512, 132),
        (Algorithm::EdDsa, 64),
    ] {
        let key = Key::of(algorithm);
        let unsigned = unsigned(
            &json!({ "alg": algorithm.as_str(), "kid": "k" }),
            &claims().to_string(),
        );
        let token = format!("{unsigned}.{}", BASE64.encode(vec![0; length]));
        assert_eq!(
            refused(&token, &trusted(&[key.jwk("k")])),
            Invalid::Signature
        );
    }
}

/// The public key is known to everybody: as a secret it must not sign.
#[test]
fn a_public_key_is_never_a_secret() {
    let key = Key::of(Algorithm::Rs256);
    let jwk = key.jwk("k");
    let trusted = trusted(&[jwk.clone()]);
    let modulus = BASE64.decode(jwk["n"].as_str().unwrap()).unwrap();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        base64::prelude::BASE64_STANDARD.encode(key.spki())
    );
    for secret in [
        key.spki(),
        modulus,
        pem.into_bytes(),
        jwk.to_string().into_bytes(),
    ] {
        for algorithm in [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512] {
            let header = json!({ "alg": algorithm.as_str(), "kid": "k" });
            let unsigned = unsigned(&header, &claims().to_string());
            let signature = mac(algorithm, &secret, unsigned.as_bytes());
            let token = format!("{unsigned}.{}", BASE64.encode(signature));
            assert_eq!(refused(&token, &trusted), Invalid::Signature);
        }
    }
}

#[test]
fn a_header_cannot_bring_its_own_key() {
    let (ours, theirs) = (Key::of(Algorithm::Es256), Key::of(Algorithm::Es256));
    let trusted = trusted(&[ours.jwk("k")]);
    let mut same_name = theirs.jwk("k");
    same_name["use"] = json!("sig");
    for (header, expected) in [
        (json!({}), Invalid::Key),
        (json!({ "kid": "" }), Invalid::Key),
        (json!({ "kid": "../../etc/passwd" }), Invalid::Key),
        (json!({ "kid": "k' OR '1'='1" }), Invalid::Key),
        (json!({ "kid": "K" }), Invalid::Key),
        (json!({ "jwk": theirs.jwk("theirs") }), Invalid::Key),
        (
            json!({ "jwk": theirs.jwk("theirs"), "kid": "k" }),
            Invalid::Key,
        ),
        // The name is of a key that is configured: that one is taken, and it did not sign.
        (json!({ "jwk": same_name }), Invalid::Signature),
        (
            json!({ "jku": "https://evil/keys", "kid": "k" }),
            Invalid::Signature,
        ),
        (
            json!({ "x5u": "https://evil/cert", "kid": "k" }),
            Invalid::Signature,
        ),
        (json!({ "x5c": [], "kid": "k" }), Invalid::Signature),
        (json!({ "x5c": ["AAAA"], "kid": "k" }), Invalid::Key),
        (json!({ "x5c": "AAAA", "kid": "k" }), Invalid::Malformed),
        (json!({ "crit": ["exp"], "kid": "k" }), Invalid::Critical),
        (json!({ "crit": [], "kid": "k" }), Invalid::Critical),
        (json!({ "kid": 7 }), Invalid::Malformed),
    ] {
        let mut header: Value = header;
        header["alg"] = json!("ES256");
        let shown = header.to_string();
        let token = theirs.token(Algorithm::Es256, header, &claims().to_string());
        assert_eq!(refused(&token, &trusted), expected, "{shown}");
    }
}

#[test]
fn an_embedded_key_with_the_name_of_a_configured_one_may_be_that_one() {
    let key = Key::of(Algorithm::Es384);
    let header = json!({ "alg": "ES384", "jwk": key.jwk("k") });
    let token = key.token(Algorithm::Es384, header, &claims().to_string());
    let verified = verifier().verify(&token, &trusted(&[key.jwk("k")]), now());
    assert!(verified.is_ok());
}

#[test]
fn what_is_bent_is_no_token() {
    let key = Key::of(Algorithm::EdDsa);
    let trusted = trusted(&[key.jwk("k")]);
    let header = json!({ "alg": "EdDSA", "kid": "k" });
    let token = key.token(Algorithm::EdDsa, header, &claims().to_string());
    assert!(verifier().verify(&token, &trusted, now()).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let other = BASE64.encode(claims().to_string().replace("ann", "root"));
    let zip = json!({ "alg": "EdDSA", "kid": "k", "zip": "DEF" });
    let bent = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "....".to_owned(),
        parts[..2].join("."),
        format!("{token}."),
        format!("{token}.x.y"),
        format!("{token}="),
        format!(" {token}"),
        token.replace('.', ""),
        format!("{}.{other}.{}", parts[0], parts[2]),
        format!(
            "{}.{}.{}",
            BASE64.encode(zip.to_string()),
            parts[1],
            parts[2]
        ),
        format!("{}.{}.{}", parts[0], parts[1], BASE64.encode([0; 64])),
        format!("{{\"alg\":\"EdDSA\"}}.{}.{}", parts[1], parts[2]),
        "\u{fffd}.\u{0}.é".to_owned(),
        "A".repeat(1 << 20),
    ];
    for token in bent {
        let shown: String = token.chars().take(40).collect();
        assert!(
            verifier().verify(&token, &trusted, now()).is_err(),
            "{shown}"
        );
    }
}

/// A header that names its algorithm twice could be read in two ways.
#[test]
fn a_header_that_says_a_thing_twice_is_refused() {
    let key = Key::of(Algorithm::EdDsa);
    let trusted = trusted(&[key.jwk("k")]);
    let header = r#"{"alg":"none","alg":"EdDSA","kid":"k"}"#;
    let signed = format!(
        "{}.{}",
        BASE64.encode(header),
        BASE64.encode(claims().to_string())
    );
    let signature = key.sign(Algorithm::EdDsa, signed.as_bytes());
    let token = format!("{signed}.{}", BASE64.encode(signature));
    assert_eq!(refused(&token, &trusted), Invalid::Malformed);
}

#[test]
fn a_short_secret_is_refused_when_it_is_read() {
    let mut trusted = Trusted::default();
    let set = json!({ "keys": [{ "kty": "oct", "kid": "k", "k": BASE64.encode("secret") }] });
    assert!(trusted.add_jwks(set.to_string().as_bytes()).is_err());
}
