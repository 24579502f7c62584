//! One GET of a text of bounded size, in bounded time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;

/// How long it may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many bytes there may be; AWS's list has about 2 MB.
const LARGEST: usize = 32 * 1024 * 1024;

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("there is no answer within {} seconds", PATIENCE.as_secs())]
    Late,
    #[error("the request failed")]
    Request(#[source] hyper_util::client::legacy::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("the answer broke off, or has more than {LARGEST} bytes")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("no certificate authority is known to this machine")]
    Authorities(#[source] io::Error),
}

/// The body of a 200; redirects are not followed.
pub(crate) async fn fetch(uri: &Uri) -> Result<Bytes, Failure> {
    let fetch = async {
        let response = request(uri).await?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        Ok(body.map_err(Failure::Body)?.to_bytes())
    };
    let fetched = tokio::time::timeout(PATIENCE, fetch).await;
    fetched.map_err(|_| Failure::Late)?
}

async fn request(uri: &Uri) -> Result<Response<Incoming>, Failure> {
    let mut request = Request::new(Empty::<Bytes>::new());
    *request.uri_mut() = uri.clone();
    let builder = Client::builder(TokioExecutor::new());
    let response = match uri.scheme_str() {
        Some("https") => builder.build(tls().await?).request(request).await,
        _ => builder.build(HttpConnector::new()).request(request).await,
    };
    response.map_err(Failure::Request)
}

/// With the authorities that this machine believes; they are read from files.
async fn tls() -> Result<hyper_rustls::HttpsConnector<HttpConnector>, Failure> {
    let read = || {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider)?;
        Ok(builder.https_only().enable_http1().build())
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(io::Error::other).flatten();
    read.map_err(Failure::Authorities)
}
