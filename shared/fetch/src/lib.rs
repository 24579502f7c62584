//! One GET of a text of bounded size, in bounded time, or one HEAD: for the few things that a
//! registry has to ask others.
//!
//! Redirects are not followed, and nothing is kept: what is asked often is the caller's to remember.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

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
        let response = request(uri, options).await?;
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

/// The status of the answer to a `HEAD` with `headers`, for as long as it takes; redirects are not
/// followed.
///
/// # Errors
///
/// Why there is none.
pub async fn status(uri: &Uri, headers: HeaderMap) -> Result<StatusCode, Failure> {
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::HEAD;
    *request.uri_mut() = uri.clone();
    *request.headers_mut() = headers;
    let response = answered(request, None).await?;
    Ok(response.status())
}

async fn request(uri: &Uri, options: &Options) -> Result<Response<Incoming>, Failure> {
    let mut request = Request::new(Empty::new());
    *request.uri_mut() = uri.clone();
    answered(request, options.authorities.clone()).await
}

async fn answered(
    request: Request<Empty<Bytes>>,
    authorities: Option<PathBuf>,
) -> Result<Response<Incoming>, Failure> {
    let builder = Client::builder(TokioExecutor::new());
    let response = match request.uri().scheme_str() {
        Some("https") => {
            let connector = tls(authorities).await?;
            builder.build(connector).request(request).await
        }
        _ => builder.build(HttpConnector::new()).request(request).await,
    };
    response.map_err(Failure::Request)
}

/// The authorities are read from files.
async fn tls(authorities: Option<PathBuf>) -> Result<HttpsConnector<HttpConnector>, Failure> {
    let read = move || {
        let builder = HttpsConnectorBuilder::new();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = match authorities {
            None => builder.with_provider_and_native_roots(provider)?,
            Some(path) => {
                let config = ClientConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .map_err(io::Error::other)?;
                let config = config.with_root_certificates(roots(&path)?);
                builder.with_tls_config(config.with_no_client_auth())
            }
        };
        Ok(builder.https_only().enable_http1().build())
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(io::Error::other).flatten();
    read.map_err(Failure::Authorities)
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
