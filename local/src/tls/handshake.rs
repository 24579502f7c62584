//! Handshakes: bounded in time and number, and none in the way of another.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use super::Tls;
use super::acme::{self, Acme};
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
        let (config, acme) = (self.current(), self.acme.clone());
        Box::pin(async move {
            let done = timeout(time, accept(config, acme, stream)).await;
            drop(place);
            done.unwrap_or_else(|_| Err(io::Error::other("the TLS handshake took too long")))
        })
    }
}

async fn accept(
    config: Arc<ServerConfig>,
    acme: Option<Arc<Acme>>,
    mut stream: Plain,
) -> io::Result<(SecureStream, Protocol)> {
    let first = stream.peek(FIRST).await?;
    if begins_http(&first) {
        stream.write_all(PLAIN_HTTP).await?;
        stream.shutdown().await?;
        return Err(io::Error::other("plain HTTP on the port of TLS"));
    }
    let stream = match acme {
        None => TlsAcceptor::from(config).accept(stream).await?,
        Some(acme) => accept_or_answer(config, acme, stream).await?,
    };
    let protocol = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Protocol::Http2,
        _ => Protocol::Http1,
    };
    Ok((Box::new(stream), protocol))
}

/// Tells those who want a connection from those who want to see the answer to a challenge.
async fn accept_or_answer(
    config: Arc<ServerConfig>,
    acme: Arc<Acme>,
    stream: Plain,
) -> io::Result<TlsStream<Plain>> {
    let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let hello = started.client_hello();
    if !acme::is_challenge(&hello) {
        return started.into_stream(config).await;
    }
    let host = hello.server_name().unwrap_or_default().to_owned();
    let Some(config) = acme.challenge(&host).await else {
        return Err(io::Error::other("an ACME challenge that nobody asked for"));
    };
    started.into_stream(config).await?.shutdown().await?;
    tracing::debug!("answered an ACME challenge for {host}");
    Err(io::Error::other("an ACME challenge, answered"))
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
