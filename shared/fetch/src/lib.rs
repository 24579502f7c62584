//! Requests of bounded size, in bounded time: for the few things that a registry has to ask others,
//! or to tell them.
//!
//! Redirects are not followed. [`fetch`] keeps nothing: what is asked often is the caller's to
//! remember. A [`Sender`] keeps its connections.

mod sender;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

pub use sender::Sender;

/// The one kind of client, so that it is compiled once.
type Web = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// How much is put up with, and who is believed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long it may take in all.
    pub patience: Duration,
    /// How many bytes there may be.
    pub largest: usize,
    /// A file of certificate authorities in PEM, in the place of those that this machine believes.
    pub authorities: Option<PathBuf>,
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It takes too long.
    #[error("there is no answer within {} seconds", .0.as_secs())]
    Late(Duration),
    /// There is no answer.
    #[error("the request failed")]
    Request(#[source] hyper_util::client::legacy::Error),
    /// It is another answer than 200.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// There is too much of it, or not all.
    #[error("the answer broke off, or has more than {0} bytes")]
    Body(usize, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// There is nobody to believe.
    #[error("no certificate authority is known")]
    Authorities(#[source] io::Error),
}

/// The body of a 200; redirects are not followed.
///
/// # Errors
///
/// Why there is none.
pub async fn fetch(uri: &Uri, options: &Options) -> Result<Bytes, Failure> {
    let fetch = async {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = uri.clone();
        let response = client(uri, options).await?.request(request).await;
        let response = response.map_err(Failure::Request)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), options.largest);
        let body = body.collect().await;
        let body = body.map_err(|error| Failure::Body(options.largest, error))?;
        Ok(body.to_bytes())
    };
    let fetched = tokio::time::timeout(options.patience, fetch).await;
    fetched.map_err(|_| Failure::Late(options.patience))?
}

/// A client for `uri`; only for `https` are the authorities read, which are files.
async fn client(uri: &Uri, options: &Options) -> Result<Web, Failure> {
    let authorities = options.authorities.clone();
    let tls = match uri.scheme_str() {
        Some("https") => {
            let read = tokio::task::spawn_blocking(move || believing(authorities)).await;
            read.map_err(io::Error::other).flatten()
        }
        _ => config(RootCertStore::empty()),
    };
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls.map_err(Failure::Authorities)?);
    let connector = match uri.scheme_str() {
        Some("https") => builder.https_only().enable_http1().build(),
        _ => builder.https_or_http().enable_http1().build(),
    };
    Ok(Client::builder(TokioExecutor::new()).build(connector))
}

fn believing(authorities: Option<PathBuf>) -> io::Result<ClientConfig> {
    match authorities {
        Some(path) => config(roots(&path)?),
        None => Ok(verifying()?.with_native_roots()?.with_no_client_auth()),
    }
}

fn config(roots: RootCertStore) -> io::Result<ClientConfig> {
    Ok(verifying()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn verifying() -> io::Result<ConfigBuilder<ClientConfig, WantsVerifier>> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)
}

fn roots(path: &Path) -> io::Result<RootCertStore> {
    let wrong = |why: String| io::Error::other(format!("{}: {why}", path.display()));
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| wrong(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(wrong("there is no certificate in it".to_owned())),
        false => Ok(roots),
    }
}
