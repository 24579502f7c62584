//! The streams of HTTP/2 connections: a task each, which ends when its client takes nothing of the
//! answer.
//!
//! A connection that stands still is ended by its socket. A stream may stand still beside others
//! that do not: its client keeps its window shut. Then the stream alone is reset.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::sleep;

tokio::task_local! {
    static TAKING: Taking;
}

/// Runs streams, and ends those that are stalled by their client for at least `limit` and at most
/// twice as long.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    limit: Duration,
}

impl Streams {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let limit = self.limit;
        let taking = Taking::default();
        let stream = TAKING.scope(taking.clone(), stream);
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stream => {}
                () = taking.stalled(limit) => {
                    tracing::debug!("a stream is reset: its client takes nothing of the answer");
                }
            }
        });
    }
}

/// What the body of an answer and the task of its stream know of each other.
#[derive(Clone, Debug, Default)]
struct Taking(Arc<Progress>);

#[derive(Debug, Default)]
struct Progress {
    /// How many frames of the body were handed to the stream.
    frames: AtomicU64,
    /// Whether the last of them waits for its client; else the stream waits for the body.
    is_waiting: AtomicBool,
}

impl Taking {
    /// Ends when one frame waits for too long.
    async fn stalled(self, limit: Duration) {
        let mut seen = None;
        loop {
            sleep(limit).await;
            let waiting = self.0.is_waiting.load(Relaxed);
            let now = waiting.then(|| self.0.frames.load(Relaxed));
            if now.is_some() && now == seen {
                return;
            }
            seen = now;
        }
    }
}

/// The stream of this task, if it is one, asks for the next frame of its answer.
pub(super) fn asks_for_frame() {
    let _outside = TAKING.try_with(|taking| taking.0.is_waiting.store(false, Relaxed));
}

/// It has got one.
pub(super) fn got_frame() {
    let _outside = TAKING.try_with(|taking| {
        taking.0.frames.fetch_add(1, Relaxed);
        taking.0.is_waiting.store(true, Relaxed);
    });
}
