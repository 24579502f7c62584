//! What is left of a body when its request is refused.
//!
//! A client that is still sending when the connection ends tells its user of a reset and not of
//! the refusal: Go's does, and with it most that push. So the rest is taken before the answer is
//! given, some of it and for a while.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// The most bytes that are taken for nothing.
const MOST: u64 = 64 * 1024 * 1024;
/// The longest time that this takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Takes the rest of the request's body before an answer that is an error.
pub(crate) async fn drained(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let left = Left::default();
    let lent = Lent {
        body: Some(body.into_data_stream()),
        left: left.clone(),
    };
    let request = Request::from_parts(parts, Body::from_stream(lent));
    let response = next.run(request).await;
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    if is_error && let Some(body) = left.take() {
        // What does not come in time is not waited for.
        let _ = tokio::time::timeout(PATIENCE, drain(body)).await;
    }
    response
}

async fn drain(mut body: BodyDataStream) {
    let mut taken = 0;
    while let Some(Ok(bytes)) = body.next().await {
        taken += bytes.len() as u64;
        if taken >= MOST {
            break;
        }
    }
}

/// Where a body goes that was not read to its end.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<Option<BodyDataStream>>>);

impl Left {
    fn put(&self, body: Option<BodyDataStream>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
    }

    fn take(&self) -> Option<BodyDataStream> {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.take()
    }
}

/// A body that goes back to [`Left`] when its reader drops it.
struct Lent {
    body: Option<BodyDataStream>,
    left: Left,
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let next = body.poll_next_unpin(context);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        next
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.left.put(self.body.take());
    }
}
