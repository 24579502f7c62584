//! Why there can be no TLS.

use std::io;
use std::path::PathBuf;

/// Why there can be no TLS. Each says which file or key it is about.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{name} {} cannot be read", path.display())]
    Unreadable {
        /// What the file is, as its key in the configuration.
        name: &'static str,
        /// Where it is.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{name} {} {problem}", path.display())]
    File {
        /// What the file is, as its key in the configuration.
        name: &'static str,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key is not that of the certificate.
    #[error(
        "http.tls.key {} does not belong to the first certificate in http.tls.certificate {}",
        key.display(), certificate.display()
    )]
    OtherKey {
        /// Where the certificate is.
        certificate: PathBuf,
        /// Where the key is.
        key: PathBuf,
    },
    /// A certificate without a key, or a key without a certificate.
    #[error("{given} needs {missing}")]
    Half {
        /// The key of the configuration that is set.
        given: &'static str,
        /// The one that is missing.
        missing: &'static str,
    },
    /// Two sources of certificates.
    #[error(
        "cannot specify both certificate and Let's Encrypt: http.tls.certificate and http.tls.letsencrypt.cachefile"
    )]
    Both,
    /// There is nowhere to answer challenges.
    #[error("http.tls.letsencrypt.httpaddr")]
    HttpAddress(#[source] crate::listen::Error),
    /// Verifying needs authorities.
    #[error("http.tls.clientauth {0} needs http.tls.clientcas")]
    NoAuthorities(&'static str),
    /// No suite is left.
    #[error("none of http.tls.ciphersuites can be had; leave them out, or name one of {available}")]
    NoSuites {
        /// What there is.
        available: String,
    },
    /// What rustls refuses for another reason.
    #[error("http.tls")]
    Rustls(#[from] rustls::Error),
}
