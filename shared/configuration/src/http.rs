//! `http`: the server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::Secret;
use crate::schema::{BOOL, DURATION, HEADERS, INTEGER, TEXT, TEXTS, choice, nested, section};

section! {
    /// `http`.
    Http {
        /// Where to listen: `host:port`, or a path with `net: unix`. Empty: a free port on all interfaces.
        addr: String = TEXT.default("");
        /// What to listen on.
        net: Net = choice(&["tcp", "unix"]).default("tcp");
        /// The URL that clients reach the registry by, for the URLs it gives them.
        host: Option<String> = TEXT;
        /// The path in front of `/v2/`; begins and ends with `/`.
        prefix: String = TEXT.default("/").check(prefix);
        /// Signs what clients keep for the registry; the same on all replicas. Without one, each process makes its own.
        secret: Option<Secret> = TEXT.secret();
        /// Gives clients URLs without scheme and host.
        relativeurls: bool = BOOL;
        /// What requests must bring in `X-Origin-Secret`, for a registry behind a proxy that adds it.
        originsecret: Option<Secret> = TEXT.secret().check(not_empty)
            .differs("Roadstead's own.");
        /// Where the bytes of uploads go: `/` for `/_uploads/` on the same host, which a proxy sends to `roadstead uploads`, or the URL of that server. Unset: to the registry itself.
        uploadorigin: Option<String> = TEXT.check(upload_origin)
            .differs("Roadstead's own.");
        /// How long requests may take to finish once the registry is asked to stop.
        draintimeout: Duration = DURATION.default("0s");
        /// TLS.
        tls: Tls = nested(Tls::KEYS);
        /// Headers that are added to each answer.
        headers: BTreeMap<String, Vec<String>> = HEADERS;
        /// The debug server.
        debug: Debug = nested(Debug::KEYS).later("the debug server");
        /// HTTP/2 over TLS.
        http2: Http2 = nested(Http2::KEYS);
        /// HTTP/2 without TLS.
        h2c: H2c = nested(H2c::KEYS);
        /// How long a client may take to send a request's headers.
        readheadertimeout: Duration = DURATION.default("60s").zero_is_default()
            .differs("Roadstead's own; Distribution waits for ever.");
        /// How many bytes a request's headers may have.
        maxheaderbytes: u64 = INTEGER.default("32768").zero_is_default()
            .differs("Roadstead's own; Distribution takes 1 MiB.");
    }
}

fn prefix(prefix: &str) -> Result<(), String> {
    if prefix.starts_with('/') && prefix.ends_with('/') {
        return Ok(());
    }
    Err(format!(
        "must begin and end with \"/\", as in \"/{}/\"",
        prefix.trim_matches('/')
    ))
}

fn not_empty(secret: &str) -> Result<(), String> {
    match secret {
        "" => Err("must not be empty".to_owned()),
        _ => Ok(()),
    }
}

fn upload_origin(origin: &str) -> Result<(), String> {
    let host = origin
        .split_once("://")
        .filter(|(scheme, _)| ["http", "https"].contains(scheme));
    let is_host = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']);
    match host {
        _ if origin == "/" => Ok(()),
        Some((_, host)) if is_host(host) => Ok(()),
        _ => Err(
            "must be \"/\", or a scheme and a host as in \"https://uploads.example.com\""
                .to_owned(),
        ),
    }
}

/// What to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// A TCP port.
    Tcp,
    /// A socket file.
    Unix,
}

section! {
    /// `http.tls`.
    Tls {
        /// The file of the server's certificate, in PEM.
        certificate: Option<String> = TEXT.refused("TLS");
        /// The file of the certificate's key, in PEM.
        key: Option<String> = TEXT.refused("TLS");
        /// The files of the authorities that clients' certificates may be from.
        clientcas: Vec<String> = TEXTS.refused("TLS with client certificates");
        /// What is asked of clients' certificates.
        clientauth: ClientAuth = choice(&[
            "require-and-verify-client-cert",
            "request-client-cert",
            "require-any-client-cert",
            "verify-client-cert-if-given",
        ]).default("require-and-verify-client-cert").follows("http.tls.clientcas");
        /// The oldest version of TLS that is spoken.
        minimumtls: MinimumTls = choice(&["tls1.2", "tls1.3", "tls1.0", "tls1.1"]).default("tls1.2")
            .follows("http.tls.certificate")
            .differs("`tls1.0` and `tls1.1` count as `tls1.2`, with a warning; Distribution 3 does not start.");
        /// The cipher suites that are spoken.
        ciphersuites: Vec<String> = TEXTS.follows("http.tls.certificate");
        /// Certificates by ACME.
        letsencrypt: LetsEncrypt = nested(LetsEncrypt::KEYS).refused("TLS with Let's Encrypt");
    }
}

/// What is asked of clients' certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClientAuth {
    /// A certificate of one of the authorities.
    RequireAndVerifyClientCert,
    /// Nothing.
    RequestClientCert,
    /// Any certificate.
    RequireAnyClientCert,
    /// None, or one of one of the authorities.
    VerifyClientCertIfGiven,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum MinimumTls {
    /// TLS 1.2.
    #[serde(rename = "tls1.2", alias = "tls1.0", alias = "tls1.1")]
    Tls12,
    /// TLS 1.3.
    #[serde(rename = "tls1.3")]
    Tls13,
}

section! {
    /// `http.tls.letsencrypt`.
    LetsEncrypt {
        /// The folder where certificates are kept.
        cachefile: Option<String> = TEXT;
        /// The address to register with.
        email: Option<String> = TEXT;
        /// The host names to get certificates for.
        hosts: Vec<String> = TEXTS;
        /// The ACME server.
        directoryurl: Option<String> = TEXT;
    }
}

section! {
    /// `http.debug`.
    Debug {
        /// Where the debug server listens; without one, there is none.
        addr: Option<String> = TEXT;
        /// Metrics for Prometheus.
        prometheus: Prometheus = nested(Prometheus::KEYS);
    }
}

section! {
    /// `http.debug.prometheus`.
    Prometheus {
        /// Serves metrics.
        enabled: bool = BOOL;
        /// The path to serve them at.
        path: String = TEXT.default("/metrics");
    }
}

section! {
    /// `http.http2`.
    Http2 {
        /// Speaks only HTTP/1.1 over TLS.
        disabled: bool = BOOL.follows("http.tls.certificate");
    }
}

section! {
    /// `http.h2c`.
    H2c {
        /// Speaks HTTP/2 also without TLS.
        enabled: bool = BOOL;
    }
}
