//! The accept loop and the end of it.
//!
//! Each connection is one task. It ends when the client leaves, when it keeps the server waiting
//! for a request for too long, or when the server drains.

mod accept;
mod activity;
mod connection;
mod sendfile;
mod socket;
mod stall;
mod streams;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use tokio::sync::watch;
use tower::Service;

use crate::listen::Listener;
use accept::Acceptor;
use connection::Server;

pub use connection::{Handshake, Protocol, SecureIo, SecureStream};
pub use socket::Plain;

/// How connections are treated.
#[derive(Clone)]
pub struct Options {
    /// How long a client may take from the first byte of a request's head to its last, and from
    /// connecting to the end of its first head; none, or zero, is for ever.
    pub header_read_timeout: Option<Duration>,
    /// How long a client may send nothing of a body that is waited for, or take nothing of what is
    /// sent; none, or zero, is for ever. What moves may take as long as it likes.
    pub stall_timeout: Option<Duration>,
    /// How long a connection may lie idle between two requests; none, or zero, is for ever.
    pub idle_timeout: Option<Duration>,
    /// The largest head of a request, in bytes; a larger one is answered by 431.
    pub max_header_bytes: usize,
    /// Whether HTTP/2 with prior knowledge is spoken without TLS.
    pub h2c: bool,
    /// How long requests in progress may take to finish at shutdown; none, or zero, cuts them.
    pub drain_timeout: Option<Duration>,
    /// What makes a connection secure; without it connections are plain.
    pub tls: Option<Arc<dyn Handshake>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header_read_timeout: Some(Duration::from_secs(30)),
            stall_timeout: Some(Duration::from_secs(300)),
            idle_timeout: Some(Duration::from_secs(300)),
            max_header_bytes: 64 * 1024,
            h2c: false,
            drain_timeout: None,
            tls: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("header_read_timeout", &self.header_read_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("idle_timeout", &self.idle_timeout)
            .field("max_header_bytes", &self.max_header_bytes)
            .field("h2c", &self.h2c)
            .field("drain_timeout", &self.drain_timeout)
            .field("tls", &self.tls.is_some())
            .finish()
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Drained {
    /// Connections that had not finished when the time was up.
    pub cut: usize,
}

/// What the connections are to do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Phase {
    /// Serve.
    Serving,
    /// Finish the requests in progress, begin none.
    Draining,
    /// End at once.
    Cut,
}

/// Serves `service` on `listener` until `shutdown`, then drains as the options say.
///
/// Requests carry the extensions [`roadstead_api::Connection`] and, where the connection can do
/// better than copy, [`roadstead_api::body::FileSender`]. Errors of single connections end these
/// alone; a failing accept is tried again. Must run in a tokio runtime with I/O and time.
pub async fn serve<S, B>(
    listener: Listener,
    service: S,
    options: Options,
    shutdown: impl Future,
) -> Drained
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let drain_timeout = options.drain_timeout.unwrap_or_default();
    let server = Arc::new(Server::new(service, options));
    let connections = Connections::new();
    tokio::select! {
        biased;
        _ = shutdown => {}
        () = accept_all(&listener, server, &connections) => {}
    }
    drop(listener);
    connections.drain(drain_timeout).await
}

async fn accept_all<S, B>(listener: &Listener, server: Arc<Server<S>>, connections: &Connections)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut acceptor = Acceptor::new(listener);
    loop {
        let (socket, peer) = acceptor.next().await;
        connections.spawn(|phase| server.clone().run(socket, peer, phase));
    }
}

/// The connections that are open.
struct Connections {
    phase: watch::Sender<Phase>,
    /// Each connection holds a clone.
    open: Arc<()>,
}

impl Connections {
    fn new() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Serving),
            open: Arc::new(()),
        }
    }

    fn spawn<F>(&self, serve: impl FnOnce(watch::Receiver<Phase>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let connection = serve(self.phase.subscribe());
        let open = self.open.clone();
        // Who waits for the end of all phases then finds no place taken.
        let last = self.phase.subscribe();
        tokio::spawn(async move {
            connection.await;
            drop(open);
            drop(last);
        });
    }

    async fn drain(self, timeout: Duration) -> Drained {
        if !timeout.is_zero() {
            let shown = crate::duration::Go(timeout);
            tracing::info!("stopping server gracefully. Draining connections for {shown}");
            self.phase.send_replace(Phase::Draining);
            // What is left when the time is up is counted below.
            let _ = tokio::time::timeout(timeout, self.phase.closed()).await;
        }
        let cut = Arc::strong_count(&self.open) - 1;
        self.phase.send_replace(Phase::Cut);
        Drained { cut }
    }
}
