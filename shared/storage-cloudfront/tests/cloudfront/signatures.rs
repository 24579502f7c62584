use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roadstead_storage::{Driver, MemoryDriver, Recipient};
use roadstead_storage_cloudfront::{CloudFront, Config, ConfigError, Hash, InvalidKey, PrivateKey};

use crate::support::{Keys, config, from, over, sent};

const RESOURCE: &str =
    "https://d111111abcdef8.cloudfront.net/a%20root/docker/registry/v2/blobs/sha256/ab/abcd/data";

/// A signed URL taken apart the way CloudFront does.
struct Taken<'a> {
    resource: &'a str,
    query: BTreeMap<&'a str, &'a str>,
}

impl<'a> Taken<'a> {
    fn apart(url: &'a str) -> Self {
        let (resource, query) = url.split_once('?').unwrap();
        let query = query.split('&').map(|pair| pair.split_once('=').unwrap());
        let query = query.collect();
        Self { resource, query }
    }

    fn decoded(&self, name: &str) -> Vec<u8> {
        let text = self.query[name].replace('-', "+").replace('_', "=");
        STANDARD.decode(text.replace('~', "/")).unwrap()
    }

    fn canned_policy(&self) -> Vec<u8> {
        let (resource, expires) = (self.resource, self.query["Expires"]);
        let condition = format!(r#"{{"DateLessThan":{{"AWS:EpochTime":{expires}}}}}"#);
        format!(r#"{{"Statement":[{{"Resource":"{resource}","Condition":{condition}}}]}}"#).into()
    }
}

async fn canned(keys: &Keys, hash: Hash) -> String {
    let config = Config {
        hash,
        ..config(keys)
    };
    sent(&over(config), &Recipient::default()).await.unwrap()
}

#[tokio::test]
async fn openssl_takes_every_signature() {
    for keys in [Keys::rsa(), Keys::p256()] {
        let Some(keys) = keys else { return };
        for (hash, digest, other) in [
            (Hash::Sha1, "-sha1", "-sha256"),
            (Hash::Sha256, "-sha256", "-sha1"),
        ] {
            let url = canned(&keys, hash).await;
            let taken = Taken::apart(&url);
            let signature = taken.decoded("Signature");
            assert_eq!(taken.resource, RESOURCE);
            assert_eq!(taken.query["Key-Pair-Id"], "K2JCJMDEHXQW5F");
            assert!(
                keys.verify(digest, &taken.canned_policy(), &signature),
                "{url}"
            );
            assert!(
                !keys.verify(other, &taken.canned_policy(), &signature),
                "{url}"
            );
            assert!(!keys.verify(digest, b"another policy", &signature), "{url}");
            let named = taken.query.get("Hash-Algorithm").copied();
            assert_eq!(named, (hash == Hash::Sha256).then_some("SHA256"));
        }
    }
}

#[tokio::test]
async fn a_restricted_url_is_for_one_address() {
    let Some(keys) = Keys::rsa() else { return };
    let restricted = Config {
        restrict_address: true,
        ..config(&keys)
    };
    let signer = over(restricted);
    for address in ["192.0.2.7", "::ffff:192.0.2.7"] {
        let url = sent(&signer, &from(address)).await.unwrap();
        let taken = Taken::apart(&url);
        let policy = taken.decoded("Policy");
        assert!(keys.verify("-sha1", &policy, &taken.decoded("Signature")));
        let policy: serde_json::Value = serde_json::from_slice(&policy).unwrap();
        let statement = &policy["Statement"][0];
        assert_eq!(statement["Resource"], RESOURCE);
        let condition = &statement["Condition"];
        assert_eq!(condition["IpAddress"]["AWS:SourceIp"], "192.0.2.7/32");
        assert!(condition["DateLessThan"]["AWS:EpochTime"].is_u64());
        assert!(!taken.query.contains_key("Expires"));
    }
    assert_eq!(sent(&signer, &from("2001:db8::1")).await, None);
    assert_eq!(sent(&signer, &Recipient::default()).await, None);
}

#[tokio::test]
async fn a_url_ends_when_it_should_and_stays_the_same_until_then() {
    for keys in [Keys::rsa(), Keys::p256()] {
        let Some(keys) = keys else { return };
        let signer = over(config(&keys));
        let expires = |url: &str| Taken::apart(url).query["Expires"].parse::<u64>().unwrap();
        let now = || UNIX_EPOCH.elapsed().unwrap().as_secs();
        let before = now();
        let first = sent(&signer, &from("192.0.2.7")).await.unwrap();
        let expires = expires(&first);
        assert!(expires >= before + 900, "{expires} {before}");
        assert!(expires <= now() + 1200, "{expires} {before}");
        // A window may end between the two, then the next one does not.
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(sent(&signer, &Recipient::default()).await.unwrap());
        }
        assert!(
            others[0] == first || others[2] == others[1],
            "{first} {others:?}"
        );
    }
}

#[test]
fn keys_are_taken_in_every_form() {
    for keys in [Keys::rsa(), Keys::p256()] {
        let Some(keys) = keys else { return };
        let text = String::from_utf8(keys.private.clone()).unwrap();
        assert!(text.contains("BEGIN RSA PRIVATE KEY") || text.contains("BEGIN EC PRIVATE KEY"));
        assert!(PrivateKey::from_pem(&keys.private).is_ok());
        let pkcs8 = keys.pkcs8();
        assert!(String::from_utf8_lossy(&pkcs8).contains("BEGIN PRIVATE KEY"));
        let key = PrivateKey::from_pem(&pkcs8).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey");
    }
}

#[test]
fn other_keys_are_refused() {
    for (arguments, expected) in [
        (
            &["genrsa", "-out", "private.pem", "1024"][..],
            InvalidKey::Unsuitable,
        ),
        (
            &["genrsa", "-out", "private.pem", "3072"],
            InvalidKey::Unsuitable,
        ),
        (
            &[
                "ecparam",
                "-genkey",
                "-name",
                "secp384r1",
                "-out",
                "private.pem",
            ],
            InvalidKey::Unsuitable,
        ),
        (
            &["genpkey", "-algorithm", "ed25519", "-out", "private.pem"],
            InvalidKey::Unsuitable,
        ),
    ] {
        let Some(keys) = Keys::made(arguments) else {
            return;
        };
        let refused = PrivateKey::from_pem(&keys.private).unwrap_err();
        assert_eq!(refused, expected, "{arguments:?}");
    }
    let public = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    let broken = "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n";
    for text in ["", "no key", public, broken] {
        let refused = PrivateKey::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(refused, InvalidKey::NotPem, "{text}");
    }
}

#[tokio::test]
async fn a_store_without_objects_stays_as_it_is() {
    let Some(keys) = Keys::p256() else { return };
    let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
    let cloudfront = CloudFront::new(config(&keys), Arc::new(driver)).unwrap();
    assert_eq!(sent(&cloudfront, &from("192.0.2.7")).await, None);
}

#[test]
fn parameters_are_checked() {
    let Some(keys) = Keys::p256() else { return };
    let checked = |change: fn(&mut Config)| {
        let mut config = config(&keys);
        change(&mut config);
        let driver: Arc<dyn Driver> = Arc::new(MemoryDriver::new());
        CloudFront::new(config, Arc::new(driver)).unwrap_err()
    };
    let no_host = checked(|config| config.base_url = "https://".to_owned());
    assert_eq!(no_host, ConfigError::BaseUrl("https://".to_owned()));
    let no_id = checked(|config| config.key_pair_id.clear());
    assert_eq!(no_id, ConfigError::KeyPairId(String::new()));
    let no_time = checked(|config| config.duration = Duration::from_millis(999));
    assert_eq!(no_time, ConfigError::Duration);
}
