//! `http`: the server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use crate::Secret;
use crate::address;
use crate::schema::{
    ANY, BOOL, COUNT, DURATION, HEADERS, INTEGER, TEXT, TEXTS, choice, nested, section,
};

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
        originsecret: Option<Secret> = TEXT.secret()
            .differs("Roadstead's own.");
        /// For functions: answers a challenge (401 with `WWW-Authenticate`) as 300 with `X-Relayed-Status` and `X-Relayed-WWW-Authenticate`, of which the CDN in front makes the 401 again; a Function URL takes `WWW-Authenticate` away.
        relaychallenges: bool = BOOL
            .differs("Roadstead's own.");
        /// Where the bytes of uploads go: `/` for `/_uploads/` on the same host, which a proxy sends to `roadstead uploads`, or the URL of that server. Unset: to the registry itself.
        uploadorigin: Option<String> = TEXT.check(upload_origin)
            .differs("Roadstead's own.");
        /// How long requests may take to finish once the registry is asked to stop.
        draintimeout: Duration = DURATION.default("0s");
        /// The proxies whose `Forwarded`, `X-Forwarded-*` and `X-Real-IP` count: addresses, networks, `unix` for unix sockets, `private` for these and all private networks.
        trustedproxies: Vec<String> = TEXTS.default("[private]").check(network)
            .differs("Roadstead's own; Distribution believes everybody.");
        /// TLS.
        tls: Tls = nested(Tls::KEYS);
        /// Headers that are added to each answer.
        headers: BTreeMap<String, Vec<String>> = HEADERS.check(added_header).differs("Roadstead does not start with a name or value that no header can have, nor with `Content-Length` or `Transfer-Encoding`; Distribution leaves them out, or overwrites them.");
        /// Web pages on other origins.
        cors: Option<Cors> = nested(Cors::KEYS).strict(&["origins"]).differs("Distribution 3 has only `headers`; the keys are those of the registry before it (docker-registry 0.9).");
        /// How much one caller may ask for. Each process counts for itself, and a function not at all.
        limits: Limits = nested(Limits::KEYS).differs("Roadstead's own.");
        /// The debug server.
        debug: Debug = nested(Debug::KEYS);
        /// HTTP/2 over TLS.
        http2: Http2 = nested(Http2::KEYS);
        /// HTTP/2 without TLS.
        h2c: H2c = nested(H2c::KEYS);
        /// How long a client may take to send a request's headers.
        readheadertimeout: Duration = DURATION.default("60s").zero_is_default()
            .differs("Roadstead's own; Distribution waits for ever.");
        /// How long a client may send nothing of a body, or take nothing of an answer; then its connection ends, after at most twice as long. What moves may take as long as it likes; `0` waits for ever.
        stalltimeout: Duration = DURATION.default("5m")
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

/// What a header's own name may be, beside being one.
fn added_header(name: &str) -> Result<(), String> {
    let framing = ["content-length", "transfer-encoding"];
    match framing.contains(&name.to_ascii_lowercase().as_str()) {
        true => Err("says where an answer ends, which the server knows".to_owned()),
        false => Ok(()),
    }
}

fn network(text: &str) -> Result<(), String> {
    let is_network = ["private", "unix"].contains(&text)
        || text.parse::<ipnet::IpNet>().is_ok()
        || text.parse::<std::net::IpAddr>().is_ok();
    is_network.then_some(()).ok_or_else(|| {
        format!("{text:?} is neither an address, nor a network as in 10.0.0.0/8, nor \"private\" nor \"unix\"")
    })
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
        /// The file of the server's certificate and of those between it and its authority, in this order and in PEM.
        certificate: Option<String> = TEXT.differs("Read again when it changes, as are `key` and `clientcas`; Distribution must be restarted.");
        /// The file of the certificate's key, in PEM: PKCS#8, PKCS#1 or SEC1, without a passphrase.
        key: Option<String> = TEXT;
        /// The files of the authorities that clients' certificates may be from.
        clientcas: Vec<String> = TEXTS;
        /// What is asked of clients' certificates. With `clientcas` and without this, `require-and-verify-client-cert`.
        clientauth: Option<ClientAuth> = choice(&[
            "require-and-verify-client-cert",
            "request-client-cert",
            "require-any-client-cert",
            "verify-client-cert-if-given",
        ]).differs("Also counts without `clientcas`, and the two that verify refuse to start then; Distribution asks for nothing.");
        /// The oldest version of TLS that is spoken.
        minimumtls: MinimumTls = choice(&["tls1.2", "tls1.3", "tls1.0", "tls1.1"]).default("tls1.2")
            .follows("http.tls.certificate")
            .differs("`tls1.0` and `tls1.1` count as `tls1.2`, with a warning; Distribution 3 does not start.");
        /// The cipher suites that are spoken.
        ciphersuites: Vec<String> = TEXTS.check(suite).follows("http.tls.certificate")
            .differs("Those with RSA key exchange, CBC, 3DES or RC4 are left out, with a warning; none left refuses to start. The suites of TLS 1.3 are limited as soon as one is named.");
        /// Certificates by ACME.
        letsencrypt: LetsEncrypt = nested(LetsEncrypt::KEYS);
    }
}

/// The names that Distribution documents.
const SUITES: [&str; 25] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

fn suite(name: &str) -> Result<(), String> {
    let is_known = SUITES.contains(&name);
    is_known.then_some(()).ok_or_else(|| {
        format!("{name:?} is no cipher suite that Distribution knows, as TLS_AES_128_GCM_SHA256 is")
    })
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
        /// The folder where certificates, their keys and that of the account are kept; switches ACME on. Replicas that share it share them, and answer each other's challenges.
        cachefile: Option<String> = TEXT;
        /// The address to register with.
        email: Option<String> = TEXT;
        /// The host names to get certificates for, one certificate each.
        hosts: Vec<String> = TEXTS.check(host).differs("Without any, Roadstead does not start; Distribution gets no certificate.");
        /// The ACME server.
        directoryurl: String = TEXT.default("https://acme-v02.api.letsencrypt.org/directory");
        /// How the ACME server is shown that the hosts are ours: by a handshake that it makes on port 443, or a request on port 80.
        challenge: AcmeChallenge = choice(&["tls-alpn-01", "http-01"]).default("tls-alpn-01")
            .follows("http.tls.letsencrypt.cachefile").differs("Roadstead's own; Distribution does `tls-alpn-01` alone.");
        /// Where to listen for the requests of `http-01`; others are sent on to `https`.
        httpaddr: String = TEXT.default(":80").check(address::check).follows("http.tls.letsencrypt.challenge").differs("Roadstead's own.");
        /// The files of authorities that the ACME server's own certificate may be from, beside those of the system.
        rootcas: Vec<String> = TEXTS.differs("Roadstead's own.");
    }
}

/// The shape of a host name that a certificate can be had for by these challenges: no wildcard, no address.
fn host(host: &str) -> Result<(), String> {
    let is_label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed)
    };
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    let is_host = host.len() <= 253 && !is_address && host.split('.').all(is_label);
    is_host.then_some(()).ok_or_else(|| {
        format!("{host:?} is no host name that ACME gives a certificate for by these challenges")
    })
}

/// How an ACME server is shown that a host is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AcmeChallenge {
    /// RFC 8737.
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    /// RFC 8555, section 8.3.
    #[serde(rename = "http-01")]
    Http01,
}

section! {
    /// `http.debug`.
    Debug {
        /// Where the debug server listens; without one, there is none.
        addr: Option<String> = TEXT.check(address::check);
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
        path: String = TEXT.default("/metrics").check(metrics_path);
    }
}

fn metrics_path(path: &str) -> Result<(), String> {
    let is_path = path.starts_with('/');
    is_path
        .then_some(())
        .ok_or_else(|| format!("must begin with \"/\", as in \"/{path}\""))
}

section! {
    /// `http.http2`.
    Http2 {
        /// Speaks only HTTP/1.1 over TLS.
        disabled: bool = BOOL.follows("http.tls.certificate");
    }
}

section! {
    /// `http.cors`.
    Cors {
        /// The origins of the pages, as in `https://ui.example.com`; `*` is every page, and then `supports_credentials` must be off.
        origins: Vec<String> = TEXTS;
        /// The methods that they may use.
        methods: Vec<String> = TEXTS.default("[GET, HEAD, POST, PUT, PATCH, DELETE]");
        /// The headers that they may send.
        headers: Vec<String> = TEXTS.default("[Accept, Authorization, Content-Type, Range]");
        /// The headers that they may read.
        expose_headers: Vec<String> = TEXTS.default("[Docker-Content-Digest, Link, Location, OCI-Filters-Applied, OCI-Subject, OCI-Tag, WWW-Authenticate]");
        /// Whether browsers may add what they remember of a user, such as a password that they have asked for.
        supports_credentials: bool = BOOL;
        /// How many seconds browsers may remember the answer to a preflight request.
        max_age: Option<u64> = COUNT;
    }
    also {
        /// Whether `*` is the answer when every origin is let in.
        send_wildcard = BOOL.removed("`*` is always the answer then; remove the key");
        /// Whether those who name no origin get the headers as well.
        always_send = BOOL.removed("they say nothing without an origin; remove the key");
        /// Whether preflight requests are answered.
        automatic_options = BOOL.removed("they always are; remove the key");
        /// Whether `Vary` names `Origin`.
        vary_header = BOOL.removed("it does where origins are named; remove the key");
        /// The paths that pages may ask for.
        resources = ANY.removed("they may ask for all that they may see; remove the key");
    }
}

section! {
    /// `http.limits`.
    Limits {
        /// How many requests; what is more is answered with 429.
        requests: Option<RequestLimit> = nested(RequestLimit::KEYS).strict(&["rate"]);
        /// How many uploads; what is more is answered with 429.
        uploads: Option<UploadLimit> = nested(UploadLimit::KEYS).strict(&["concurrent"]);
    }
}

section! {
    /// `http.limits.requests`.
    RequestLimit {
        /// How many requests a caller may make in each `period`, on average; 0 is any number.
        rate: Option<u64> = COUNT;
        /// The time that `rate` is about.
        period: Duration = DURATION.default("1s").zero_is_default();
        /// How many requests a caller may make at once, after a pause. Unset or 0: as many as `rate`.
        burst: Option<u64> = COUNT;
        /// Who a caller is: the user, and for those who have not logged in the address; or always the address.
        per: Per = choice(&["principal", "address"]).default("principal");
    }
}

/// Who a caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// A user; an address where there is none.
    Principal,
    /// An address.
    Address,
}

section! {
    /// `http.limits.uploads`.
    UploadLimit {
        /// How many requests of one caller may bring bytes of blobs at the same time; 0 is any number.
        concurrent: Option<u64> = COUNT;
    }
}

section! {
    /// `http.h2c`.
    H2c {
        /// Speaks HTTP/2 also without TLS.
        enabled: bool = BOOL.differs("Clients begin with it at once; the `Upgrade` from HTTP/1.1, which RFC 9113 has abolished, is ignored.");
    }
}
