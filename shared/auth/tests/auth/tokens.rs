//! Tokens that count.

use roadstead_auth::{Access, Action, Algorithm, Invalid};
use serde_json::{Value, json};

use crate::kit::{Key, NOW, claims, now, trusted, verifier};

#[test]
fn every_algorithm_verifies_and_only_by_its_own_key() {
    let keys: Vec<_> = Algorithm::ALL
        .into_iter()
        .map(|algorithm| (algorithm, Key::of(algorithm)))
        .collect();
    let set: Vec<_> = keys
        .iter()
        .map(|(algorithm, key)| key.jwk(algorithm.as_str()))
        .collect();
    let trusted = trusted(&set);
    for (algorithm, key) in &keys {
        for (other, _) in &keys {
            let header = json!({ "alg": algorithm.as_str(), "kid": other.as_str() });
            let token = key.token(*algorithm, header, &claims().to_string());
            let verified = verifier().verify(&token, &trusted, now());
            let same = algorithm == other;
            // All secrets of this test are the same, so one verifies what another one signs.
            let shared = algorithm.as_str().starts_with("HS") && other.as_str().starts_with("HS");
            let expected = same || shared;
            assert_eq!(
                verified.is_ok(),
                expected,
                "{algorithm} by {other}: {verified:?}"
            );
        }
    }
}

#[test]
fn claims_are_read() {
    let algorithm = Algorithm::Es256;
    let key = Key::of(algorithm);
    let header = json!({ "alg": "ES256", "kid": "k", "typ": "JWT" });
    let token = key.token(algorithm, header, &claims().to_string());
    let claims = verifier()
        .verify(&token, &trusted(&[key.jwk("k")]), now())
        .unwrap();
    assert_eq!(claims.subject, "ann");
    let covers = |name: &str, action| {
        let access = Access::Repository(name.parse().unwrap(), action);
        claims.access.iter().any(|granted| granted.covers(&access))
    };
    assert!(covers("a/b", Action::Pull) && covers("a/b", Action::Push));
    assert!(!covers("a/b", Action::Delete));
    assert!(!covers("a/b/c", Action::Pull) && !covers("a", Action::Pull));
}

#[test]
fn claims_count_as_with_distribution() {
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims.to_string()
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        claims.to_string()
    };
    let algorithm = Algorithm::EdDsa;
    let key = Key::of(algorithm);
    let trusted = trusted(&[key.jwk("k")]);
    for (claims, expected) in [
        (claims().to_string(), None),
        (with("aud", json!(["x", "service"])), None),
        (with("aud", json!(["x"])), Some(Invalid::Audience)),
        (with("aud", json!("service2")), Some(Invalid::Audience)),
        (with("aud", json!(7)), Some(Invalid::Claims)),
        (without("aud"), Some(Invalid::Audience)),
        (with("iss", json!("Issuer")), Some(Invalid::Issuer)),
        (without("iss"), Some(Invalid::Issuer)),
        (with("exp", json!(NOW - 59)), None),
        (with("exp", json!(NOW - 61)), Some(Invalid::Expired)),
        (with("exp", json!(NOW as f64 + 0.5)), None),
        (with("exp", json!(NOW.to_string())), Some(Invalid::Claims)),
        (with("exp", json!(-1)), Some(Invalid::Expired)),
        (with("exp", json!(null)), Some(Invalid::Expired)),
        (without("exp"), Some(Invalid::Expired)),
        (with("nbf", json!(NOW + 59)), None),
        (with("nbf", json!(NOW + 61)), Some(Invalid::NotYet)),
        (without("nbf"), None),
        (without("iat"), None),
        (without("jti"), None),
        (without("sub"), None),
        (without("access"), None),
        (with("access", json!(null)), None),
        (with("access", json!("all")), Some(Invalid::Claims)),
        (
            with("access", json!([{ "type": "repository", "actions": null }])),
            None,
        ),
        (
            claims()
                .to_string()
                .replace(r#""exp":"#, r#""exp":1,"exp":"#),
            Some(Invalid::Claims),
        ),
        (
            r#"{"iss":"issuer","aud":"service","exp":1e400}"#.to_owned(),
            Some(Invalid::Claims),
        ),
        ("[]".to_owned(), Some(Invalid::Claims)),
        ("7".to_owned(), Some(Invalid::Claims)),
        ("{".to_owned(), Some(Invalid::Claims)),
    ] {
        let token = key.token(algorithm, json!({ "alg": "EdDSA", "kid": "k" }), &claims);
        let verified = verifier().verify(&token, &trusted, now());
        assert_eq!(verified.err(), expected, "{claims}");
    }
}

#[test]
fn only_the_algorithms_that_are_configured_count() {
    let key = Key::of(Algorithm::Rs256);
    let trusted = trusted(&[key.jwk("k")]);
    let verifier = roadstead_auth::Verifier {
        algorithms: vec![Algorithm::Ps256],
        ..verifier()
    };
    for (algorithm, expected) in [
        (Algorithm::Ps256, None),
        (Algorithm::Rs256, Some(Invalid::Algorithm)),
    ] {
        let header = json!({ "alg": algorithm.as_str(), "kid": "k" });
        let token = key.token(algorithm, header, &claims().to_string());
        assert_eq!(verifier.verify(&token, &trusted, now()).err(), expected);
    }
}

#[test]
fn a_key_may_say_its_one_algorithm() {
    let key = Key::of(Algorithm::Rs256);
    let mut jwk = key.jwk("k");
    jwk["alg"] = json!("RS512");
    let trusted = trusted(&[jwk]);
    for (algorithm, counts) in [(Algorithm::Rs512, true), (Algorithm::Rs256, false)] {
        let header = json!({ "alg": algorithm.as_str(), "kid": "k" });
        let token = key.token(algorithm, header, &claims().to_string());
        assert_eq!(verifier().verify(&token, &trusted, now()).is_ok(), counts);
    }
}
