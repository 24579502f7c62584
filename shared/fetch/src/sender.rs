//! Telling one receiver things often.

use std::time::Instant;

use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use tokio::sync::OnceCell;

use crate::{Failure, Options, Web, client};

/// Sends to one URL, over connections that are kept for the next time.
#[derive(Debug)]
pub struct Sender {
    uri: Uri,
    options: Options,
    client: OnceCell<Web>,
}

impl Sender {
    /// Sends to `uri`. Nothing is opened or read before the first request.
    pub fn new(uri: Uri, options: Options) -> Self {
        Self {
            uri,
            options,
            client: OnceCell::new(),
        }
    }

    /// Where it sends to.
    pub fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Posts `body` with `headers`, and gives the status of the answer whatever it is. An answer's
    /// body that breaks off, does not end in time or is too large counts as empty.
    ///
    /// # Errors
    ///
    /// There is no answer.
    pub async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Failure> {
        let patience = self.options.patience;
        let begun = Instant::now();
        let sent = tokio::time::timeout(patience, self.sent(headers, body)).await;
        let response = sent.map_err(|_| Failure::Late(patience))??;
        let status = response.status();
        let whole = Limited::new(response.into_body(), self.options.largest).collect();
        let left = patience.saturating_sub(begun.elapsed());
        let body = match tokio::time::timeout(left, whole).await {
            Ok(Ok(body)) => body.to_bytes(),
            _ => Bytes::new(),
        };
        Ok((status, body))
    }

    async fn sent(
        &self,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<http::Response<hyper::body::Incoming>, Failure> {
        let make = || client(&self.uri, &self.options);
        let client = self.client.get_or_try_init(make).await?;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        client.request(request).await.map_err(Failure::Request)
    }
}
