//! The keys that are configured.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::algorithm::Algorithm;
use super::certificates;
use super::key::{Jwk, Jwks, PublicKey};
use super::key_id;
use crate::FileError;

/// The shortest secret that can verify something (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

/// Keys by their names, and certificates that chains may end at.
#[derive(Debug, Default)]
pub struct Trusted {
    keys: HashMap<String, TrustedKey>,
    pub(super) roots: Vec<CertificateDer<'static>>,
}

#[derive(Clone, Debug)]
pub(super) struct TrustedKey {
    pub(super) key: PublicKey,
    /// The one algorithm it is for, if it says so.
    pub(super) algorithm: Option<String>,
}

impl TrustedKey {
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        let own = self.algorithm.as_deref();
        own.is_none_or(|own| own == algorithm.as_str())
    }
}

impl Trusted {
    /// Whether there is no key.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of this name.
    pub(super) fn key(&self, id: &str) -> Option<&TrustedKey> {
        self.keys.get(id)
    }

    /// Adds certificates in PEM.
    ///
    /// # Errors
    ///
    /// What is wrong with them.
    pub fn add_certificates(&mut self, pem: &[u8]) -> Result<(), String> {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            let key = certificates::key(&certificate);
            let (key, spki) =
                key.ok_or("a certificate cannot be read, or its key is of no known kind")?;
            self.add_under(key_id::libtrust(&spki), &key, None);
            self.add_own(&key);
            self.roots.push(certificate);
        }
        Ok(())
    }

    /// Adds a set of keys. Keys of kinds that sign nothing here are left out.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn add_jwks(&mut self, json: &[u8]) -> Result<(), String> {
        let set: Jwks = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        for jwk in &set.keys {
            let usable = jwk.usage.as_deref().is_none_or(|usage| usage == "sig");
            let Some(key) = jwk.key().filter(|_| usable) else {
                tracing::warn!(kid = jwk.kid, kty = jwk.kty, "a key of the set is left out");
                continue;
            };
            if matches!(&key, PublicKey::Secret(secret) if secret.len() < SHORTEST_SECRET) {
                let kid = jwk.kid.as_deref().unwrap_or_default();
                return Err(format!(
                    "the secret {kid:?} has less than {SHORTEST_SECRET} bytes"
                ));
            }
            self.add_jwk(jwk, &key);
        }
        Ok(())
    }

    fn add_jwk(&mut self, jwk: &Jwk, key: &PublicKey) {
        let named = [jwk.kid.clone(), key_id::thumbprint(key)];
        for id in named.into_iter().flatten() {
            self.add_under(id, key, jwk.alg.clone());
        }
    }

    /// Adds a key under the names that are made of the key itself.
    pub(crate) fn add_own(&mut self, key: &PublicKey) {
        let ids = [key_id::thumbprint(key), key_id::distribution_3(key)];
        for id in ids.into_iter().flatten() {
            self.add_under(id, key, None);
        }
    }

    /// A name belongs to the key that had it first.
    fn add_under(&mut self, id: String, key: &PublicKey, algorithm: Option<String>) {
        if let Entry::Vacant(vacant) = self.keys.entry(id) {
            vacant.insert(TrustedKey {
                key: key.clone(),
                algorithm,
            });
        }
    }
}

/// The keys of the configured files, whose contents come in this order; there may be none where the
/// token server `has_own` ones.
pub(super) fn parse(
    bundle: Option<&Path>,
    jwks: Option<&Path>,
    contents: &[Vec<u8>],
    has_own: bool,
) -> Result<Trusted, FileError> {
    let mut trusted = Trusted::default();
    let mut contents = contents.iter();
    let failed = |path: &Path, message: String| FileError::Content {
        path: path.display().to_string(),
        message,
    };
    if let (Some(path), Some(pem)) = (bundle, bundle.and_then(|_| contents.next())) {
        let added = trusted.add_certificates(pem);
        added.map_err(|message| failed(path, message))?;
    }
    if let (Some(path), Some(json)) = (jwks, jwks.and_then(|_| contents.next())) {
        let added = trusted.add_jwks(json);
        added.map_err(|message| failed(path, message))?;
    }
    if trusted.keys.is_empty() && !has_own {
        let path = bundle.or(jwks).unwrap_or(Path::new("auth.token"));
        let message = "token auth requires at least one token signing key";
        return Err(failed(path, message.to_owned()));
    }
    Ok(trusted)
}
