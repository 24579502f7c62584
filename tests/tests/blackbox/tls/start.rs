//! What refuses to start, and what it says.

use roadstead_tests::certificates::Authority;
use roadstead_tests::{require, tool};
use serde_json::{Value, json};

use super::kit::Prepared;

fn prepared() -> Prepared {
    let authority = Authority::new("root");
    Prepared::new(&authority, &authority.server())
}

/// What a registry says that does not start.
fn refusal(prepared: &Prepared, tls: Value) -> String {
    let setup = prepared.setup(json!({"http": {"tls": tls}}));
    setup.try_start().err().expect("a refusal to start")
}

#[test]
fn a_refusal_names_the_file_and_what_is_wrong_with_it() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let prepared = prepared();
    let scratch = prepared.store.scratch();
    let other = Authority::new("other").server();
    let (_, other_key) = other.write(scratch, "other");
    let file = |name: &str, text: &str| {
        let path = scratch.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let garbage = file("garbage", "no PEM at all");
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let broken = file("broken", broken);
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let empty = file("empty", empty);
    let absent = scratch.join("absent");
    for (tls, parts) in [
        (
            json!({"certificate": absent}),
            &["http.tls.certificate", "absent", "No such file"][..],
        ),
        (
            json!({"key": absent}),
            &["http.tls.key", "absent", "No such file"],
        ),
        (
            json!({"certificate": garbage}),
            &["garbage", "no certificate in PEM"],
        ),
        (
            json!({"key": garbage}),
            &["http.tls.key", "garbage", "no private key in PEM"],
        ),
        (json!({"certificate": broken}), &["broken", "is not PEM"]),
        (
            json!({"certificate": empty}),
            &["http.tls.certificate", "empty", "cannot be used"],
        ),
        (
            json!({"key": other_key}),
            &["other.key", "does not belong", "server.crt"],
        ),
        (
            json!({"key": null}),
            &["http.tls.certificate: needs http.tls.key"],
        ),
        (
            json!({"certificate": null}),
            &["http.tls.key: needs http.tls.certificate"],
        ),
        (
            json!({"clientcas": [garbage]}),
            &["http.tls.clientcas", "garbage"],
        ),
        (
            json!({"clientcas": [absent]}),
            &["http.tls.clientcas", "absent"],
        ),
        (
            json!({"clientauth": "require-and-verify-client-cert"}),
            &["require-and-verify-client-cert needs http.tls.clientcas"],
        ),
        (
            json!({"clientauth": "always"}),
            &["http.tls.clientauth", "always"],
        ),
        (
            json!({"minimumtls": "tls2"}),
            &["http.tls.minimumtls", "tls2"],
        ),
        (
            json!({"ciphersuites": ["TLS_NONE"]}),
            &["http.tls.ciphersuites", "TLS_NONE"],
        ),
        (
            json!({"ciphersuites": ["TLS_RSA_WITH_AES_128_CBC_SHA"]}),
            &[
                "ciphersuites",
                "TLS_RSA_WITH_AES_128_CBC_SHA",
                "TLS_AES_128_GCM_SHA256",
            ],
        ),
    ] {
        let said = refusal(&prepared, tls.clone());
        for part in parts {
            assert!(said.contains(part), "{part} for {tls} in:\n{said}");
        }
    }
}

#[test]
fn an_encrypted_key_is_recognised() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let openssl = require!("openssl");
    let prepared = prepared();
    let encrypted = prepared.store.scratch().join("encrypted.key");
    let (key, out) = (prepared.key.to_str().unwrap(), encrypted.to_str().unwrap());
    let arguments = [
        "pkey",
        "-aes256",
        "-passout",
        "pass:secret",
        "-in",
        key,
        "-out",
        out,
    ];
    tool::run(&openssl, arguments).success();
    let said = refusal(&prepared, json!({"key": encrypted}));
    assert!(said.contains("encrypted.key is encrypted"), "{said}");
}

#[test]
fn what_cannot_be_had_is_named_by_a_warning() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let suites = ["TLS_RSA_WITH_3DES_EDE_CBC_SHA", "TLS_AES_128_GCM_SHA256"];
    let tls = json!({"ciphersuites": suites, "minimumtls": "tls1.1"});
    let registry = prepared().start(json!({"http": {"tls": tls}}));
    let log = registry.registry.log();
    let warning = |part: &str| {
        log.lines()
            .any(|line| line.contains("level=warn") && line.contains(part))
    };
    assert!(warning("TLS_RSA_WITH_3DES_EDE_CBC_SHA"), "{log}");
    assert!(warning("tls1.2 is the least"), "{log}");
    assert!(!warning("TLS_AES_128_GCM_SHA256"), "{log}");
    assert!(
        log.contains(&format!("listening on {}, tls", registry.host())),
        "{log}"
    );
}
