//! Certificates for tests: an authority, and what it signs.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SignatureAlgorithm,
};

/// Who signs certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate, those between it and its authority, and its key, in PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificates.
    pub certificate: String,
    /// The key, as PKCS#8.
    pub key: String,
}

impl Authority {
    /// An authority that nobody knows yet.
    ///
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(authority(name), key).expect("a certificate"))
    }

    /// An authority whose time is over.
    ///
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn expired(name: &str) -> Self {
        let mut parameters = authority(name);
        parameters.not_after = rcgen::date_time_ymd(2020, 1, 1);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(parameters, key).expect("a certificate"))
    }

    /// An authority between this one and what it signs.
    ///
    /// # Panics
    /// When there is no randomness.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let signed = CertifiedIssuer::signed_by(authority(name), key, &self.0);
        Self(signed.expect("a certificate"))
    }

    /// Its certificate in PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server on this machine.
    #[must_use]
    pub fn server(&self) -> Pair {
        let names = ["localhost", "127.0.0.1", "registry.test"];
        self.sign(
            &names,
            ExtendedKeyUsagePurpose::ServerAuth,
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )
    }

    /// The same with an RSA key.
    #[must_use]
    pub fn rsa_server(&self) -> Pair {
        let names = ["localhost", "127.0.0.1", "registry.test"];
        self.sign(
            &names,
            ExtendedKeyUsagePurpose::ServerAuth,
            &rcgen::PKCS_RSA_SHA256,
        )
    }

    /// A certificate for a client.
    #[must_use]
    pub fn client(&self) -> Pair {
        let names = ["client"];
        self.sign(
            &names,
            ExtendedKeyUsagePurpose::ClientAuth,
            &rcgen::PKCS_ECDSA_P256_SHA256,
        )
    }

    /// A certificate for a client that is not valid any more.
    #[must_use]
    pub fn expired_client(&self) -> Pair {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.sign_until(&["client"], usage, &rcgen::PKCS_ECDSA_P256_SHA256, 2020)
    }

    fn sign(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        algorithm: &'static SignatureAlgorithm,
    ) -> Pair {
        self.sign_until(names, usage, algorithm, 4096)
    }

    fn sign_until(
        &self,
        names: &[&str],
        usage: ExtendedKeyUsagePurpose,
        algorithm: &'static SignatureAlgorithm,
        year: i32,
    ) -> Pair {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = CertificateParams::new(names).expect("names");
        parameters.use_authority_key_identifier_extension = true;
        parameters.extended_key_usages = vec![usage];
        parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = parameters.signed_by(&key, &self.0).expect("a certificate");
        Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters
}

impl Pair {
    /// Writes `NAME.crt` and `NAME.key` into a directory, each by a rename, and gives their paths.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let write = |extension: &str, text: &str| {
            let path = directory.join(format!("{name}.{extension}"));
            let new = directory.join(format!("{name}.{extension}.new"));
            std::fs::write(&new, text).expect("a file");
            std::fs::rename(&new, &path).expect("a rename");
            path
        };
        (write("crt", &self.certificate), write("key", &self.key))
    }
}
