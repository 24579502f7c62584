//! Certificates that change while the registry runs.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use roadstead_tests::certificates::{Authority, Pair};
use roadstead_tests::{require, tool, wait};
use serde_json::json;

use super::kit::{Prepared, Secure, curl};

/// Waits until new connections get the certificate of a pair.
fn until_served(openssl: &Path, registry: &Secure, pair: &Pair) {
    wait::until("the new certificate", || {
        (registry.served(openssl) == pair.certificate).then_some(())
    });
}

#[test]
fn no_pull_fails_while_certificates_are_renewed() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let (program, openssl) = (require!("curl"), require!("openssl"));
    let authority = Authority::new("root");
    let registry = Secure::start_with(&authority);
    let scratch = registry.scratch();
    let url = format!("https://{}/v2/app/blobs/{}", registry.host(), registry.blob);
    let ca = registry.authority.to_str().unwrap();
    let is_renewed = AtomicBool::new(false);
    let pulls = || {
        let mut count = 0;
        // At least 25 in each of four threads, and as many more as it takes to see the renewals.
        while count < 25 || !is_renewed.load(Ordering::Relaxed) {
            let size = ["--write-out", "%{size_download}", "--output", "/dev/null"];
            let said = curl(
                &program,
                &[&["--fail", "--cacert", ca, &url], &size[..]].concat(),
            );
            assert_eq!(said.success(), "3000001");
            count += 1;
        }
        count
    };
    let count: usize = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(pulls)).collect();
        for _ in 0..2 {
            let pair = authority.server();
            pair.write(scratch, "server");
            until_served(&openssl, &registry, &pair);
        }
        is_renewed.store(true, Ordering::Relaxed);
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert!(count >= 100);
}

#[test]
fn a_broken_renewal_keeps_the_old_certificate_and_says_so() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let (program, openssl) = (require!("curl"), require!("openssl"));
    let authority = Authority::new("root");
    let first = authority.server();
    let prepared = Prepared::new(&authority, &first);
    let (certificate, key) = (prepared.certificate.clone(), prepared.key.clone());
    let registry = prepared.start(json!({}));
    let complaints = || {
        registry
            .registry
            .log()
            .matches("cannot be used: what was loaded")
            .count()
    };
    let steps: [(&dyn Fn(), &str); 3] = [
        (
            &|| std::fs::write(&certificate, "garbage").unwrap(),
            "no certificate in PEM",
        ),
        (
            &|| std::fs::remove_file(&certificate).unwrap(),
            "No such file",
        ),
        (
            &|| std::fs::write(&certificate, authority.server().certificate).unwrap(),
            "does not belong",
        ),
    ];
    for (step, complaint) in steps {
        let before = complaints();
        step();
        wait::until("a complaint", || (complaints() > before).then_some(()));
        let log = registry.registry.log();
        assert!(log.contains(complaint), "{complaint} in {log}");
        assert!(log.contains(certificate.to_str().unwrap()), "{log}");
        registry.curl(&program, "/v2/", &[]).success();
        assert_eq!(registry.served(&openssl), first.certificate);
    }
    let second = authority.server();
    std::fs::write(&certificate, &second.certificate).unwrap();
    std::fs::write(&key, &second.key).unwrap();
    until_served(&openssl, &registry, &second);
    assert!(!registry.registry.log().contains("PRIVATE"));
}

#[test]
fn symlinks_that_are_swapped_are_followed() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let openssl = require!("openssl");
    let authority = Authority::new("root");
    let pairs: Vec<_> = (0..3).map(|_| authority.server()).collect();

    // Kubernetes: tls.crt -> ..data/tls.crt, ..data -> ..2026_1, and ..data is renamed over.
    let prepared = Prepared::new(&authority, &pairs[0]);
    let secret = prepared.store.scratch().join("secret");
    let version = |number: usize| {
        let directory = secret.join(format!("..{number}"));
        std::fs::create_dir_all(&directory).unwrap();
        pairs[number].write(&directory, "tls");
        let (new, data) = (secret.join("..data_tmp"), secret.join("..data"));
        symlink(format!("..{number}"), &new).unwrap();
        std::fs::rename(&new, &data).unwrap();
    };
    version(0);
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), secret.join(name)).unwrap();
    }
    let tls = json!({"certificate": secret.join("tls.crt"), "key": secret.join("tls.key")});
    let registry = prepared.start(json!({"http": {"tls": tls}}));
    assert_eq!(registry.served(&openssl), pairs[0].certificate);
    version(1);
    until_served(&openssl, &registry, &pairs[1]);
    std::fs::remove_dir_all(secret.join("..0")).unwrap();
    version(2);
    until_served(&openssl, &registry, &pairs[2]);
}

#[test]
fn the_live_folder_of_certbot_is_followed() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let openssl = require!("openssl");
    let authority = Authority::new("root");
    let intermediate = authority.intermediate("intermediate");
    let pair = || {
        let mut pair = intermediate.server();
        pair.certificate += &intermediate.pem();
        pair
    };
    let pairs = [pair(), pair()];
    let prepared = Prepared::new(&authority, &pairs[0]);
    let root = prepared.store.scratch().join("letsencrypt");
    let (live, archive) = (
        root.join("live/registry.test"),
        root.join("archive/registry.test"),
    );
    std::fs::create_dir_all(&live).unwrap();
    std::fs::create_dir_all(&archive).unwrap();
    // certbot writes archive/NAMEn.pem, and then replaces one link of live/ after the other.
    let renew = |number: usize| {
        let texts = [
            ("fullchain", &pairs[number].certificate),
            ("privkey", &pairs[number].key),
        ];
        for (name, text) in texts {
            std::fs::write(archive.join(format!("{name}{number}.pem")), text).unwrap();
        }
        for (name, _) in texts {
            let link = live.join(format!("{name}.pem"));
            let _ = std::fs::remove_file(&link);
            symlink(
                format!("../../archive/registry.test/{name}{number}.pem"),
                link,
            )
            .unwrap();
        }
    };
    renew(0);
    let files = json!({"certificate": live.join("fullchain.pem"), "key": live.join("privkey.pem")});
    let registry = prepared.start(json!({"http": {"tls": files}}));
    renew(1);
    wait::until("the renewed certificate", || {
        pairs[1]
            .certificate
            .starts_with(&registry.served(&openssl))
            .then_some(())
    });
}

#[test]
fn clients_authorities_are_read_again() {
    roadstead_tests::only_by_socket!("a gateway speaks TLS for functions");
    let program = require!("curl");
    let authority = Authority::new("root");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let prepared = Prepared::new(&authority, &authority.server());
    let scratch = prepared.store.scratch().to_owned();
    let (certificate, key) = second.client().write(&scratch, "client");
    let authorities = scratch.join("clients.pem");
    std::fs::write(&authorities, first.pem()).unwrap();
    let registry = prepared.start(json!({"http": {"tls": {"clientcas": [authorities]}}}));
    let arguments = [
        "--cert",
        certificate.to_str().unwrap(),
        "--key",
        key.to_str().unwrap(),
    ];
    let ask = || -> tool::Outcome { registry.curl(&program, "/v2/", &arguments) };
    ask().failure();
    std::fs::write(&authorities, first.pem() + &second.pem()).unwrap();
    wait::until("the new authority", || ask().status.success().then_some(()));
    std::fs::write(&authorities, first.pem()).unwrap();
    wait::until("the old authorities", || {
        (!ask().status.success()).then_some(())
    });
}
