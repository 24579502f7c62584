//! Reading certificates and keys.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::Error;

/// The certificates of a bundle in their order, the server's own first; at least one.
pub(super) fn certificates(
    name: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(name, path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let certificates = certificates.map_err(|error| malformed(name, path, &error))?;
    if certificates.is_empty() {
        return Err(problem(name, path, "has no certificate in PEM"));
    }
    Ok(certificates)
}

/// The first key of a file: PKCS#8, or the older PKCS#1 and SEC1.
pub(super) fn key(name: &'static str, path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(name, path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => problem(
            name,
            path,
            "is encrypted: a key without a passphrase is needed",
        ),
        pem::Error::NoItemsFound => problem(name, path, "has no private key in PEM"),
        error => malformed(name, path, &error),
    })
}

/// The authorities of several files, and the certificates that these are.
pub(super) fn authorities(
    name: &'static str,
    paths: impl IntoIterator<Item = impl AsRef<Path>>,
) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let mut authorities = RootCertStore::empty();
    let mut all = Vec::new();
    for path in paths {
        let path = path.as_ref();
        for certificate in certificates(name, path)? {
            let added = authorities.add(certificate.clone());
            added.map_err(|error| {
                problem(
                    name,
                    path,
                    format!("has a certificate that is no authority: {error}"),
                )
            })?;
            all.push(certificate);
        }
    }
    Ok((authorities, all))
}

fn read(name: &'static str, path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable {
        name,
        path: path.to_owned(),
        source,
    })
}

/// PKCS#8 says it in its title, the older forms in a header.
fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn malformed(name: &'static str, path: &Path, error: &pem::Error) -> Error {
    problem(name, path, format!("is not PEM: {error}"))
}

fn problem(name: &'static str, path: &Path, problem: impl Into<String>) -> Error {
    Error::File {
        name,
        path: path.to_owned(),
        problem: problem.into(),
    }
}
