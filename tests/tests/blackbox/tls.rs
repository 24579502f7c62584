//! TLS: certificates and their renewal, versions, suites, and clients' certificates.

mod clients;
mod kit;
mod renewal;
mod start;

use roadstead_tests::certificates::Authority;
use roadstead_tests::{require, sha256};
use serde_json::json;

use kit::{Secure, curl, s_client};

#[test]
fn http_2_is_agreed_on_unless_it_is_disabled() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let curl = require!("curl");
    for (disabled, expected) in [(false, "2 200"), (true, "1.1 200")] {
        let registry = Secure::start(json!({"http": {"http2": {"disabled": disabled}}}));
        for (asked, expected) in [("--http1.1", "1.1 200"), ("--http2", expected)] {
            let written = [
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_version} %{http_code}",
            ];
            let said = registry.curl(&curl, "/v2/", &[&[asked][..], &written].concat());
            assert_eq!(said.success(), expected, "{asked}, disabled: {disabled}");
        }
    }
}

#[test]
fn blobs_come_whole_over_either_protocol() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let registry = Secure::start(json!({}));
    let path = format!("/v2/app/blobs/{}", registry.blob);
    for protocol in ["--http1.1", "--http2"] {
        let file = registry.scratch().join(protocol);
        let output = ["--output", file.to_str().unwrap(), protocol];
        registry.curl(&program, &path, &output).success();
        let content = std::fs::read(&file).unwrap();
        assert_eq!(sha256(&content), registry.blob, "{protocol}");
    }
}

#[test]
fn links_are_https() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let registry = Secure::start(json!({}));
    let arguments = ["--request", "POST", "--data", "", "--dump-header", "-"];
    let head = registry
        .curl(&program, "/v2/app/blobs/uploads/", &arguments)
        .success();
    let location = format!("https://{}/v2/app/blobs/uploads/", registry.host());
    assert!(
        head.to_lowercase()
            .contains(&format!("location: {location}")),
        "{head}"
    );
}

#[test]
fn plain_http_is_answered_as_go_answers_it() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let registry = Secure::start(json!({}));
    for method in ["GET", "PUT", "DELETE", "POST"] {
        let url = format!("http://{}/v2/", registry.host());
        let arguments = ["--request", method, "--write-out", "%{http_code}", &url];
        let said = curl(&program, &arguments).success();
        assert_eq!(
            said, "Client sent an HTTP request to an HTTPS server.\n400",
            "{method}"
        );
    }
}

#[test]
fn versions_and_suites_are_those_of_the_configuration() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("openssl");
    let one_12 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    for (tls, arguments, expected) in [
        (json!({}), &["-tls1_3"][..], "TLSv1.3"),
        (json!({}), &["-tls1_2"], "TLSv1.2"),
        (
            json!({}),
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "refused",
        ),
        (
            json!({"minimumtls": "tls1.0"}),
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"],
            "refused",
        ),
        (json!({"minimumtls": "tls1.0"}), &["-tls1_2"], "TLSv1.2"),
        (json!({"minimumtls": "tls1.3"}), &["-tls1_2"], "refused"),
        (json!({"minimumtls": "tls1.3"}), &["-tls1_3"], "TLSv1.3"),
        (
            json!({"ciphersuites": [one_12]}),
            &["-tls1_2"],
            "ECDHE-ECDSA-AES256-GCM-SHA384",
        ),
        (
            json!({"ciphersuites": [one_12]}),
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
            "refused",
        ),
        (json!({"ciphersuites": [one_12]}), &["-tls1_3"], "TLSv1.3"),
        (
            json!({"ciphersuites": ["TLS_AES_128_GCM_SHA256"]}),
            &["-tls1_3"],
            "TLS_AES_128_GCM_SHA256",
        ),
        (
            json!({"ciphersuites": ["TLS_AES_128_GCM_SHA256"]}),
            &["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"],
            "refused",
        ),
        (
            json!({"ciphersuites": ["TLS_AES_128_GCM_SHA256"]}),
            &["-tls1_2"],
            "refused",
        ),
    ] {
        let registry = Secure::start(json!({"http": {"tls": tls}}));
        let found = match s_client(&program, &registry, arguments) {
            Some(session) if session.contains(expected) => expected,
            Some(_) => "something else",
            None => "refused",
        };
        assert_eq!(found, expected, "{tls} {arguments:?}");
    }
}

#[test]
fn a_bundle_brings_its_intermediates() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let root = Authority::new("root");
    let intermediate = root.intermediate("intermediate");
    let mut pair = intermediate.server();
    let registry = Secure::of(&root, &pair, json!({}));
    registry.curl(&program, "/v2/", &[]).failure();
    drop(registry);
    pair.certificate += &intermediate.pem();
    let registry = Secure::of(&root, &pair, json!({}));
    registry.curl(&program, "/v2/", &[]).success();
}

#[test]
fn every_form_of_a_key_is_read() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let (curl, openssl) = (require!("curl"), require!("openssl"));
    let authority = Authority::new("root");
    for (pair, form, title) in [
        (authority.server(), &["ec"][..], "BEGIN EC PRIVATE KEY"),
        (
            authority.rsa_server(),
            &["rsa", "-traditional"],
            "BEGIN RSA PRIVATE KEY",
        ),
        (authority.rsa_server(), &["pkey"], "BEGIN PRIVATE KEY"),
    ] {
        let registry = Secure::of_key(&authority, &pair, |key| {
            let (key, old) = (key.to_str().unwrap(), format!("{}.old", key.display()));
            std::fs::rename(key, &old).unwrap();
            let arguments = [form, &["-in", &old, "-out", key]].concat();
            roadstead_tests::tool::run(&openssl, arguments).success();
            assert!(std::fs::read_to_string(key).unwrap().contains(title));
        });
        registry.curl(&curl, "/v2/", &[]).success();
    }
}
