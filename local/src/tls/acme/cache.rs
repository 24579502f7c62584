//! The folder: Go's `autocert.DirCache`, whose files are named by what they are for.
//!
//! ```text
//! acme_account+key     the account's key; in older folders, acme_account.key
//! HOST                 a certificate: its key, then the chain
//! HOST+rsa             one for clients without ECDSA, of autocert's; nobody uses it here
//! HOST+token           the answer to a TLS-ALPN-01 challenge, in the same form
//! TOKEN+http-01        the answer to an HTTP-01 challenge
//! HOST+lock            a replica that is getting a certificate (Roadstead's own)
//! ```

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use tokio::task::spawn_blocking;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::tls::error::Error;

/// After this long a lock is one that was left behind.
const LOCKED: Duration = Duration::from_secs(5 * 60);

/// A certificate that was got.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) begins: SystemTime,
    pub(super) expires: SystemTime,
}

/// See the module. Clones are the same; what is not `async` waits for the disk.
#[derive(Clone, Debug)]
pub(super) struct Cache(Arc<Path>);

impl Cache {
    /// The folder at `path`, made if need be; only its owner may look into it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let folder = |source| Error::Unreadable {
            name: "http.tls.letsencrypt.cachefile",
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(folder)?;
        let cache = Self(Arc::from(path));
        // Who could not keep what it gets would get it again at each start, up to the CA's limit.
        cache.write("roadstead+probe", b"").map_err(folder)?;
        cache.remove("roadstead+probe");
        Ok(cache)
    }

    /// The certificate of a host that is in the folder, if it can be used.
    pub(super) fn certificate(&self, host: &str, provider: &CryptoProvider) -> Option<Entry> {
        let text = self.read(host)?;
        let entry = parse(&text, host, provider);
        if entry.is_none() {
            tracing::warn!("the cached certificate of {host} cannot be used: it is got anew");
        }
        entry
    }

    /// What to show who challenges `host`.
    pub(super) fn challenge(&self, host: &str, provider: &CryptoProvider) -> Option<CertifiedKey> {
        let (chain, key) = pem(&self.read(&format!("{host}+token"))?)?;
        // It has a critical extension that only ACME servers know, and would not be found usable.
        let key = provider.key_provider.load_private_key(key).ok()?;
        Some(CertifiedKey::new(chain, key))
    }

    /// What is kept under a name.
    pub(super) fn read(&self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.0.join(name)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::error!("{} cannot be read: {error}", self.0.join(name).display());
                None
            }
        }
    }

    /// Keeps a text under a name: whole or not at all, and for its owner's eyes only.
    pub(super) fn write(&self, name: &str, text: &[u8]) -> io::Result<()> {
        let temporary = self.0.join(format!("{name}.{}", uuid::Uuid::new_v4()));
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| {
                file.write_all(text)?;
                file.sync_all()
            })
            .and_then(|()| fs::rename(&temporary, self.0.join(name)));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }

    /// [`Self::read`] where nobody may be kept waiting.
    pub(super) async fn find(&self, name: String) -> Option<Vec<u8>> {
        let cache = self.clone();
        let read = spawn_blocking(move || cache.read(&name)).await;
        read.ok().flatten()
    }

    /// [`Self::write`] where nobody may be kept waiting.
    pub(super) async fn keep(&self, name: String, text: String) -> io::Result<()> {
        let cache = self.clone();
        spawn_blocking(move || cache.write(&name, text.as_bytes())).await?
    }

    pub(super) fn remove(&self, name: &str) {
        // Gone already is as good.
        let _ = fs::remove_file(self.0.join(name));
    }

    /// Keeps other replicas from getting the certificate of `host`; none while one of them does.
    pub(super) fn lock(&self, host: &str) -> Option<Lock> {
        let path = self.0.join(format!("{host}+lock"));
        let age = fs::metadata(&path).and_then(|file| file.modified());
        if age.is_ok_and(|begun| begun.elapsed().is_ok_and(|age| age > LOCKED)) {
            let _ = fs::remove_file(&path);
        }
        let mut new = OpenOptions::new();
        let made = new.write(true).create_new(true).mode(0o600).open(&path);
        made.ok().map(|_| Lock(path))
    }
}

/// Holds others off until it is dropped.
#[derive(Debug)]
pub(super) struct Lock(PathBuf);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// PEM and nothing else: `autocert` reads no file that has a line too many.
pub(super) fn written(pem: &str) -> String {
    let mut is_inside = false;
    let mut text = String::new();
    for line in pem.lines().map(str::trim) {
        is_inside |= line.starts_with("-----BEGIN ");
        if is_inside {
            text += line;
            text.push('\n');
        }
        is_inside &= !line.starts_with("-----END ");
    }
    text
}

/// The key of a host and its chain, in PEM, with the time that the certificate is for.
pub(super) fn parse(text: &[u8], host: &str, provider: &CryptoProvider) -> Option<Entry> {
    let key = pair(text, provider)?;
    let leaf = ParsedCertificate::try_from(key.end_entity_cert().ok()?).ok()?;
    verify_server_name(&leaf, &ServerName::try_from(host).ok()?).ok()?;
    let (_, certificate) = X509Certificate::from_der(key.end_entity_cert().ok()?).ok()?;
    let time = |seconds: i64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    };
    let validity = certificate.validity();
    Some(Entry {
        begins: time(validity.not_before.timestamp()),
        expires: time(validity.not_after.timestamp()),
        key: Arc::new(key),
    })
}

fn pair(text: &[u8], provider: &CryptoProvider) -> Option<CertifiedKey> {
    let (chain, key) = pem(text)?;
    CertifiedKey::from_der(chain, key, provider).ok()
}

fn pem(text: &[u8]) -> Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let key = PrivateKeyDer::from_pem_slice(text).ok()?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty())?;
    Some((chain, key))
}

#[cfg(test)]
mod tests {
    use super::written;

    #[test]
    fn what_is_written_is_pem_and_nothing_else() {
        let block = "-----BEGIN X-----\nYQ==\n-----END X-----\n";
        assert_eq!(written(block), block);
        let around = format!("\nabout\r\n{}\n\n{block}\n\n", block.replace('\n', "\r\n"));
        assert_eq!(written(&around), block.repeat(2));
    }
}
