//! Keys made by OpenSSL, and a driver whose objects have names.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use roadstead_storage::{Error, Key, Recipient, UrlSigner};
use roadstead_storage_cloudfront::{CloudFront, Config, Hash, PrivateKey};
use tempfile::TempDir;

pub(crate) const BASE: &str = "https://d111111abcdef8.cloudfront.net/";
/// What the store signs.
pub(crate) const STORE: &str = "https://bucket.s3.amazonaws.com/signed";

/// A store that lets clients fetch objects from itself.
#[derive(Debug)]
struct Named;

#[async_trait]
impl UrlSigner for Named {
    async fn sign(&self, _: &Key, _: &Recipient) -> Result<Option<String>, Error> {
        Ok(Some(STORE.to_owned()))
    }

    fn object(&self, key: &Key) -> Option<String> {
        Some(format!("a root/{key}"))
    }
}

pub(crate) fn config(key: &Keys) -> Config {
    Config {
        base_url: BASE.to_owned(),
        key: PrivateKey::from_pem(&key.private).unwrap(),
        key_pair_id: "K2JCJMDEHXQW5F".to_owned(),
        hash: Hash::Sha1,
        duration: Duration::from_secs(1200),
        restrict_address: false,
        filter: None,
    }
}

pub(crate) fn from(address: &str) -> Recipient {
    Recipient {
        address: Some(address.parse().unwrap()),
        by_head: false,
    }
}

/// Where a client is sent.
pub(crate) async fn sent(signer: &dyn UrlSigner, recipient: &Recipient) -> Option<String> {
    let key = Key::new("docker/registry/v2/blobs/sha256/ab/abcd/data").unwrap();
    signer.sign(&key, recipient).await.unwrap()
}

pub(crate) fn over(config: Config) -> CloudFront {
    CloudFront::new(config, Arc::new(Named)).unwrap()
}

/// A pair of keys in files.
pub(crate) struct Keys {
    directory: TempDir,
    pub(crate) private: Vec<u8>,
}

impl Keys {
    /// `None` without OpenSSL, which has been said then.
    pub(crate) fn rsa() -> Option<Self> {
        Self::made(&["genrsa", "-traditional", "-out", "private.pem", "2048"])
    }

    pub(crate) fn p256() -> Option<Self> {
        Self::made(&[
            "ecparam",
            "-genkey",
            "-name",
            "prime256v1",
            "-out",
            "private.pem",
        ])
    }

    pub(crate) fn made(arguments: &[&str]) -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            skipped("openssl is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut keys = Self {
            directory,
            private: Vec::new(),
        };
        assert!(keys.openssl(arguments).status.success());
        keys.private = std::fs::read(keys.path("private.pem")).unwrap();
        let public = [
            "pkey",
            "-in",
            "private.pem",
            "-pubout",
            "-out",
            "public.pem",
        ];
        assert!(keys.openssl(&public).status.success());
        Some(keys)
    }

    /// The same private key in PKCS#8.
    pub(crate) fn pkcs8(&self) -> Vec<u8> {
        let convert = ["pkcs8", "-topk8", "-nocrypt", "-in", "private.pem"];
        let converted = self.openssl(&convert);
        assert!(converted.status.success());
        converted.stdout
    }

    /// Whether OpenSSL takes `signature` for one of `message`.
    pub(crate) fn verify(&self, digest: &str, message: &[u8], signature: &[u8]) -> bool {
        std::fs::write(self.path("message"), message).unwrap();
        std::fs::write(self.path("signature"), signature).unwrap();
        let keys = [
            "-verify",
            "public.pem",
            "-signature",
            "signature",
            "message",
        ];
        self.openssl(&[&["dgst", digest], &keys[..]].concat())
            .status
            .success()
    }

    fn openssl(&self, arguments: &[&str]) -> Output {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(self.directory.path()).args(arguments);
        openssl.output().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.directory.path()).join(name)
    }
}

#[expect(clippy::print_stderr, reason = "a skip must be seen")]
fn skipped(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("ROADSTEAD_TESTS_SKIPPED") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}
