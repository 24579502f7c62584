#![no_main]

use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use libfuzzer_sys::fuzz_target;
use roadstead_auth::{Algorithm, SigningKey, Trusted, Verifier};

/// A key that nobody has but this process: no input can be signed by it.
static TRUSTED: LazyLock<Trusted> = LazyLock::new(|| {
    let key = SigningKey::generate().expect("a key");
    let set = serde_json::json!({ "keys": [key.jwk()] });
    let mut trusted = Trusted::default();
    trusted.add_jwks(set.to_string().as_bytes()).expect("a set");
    trusted
});

fuzz_target!(|input: (&str, &[u8], &[u8])| {
    let (token, set, pem) = input;
    let verifier = Verifier {
        issuer: "issuer".to_owned(),
        service: "service".to_owned(),
        algorithms: Algorithm::ALL.to_vec(),
    };
    assert!(verifier.verify(token, &TRUSTED, UNIX_EPOCH).is_err());
    let mut trusted = Trusted::default();
    let _ = trusted.add_jwks(set);
    let _ = trusted.add_certificates(pem);
    let _ = verifier.verify(token, &trusted, UNIX_EPOCH);
    let _ = SigningKey::from_pem(pem);
});
