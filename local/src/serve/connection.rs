//! One connection, from its accept to its end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, Version};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulConnection;
use roadstead_api::body::FileSender;
use roadstead_api::{Connection, Peer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tower::{Service, ServiceExt};
use tracing::debug;

use super::activity::{Activity, InProgress};
use super::sendfile::Files;
use super::socket::{Plain, Socket};
use super::stall::Awaited;
use super::streams::{self, Streams};
use super::{Options, Phase};

/// What one stream of an upload may have under way: at 20 ms to the client, 50 MiB a second.
const STREAM_WINDOW: u32 = 1024 * 1024;

/// What all streams of one connection may have under way.
const CONNECTION_WINDOW: u32 = 8 * 1024 * 1024;

/// What waits in memory to be sent, for each stream.
const SEND_BUFFER: usize = 512 * 1024;

/// What HTTP/1.1 reads at once, and so the largest frame of a body, of which up to three wait for
/// each upload; a head of a request is to fit as well.
const READ_BUFFER: usize = 32 * 1024;

/// Requests in progress on one connection.
const STREAMS: u32 = 250;

/// How often a silent HTTP/2 peer is asked whether it lives.
const PING_INTERVAL: Duration = Duration::from_secs(60);

/// What makes a connection secure.
pub trait Handshake: Send + Sync {
    /// Does the handshake on `stream`, in which the protocol is agreed.
    fn accept(&self, stream: Plain) -> BoxFuture<'static, io::Result<(SecureStream, Protocol)>>;
}

/// A connection after its handshake.
pub type SecureStream = Box<dyn SecureIo>;

/// Reads and writes; every such type has it.
pub trait SecureIo: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> SecureIo for T {}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1 or 1.0.
    Http1,
    /// HTTP/2.
    Http2,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What all connections share.
pub(super) struct Server<S> {
    service: S,
    options: Options,
    http1: http1::Builder,
    http2: http2::Builder<Streams>,
}

impl<S, B> Server<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(service: S, options: Options) -> Self {
        Self {
            http1: http1_builder(&options),
            http2: http2_builder(&options),
            service,
            options,
        }
    }

    /// Serves one connection to its end.
    pub(super) async fn run(
        self: Arc<Self>,
        socket: Socket,
        peer: Peer,
        phase: watch::Receiver<Phase>,
    ) {
        let activity = Activity::new();
        let expired = activity.clone().expired(
            or_forever(self.options.header_read_timeout),
            or_forever(self.options.idle_timeout),
        );
        let mut until_cut = phase.clone();
        let result = tokio::select! {
            biased;
            result = self.converse(socket, peer, activity, phase) => result,
            _ = until_cut.wait_for(|phase| *phase == Phase::Cut) => return,
            () = expired => Err("no request came in time".into()),
        };
        if let Err(error) = result {
            debug!(connection.peer = %peer, error = %Chain(&*error), "connection ended");
        }
    }

    async fn converse(
        self: Arc<Self>,
        socket: Socket,
        peer: Peer,
        activity: Arc<Activity>,
        mut phase: watch::Receiver<Phase>,
    ) -> Result<(), BoxError> {
        let files = Arc::new(Files::default());
        let stall_timeout = or_forever(self.options.stall_timeout);
        let mut stream = Plain::new(socket, files.clone(), activity.clone(), stall_timeout);
        let secure = self.options.tls.is_some();
        let front = Front {
            connection: Connection { peer, secure },
            sender: (!secure).then(|| files.sender()),
            activity,
            stall_timeout,
        };
        if let Some(tls) = &self.options.tls {
            let Some(result) = unless_draining(&mut phase, tls.accept(stream)).await else {
                return Ok(());
            };
            let (stream, protocol) = result?;
            return self.speak(protocol, stream, front, phase).await;
        }
        if !self.options.h2c {
            return self.speak(Protocol::Http1, stream, front, phase).await;
        }
        let protocol = match unless_draining(&mut phase, stream.begins_http2()).await {
            None => return Ok(()),
            Some(begins_http2) => protocol_of(begins_http2?),
        };
        self.speak(protocol, stream, front, phase).await
    }

    fn speak(
        self: Arc<Self>,
        protocol: Protocol,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        front: Front,
        phase: watch::Receiver<Phase>,
    ) -> BoxFuture<'static, Result<(), BoxError>> {
        let stream = TokioIo::new(stream);
        let activity = front.activity.clone();
        let service = self.service.clone();
        let service = service_fn(move |request| front.answer(service.clone(), request));
        match protocol {
            Protocol::Http1 => {
                let connection = self.http1.serve_connection(stream, service);
                Box::pin(async { Ok(drive(connection, phase).await?) })
            }
            Protocol::Http2 => {
                activity.multiplexes();
                let connection = self.http2.serve_connection(stream, service);
                Box::pin(async { Ok(drive(connection, phase).await?) })
            }
        }
    }
}

/// Longer than any connection lasts, and short enough to be added to a time.
fn or_forever(limit: Option<Duration>) -> Duration {
    const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);
    match limit {
        None | Some(Duration::ZERO) => FOREVER,
        Some(limit) => limit.min(FOREVER),
    }
}

fn protocol_of(begins_http2: bool) -> Protocol {
    if begins_http2 {
        Protocol::Http2
    } else {
        Protocol::Http1
    }
}

fn http1_builder(options: &Options) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        // `Activity` times heads.
        .header_read_timeout(None)
        .max_header_size(options.max_header_bytes)
        .max_buf_size(READ_BUFFER.max(options.max_header_bytes))
        .writev(true);
    builder
}

fn http2_builder(options: &Options) -> http2::Builder<Streams> {
    let streams = Streams::new(or_forever(options.stall_timeout));
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL);
    builder
}

/// Runs `work` unless the server drains first: nothing has been asked on this connection yet.
async fn unless_draining<T>(
    phase: &mut watch::Receiver<Phase>,
    work: impl Future<Output = T>,
) -> Option<T> {
    tokio::select! {
        biased;
        result = work => Some(result),
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => None,
    }
}

/// Drives a connection to its end; when the server drains, to the end of its requests.
async fn drive<C: GracefulConnection>(
    connection: C,
    mut phase: watch::Receiver<Phase>,
) -> Result<(), C::Error> {
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        result = connection.as_mut() => return result,
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
    }
    connection.as_mut().graceful_shutdown();
    connection.await
}

/// What the requests of one connection are told about it.
struct Front {
    connection: Connection,
    sender: Option<FileSender>,
    activity: Arc<Activity>,
    stall_timeout: Duration,
}

impl Front {
    fn answer<S, B>(
        &self,
        service: S,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Tracked<B>>, Infallible>> + Send + use<S, B>
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible> + Send,
        S::Future: Send,
        B: Send,
    {
        let in_progress = self.activity.begin();
        let mut request = request.map(|body| match body.is_end_stream() {
            true => Body::empty(),
            false => Body::new(Awaited::new(body, self.stall_timeout)),
        });
        request.extensions_mut().insert(self.connection);
        if let Some(sender) = &self.sender
            && request.version() <= Version::HTTP_11
        {
            request.extensions_mut().insert(sender.clone());
        }
        async move {
            let response = service.oneshot(request).await?;
            Ok(response.map(|body| Tracked {
                body,
                _in_progress: in_progress,
            }))
        }
    }
}

/// A body that keeps its request in progress.
struct Tracked<B> {
    body: B,
    _in_progress: InProgress,
}

impl<B: http_body::Body + Unpin> http_body::Body for Tracked<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        streams::asks_for_frame();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            streams::got_frame();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An error with its causes, which hyper keeps out of its own text.
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
