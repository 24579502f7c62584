//! Clients: their certificates, and those that stall.

use std::io::{Read, Write};

use roadstead_tests::certificates::Authority;
use roadstead_tests::{Image, require, tool};
use serde_json::json;

use super::kit::{Prepared, Secure};

#[test]
fn clients_certificates_are_asked_for_as_configured() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let verify = Some("require-and-verify-client-cert");
    // without a certificate, with one of ours, with one of others
    for (mode, with_authorities, expected) in [
        (None, true, [false, true, false]),
        (verify, true, [false, true, false]),
        (
            Some("verify-client-cert-if-given"),
            true,
            [true, true, false],
        ),
        (Some("require-any-client-cert"), true, [false, true, true]),
        (Some("request-client-cert"), true, [true, true, true]),
        (Some("require-any-client-cert"), false, [false, true, true]),
        (None, false, [true, true, true]),
    ] {
        let prepared = Prepared::new(&ours, &ours.server());
        let scratch = prepared.store.scratch().to_owned();
        let pairs = [&ours, &others].map(|authority| authority.client());
        let files = [
            pairs[0].write(&scratch, "ours"),
            pairs[1].write(&scratch, "others"),
        ];
        let authorities = match with_authorities {
            true => vec![prepared.authority.clone()],
            false => Vec::new(),
        };
        let tls = json!({"clientcas": authorities, "clientauth": mode});
        let registry = prepared.start(json!({"http": {"tls": tls}}));
        for version in ["1.2", "1.3"] {
            let own = files.iter().map(|(certificate, key)| {
                vec![
                    "--cert",
                    certificate.to_str().unwrap(),
                    "--key",
                    key.to_str().unwrap(),
                ]
            });
            let found: Vec<_> = std::iter::once(Vec::new())
                .chain(own)
                .map(|mut arguments| {
                    arguments.extend(["--tls-max", version]);
                    registry.curl(&program, "/v2/", &arguments).status.success()
                })
                .collect();
            assert_eq!(
                found, expected,
                "{mode:?}, authorities: {with_authorities}, {version}"
            );
        }
    }
}

/// A name in a certificate is nobody's: it lets in, and says nothing of who acts.
#[test]
fn certificates_that_do_not_count_let_nobody_in() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let (ours, expired) = (Authority::new("ours"), Authority::expired("expired"));
    let others = Authority::new("ours");
    let prepared = Prepared::new(&ours, &ours.server());
    let scratch = prepared.store.scratch().to_owned();
    let authorities = scratch.join("authorities.pem");
    std::fs::write(&authorities, ours.pem() + &expired.pem()).unwrap();
    let tls = json!({
        "clientcas": [authorities],
        "clientauth": "require-and-verify-client-cert",
    });
    let config =
        json!({"http": {"tls": tls}, "auth": roadstead_tests::users::htpasswd(&prepared.store)});
    let registry = prepared.start(config);
    for (what, pair, is_let_in) in [
        ("ours", ours.client(), true),
        ("expired", ours.expired_client(), false),
        ("of an authority that has expired", expired.client(), false),
        (
            "of another authority of the same name",
            others.client(),
            false,
        ),
        ("for servers", ours.server(), false),
    ] {
        let (certificate, key) = pair.write(&scratch, "client");
        let files = [
            "--cert",
            certificate.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ];
        for version in ["1.2", "1.3"] {
            let status = [
                "--tls-max",
                version,
                "--write-out",
                "%{http_code}",
                "--output",
                "/dev/null",
            ];
            let no_fail = ["--no-fail"];
            let answer = registry.curl(&program, "/v2/", &[&files[..], &status, &no_fail].concat());
            let expected = if is_let_in { "401" } else { "000" };
            assert_eq!(
                answer.stdout, expected,
                "{what}, {version}: {}",
                answer.stderr
            );
        }
    }
    // Who is behind a proxy is told by no header.
    let (certificate, key) = ours.client().write(&scratch, "client");
    let header = [
        "--header",
        "X-Forwarded-Client-Cert: By=a;Subject=\"CN=root\"",
        "--no-fail",
    ];
    let files = [
        "--cert",
        certificate.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    let status = ["--write-out", "%{http_code}", "--output", "/dev/null"];
    let answer = registry.curl(&program, "/v2/", &[&header[..], &files, &status].concat());
    assert_eq!(answer.stdout, "401");
}

#[test]
fn handshakes_that_stall_hold_nothing_up() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let registry = Secure::start(json!({}));
    // One stalls at once, one within a record, one after a whole one that means nothing yet.
    let beginnings: [&[u8]; 3] = [b"", &[22, 3, 1], &[22, 3, 1, 0, 1, 1]];
    let mut stalled: Vec<_> = (0..300)
        .map(|number| {
            let mut stream = std::net::TcpStream::connect(registry.host()).unwrap();
            stream
                .write_all(beginnings[number % beginnings.len()])
                .unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        registry.curl(&program, "/v2/", &[]).success();
    }
    let path = format!("/v2/app/blobs/{}", registry.blob);
    registry
        .curl(&program, &path, &["--output", "/dev/null"])
        .success();
    // And they end, though their clients do nothing.
    let mut last = stalled.pop().unwrap();
    last.set_read_timeout(Some(roadstead_tests::wait::PATIENCE))
        .unwrap();
    let mut said = Vec::new();
    let ended = last.read_to_end(&mut said);
    let timed_out = ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out, "a stalled handshake is never ended");
}

#[test]
fn skopeo_and_podman_push_and_pull_with_the_authority() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let skopeo = require!("skopeo");
    let registry = Secure::start(json!({}));
    let image = Image::seeded(7);
    let scratch = registry.scratch();
    let certificates = scratch.join("certs.d");
    std::fs::create_dir(&certificates).unwrap();
    std::fs::copy(&registry.authority, certificates.join("ca.crt")).unwrap();
    image.write_layout(&scratch.join("in"), "latest");
    let source = format!("oci:{}:latest", scratch.join("in").display());
    let target = format!("docker://{}/app:v1", registry.host());
    let directory = certificates.to_str().unwrap();
    let copy = |arguments: &[&str]| {
        tool::run(
            &skopeo,
            [&["--insecure-policy", "copy"], arguments].concat(),
        )
    };
    let refused = copy(&[&source, &target]).failure();
    assert!(refused.contains("certificate"), "{refused}");
    copy(&["--dest-cert-dir", directory, &source, &target]).success();
    let back = format!("oci:{}:latest", scratch.join("out").display());
    copy(&["--src-cert-dir", directory, &target, &back]).success();

    let podman = require!("podman");
    let stores = ["root", "run"].map(|name| scratch.join(name).to_str().unwrap().to_owned());
    let podman = |arguments: &[&str]| {
        let common = [
            "--root",
            &stores[0],
            "--runroot",
            &stores[1],
            "--storage-driver",
            "vfs",
        ];
        tool::run(&podman, [&common[..], arguments].concat())
    };
    let name = format!("{}/app:v1", registry.host());
    podman(&["pull", "--cert-dir", directory, &name]).success();
    let other = format!("{}/app:v2", registry.host());
    podman(&["push", "--cert-dir", directory, &name, &other]).success();
    let inspected = copy(&[
        "--src-cert-dir",
        directory,
        &format!("docker://{other}"),
        &back,
    ]);
    inspected.success();
}
