//! Handshakes: bounded in time and number, and none in the way of another.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Tls;
use crate::serve::{Handshake, Plain, Protocol, SecureStream};

/// Handshakes in progress at once, some 20 KiB each; who comes after them is sent away.
pub(super) const MOST: usize = 4096;

/// From here on handshakes must be quick: stalled ones fill the places.
const CROWD: usize = MOST / 4;

/// How long a handshake may take.
const TIME: Duration = Duration::from_secs(10);

/// How long it may take where there is a crowd.
const TIME_IN_A_CROWD: Duration = Duration::from_secs(3);

/// What Go says, so that who sees it finds help.
const PLAIN_HTTP: &[u8] = b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

impl Handshake for Tls {
    fn accept(&self, stream: Plain) -> BoxFuture<'static, io::Result<(SecureStream, Protocol)>> {
        let Ok(place) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            return async { Err(io::Error::other("too many TLS handshakes at once")) }.boxed();
        };
        let time = match self.handshakes.available_permits() {
            free if free < MOST - CROWD => TIME_IN_A_CROWD,
            _ => TIME,
        };
        let config = self.current();
        Box::pin(async move {
            let done = timeout(time, accept(config, stream)).await;
            drop(place);
            done.unwrap_or_else(|_| Err(io::Error::other("the TLS handshake took too long")))
        })
    }
}

async fn accept(
    config: Arc<ServerConfig>,
    mut stream: Plain,
) -> io::Result<(SecureStream, Protocol)> {
    let first = stream.peek(FIRST).await?;
    if begins_http(&first) {
        stream.write_all(PLAIN_HTTP).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("plain HTTP on the port of TLS"));
    }
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok((Box::new(stream), protocol))
}

/// The length of a TLS record's header, and enough to tell HTTP from it.
const FIRST: usize = 5;

/// Whether bytes are a method's name and a space rather than a TLS record, which begins with 22.
fn begins_http(first: &[u8]) -> bool {
    first.len() == FIRST
        && first
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || matches!(byte, b' ' | b'/'))
}
