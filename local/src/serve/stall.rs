//! Ending what does not move, however long what moves may take.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

/// How long one direction of a connection may stand still.
///
/// It costs nothing where bytes move: the timer only looks whether any have since it last did. So
/// what stands still ends after at least one and at most two times the limit.
pub(super) struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    has_moved: bool,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            has_moved: false,
        }
    }

    /// `moved` as it is, or an error when it has been pending for too long.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        moved: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.has_moved = true;
            return moved;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        while timer.as_mut().poll(cx).is_ready() {
            if !self.has_moved {
                return Poll::Ready(Err(stalled()));
            }
            self.has_moved = false;
            timer.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no byte moved for too long")
}

/// The body of a request, which fails when its client stops to send.
pub(super) struct Awaited<B> {
    body: B,
    patience: Patience,
}

impl<B> Awaited<B> {
    pub(super) fn new(body: B, limit: Duration) -> Self {
        let patience = Patience::new(limit);
        Self { body, patience }
    }
}

impl<B> Body for Awaited<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        match this.patience.poll(cx, frame.map(Ok)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(frame)) => {
                Poll::Ready(frame.map(|result| result.map_err(axum::Error::new)))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(axum::Error::new(error)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    fn chunk() -> Result<Bytes, io::Error> {
        Ok(Bytes::from("x"))
    }

    #[tokio::test]
    async fn a_body_that_moves_may_take_longer_than_the_limit() {
        let limit = Duration::from_secs(2);
        let slow = stream::iter(0..170).then(move |_| async move {
            sleep(limit / 80).await;
            chunk()
        });
        let body = Awaited::new(axum::body::Body::from_stream(Box::pin(slow)), limit);
        assert_eq!(body.collect().await.unwrap().to_bytes().len(), 170);
    }

    #[tokio::test]
    async fn a_body_that_stalls_ends_with_an_error() {
        let stalls = stream::iter([chunk()]).chain(stream::pending());
        let body = axum::body::Body::from_stream(stalls);
        let body = Awaited::new(body, Duration::from_millis(50));
        body.collect().await.unwrap_err();
    }
}
