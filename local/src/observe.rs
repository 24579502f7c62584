//! Watching a request from its head to the last byte of its answer.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use roadstead_api::User;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

/// Decides at the head of a request whether to watch it.
pub trait Observer: Clone + Send + Sync + 'static {
    /// What is kept until the answer has been sent.
    type Observation: Observation;

    /// Looks at a request, to which it may add extensions.
    fn request<B>(&self, request: &mut Request<B>) -> Option<Self::Observation>;
}

/// Nobody watches.
impl<O: Observer> Observer for Option<O> {
    type Observation = O::Observation;

    fn request<B>(&self, request: &mut Request<B>) -> Option<O::Observation> {
        self.as_ref()?.request(request)
    }
}

/// Two watch the same request, in the span of the first.
impl<O: Observer, P: Observer> Observer for (O, P) {
    type Observation = (Option<O::Observation>, Option<P::Observation>);

    fn request<B>(&self, request: &mut Request<B>) -> Option<Self::Observation> {
        let both = (self.0.request(request), self.1.request(request));
        (both.0.is_some() || both.1.is_some()).then_some(both)
    }
}

/// One watched request.
pub trait Observation: Send + Unpin + 'static {
    /// The span in which the request is served.
    fn span(&self) -> Span {
        Span::none()
    }

    /// Called once, when nothing more will be sent.
    fn end(&mut self, answer: &Answer, outcome: Outcome<'_>);
}

impl<O: Observation, P: Observation> Observation for (Option<O>, Option<P>) {
    fn span(&self) -> Span {
        self.0.as_ref().map_or_else(Span::none, O::span)
    }

    fn end(&mut self, answer: &Answer, outcome: Outcome<'_>) {
        if let Some(first) = &mut self.0 {
            first.end(answer, outcome);
        }
        if let Some(second) = &mut self.1 {
            second.end(answer, outcome);
        }
    }
}

/// What was sent.
#[derive(Debug, Default)]
pub struct Answer {
    /// None when the client left before there was one.
    pub status: Option<StatusCode>,
    /// Its `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// Who made the request, if they said so and it was true.
    pub user: Option<User>,
    /// Bytes of the body that were handed to the connection.
    pub written: u64,
}

/// How it ended.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// All was sent.
    Complete,
    /// The client went away.
    Gone,
    /// The server could not go on.
    Failed(&'a dyn fmt::Display),
}

/// The layer of an [`Observer`].
#[derive(Clone, Debug)]
pub struct ObserveLayer<O>(pub O);

impl<S, O: Clone> Layer<S> for ObserveLayer<O> {
    type Service = Observe<S, O>;

    fn layer(&self, inner: S) -> Observe<S, O> {
        Observe {
            inner,
            observer: self.0.clone(),
        }
    }
}

/// A service whose requests an [`Observer`] watches.
#[derive(Clone, Debug)]
pub struct Observe<S, O> {
    inner: S,
    observer: O,
}

impl<S, O, A, B> Service<Request<A>> for Observe<S, O>
where
    S: Service<Request<A>, Response = Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    O: Observer,
    B: Body,
{
    type Response = Response<Observed<B, O::Observation>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let watch = self.observer.request(&mut request).map(Watch::new);
        let is_head = request.method() == Method::HEAD;
        let response = self.inner.call(request);
        Box::pin(async move {
            let Some(mut watch) = watch else {
                return Ok(response.await?.map(Observed::unwatched));
            };
            let response = response.instrument(watch.span.clone()).await?;
            watch.head(&response, is_head);
            Ok(response.map(|body| Observed {
                body,
                watch: Some(watch),
            }))
        })
    }
}

/// A body that tells when it has been sent.
#[derive(Debug)]
pub struct Observed<B, O: Observation> {
    body: B,
    watch: Option<Watch<O>>,
}

impl<B, O: Observation> Observed<B, O> {
    fn unwatched(body: B) -> Self {
        Self { body, watch: None }
    }
}

impl<B, O> Body for Observed<B, O>
where
    B: Body<Data = Bytes, Error: fmt::Display> + Unpin,
    O: Observation,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, watch } = &mut *self;
        let Some(open) = watch else {
            return Pin::new(body).poll_frame(cx);
        };
        let polled = {
            let _entered = open.span.enter();
            Pin::new(body).poll_frame(cx)
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Buf::remaining);
                open.answer.written += length as u64;
            }
            Poll::Ready(Some(Err(error))) => {
                open.end(Outcome::Failed(error));
                *watch = None;
            }
            Poll::Ready(None) => {
                open.end(Outcome::Complete);
                *watch = None;
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ends its observation exactly once, at the latest when it is dropped.
#[derive(Debug)]
struct Watch<O: Observation> {
    observation: Option<O>,
    span: Span,
    answer: Answer,
    /// The bytes after which hyper does not ask for more.
    promised: Option<u64>,
}

impl<O: Observation> Watch<O> {
    fn new(observation: O) -> Self {
        Self {
            span: observation.span(),
            observation: Some(observation),
            answer: Answer::default(),
            promised: None,
        }
    }

    fn head<B: Body>(&mut self, response: &Response<B>, is_head: bool) {
        self.answer.status = Some(response.status());
        self.answer.content_type = response.headers().get(header::CONTENT_TYPE).cloned();
        self.answer.user = response.extensions().get::<User>().cloned();
        let bodiless = is_head
            || response.status() == StatusCode::NO_CONTENT
            || response.status() == StatusCode::NOT_MODIFIED;
        self.promised = if bodiless {
            Some(0)
        } else {
            response
                .body()
                .size_hint()
                .exact()
                .or_else(|| content_length(response.headers()))
        };
    }

    fn end(&mut self, outcome: Outcome<'_>) {
        if let Some(mut observation) = self.observation.take() {
            let _entered = self.span.enter();
            observation.end(&self.answer, outcome);
        }
    }
}

impl<O: Observation> Drop for Watch<O> {
    fn drop(&mut self) {
        let kept = self
            .promised
            .is_some_and(|length| self.answer.written >= length);
        if kept {
            self.end(Outcome::Complete);
        } else if std::thread::panicking() {
            self.end(Outcome::Failed(&"panicked"));
        } else {
            self.end(Outcome::Gone);
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    let length = headers.get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}
