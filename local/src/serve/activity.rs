//! Whether a connection does something, or only keeps a place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Stands for "no head of a request is being read".
const NONE: u64 = u64::MAX;

/// What one connection does: its requests in progress, the head it waits for, its last sign of life.
///
/// Hyper's own timer starts when it begins to wait for a head, and so cuts idle connections as
/// soon as stalled ones. This one tells the two apart.
pub(super) struct Activity {
    opened: Instant,
    requests: AtomicUsize,
    /// Milliseconds from `opened` to the first byte of an unfinished head, or [`NONE`].
    head_since: AtomicU64,
    /// Milliseconds from `opened` to the last end of a request or write.
    quiet_since: AtomicU64,
    /// Whether bytes that arrive between requests begin a head; in HTTP/2 they may be pings.
    heads_are_timed: AtomicBool,
}

impl Activity {
    /// A connection that was opened just now and owes its first head.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            requests: AtomicUsize::new(0),
            head_since: AtomicU64::new(0),
            quiet_since: AtomicU64::new(0),
            heads_are_timed: AtomicBool::new(true),
        })
    }

    /// From now on the connection multiplexes: only its idleness is timed.
    pub(super) fn multiplexes(&self) {
        self.heads_are_timed.store(false, Relaxed);
        self.head_since.store(NONE, Relaxed);
        self.quiet_since.store(self.now(), Relaxed);
    }

    /// Bytes came in.
    pub(super) fn read(&self) {
        let begins_head = self.requests.load(Relaxed) == 0
            && self.head_since.load(Relaxed) == NONE
            && self.heads_are_timed.load(Relaxed);
        if begins_head {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// Bytes went out.
    pub(super) fn wrote(&self) {
        if self.requests.load(Relaxed) == 0 {
            self.quiet_since.store(self.now(), Relaxed);
        }
    }

    /// A head is complete; the request lasts as long as the guard.
    pub(super) fn begin(self: &Arc<Self>) -> InProgress {
        self.requests.fetch_add(1, Relaxed);
        self.head_since.store(NONE, Relaxed);
        InProgress(self.clone())
    }

    /// Ends when a head takes longer than `head`, or no request comes for `idle`.
    pub(super) async fn expired(self: Arc<Self>, head: Duration, idle: Duration) {
        loop {
            let now = Instant::now();
            let deadline = self.deadline(now, head, idle);
            if deadline <= now {
                return;
            }
            // A head may begin while this sleeps, and its time is up no sooner than `head` later.
            sleep_until(deadline.min(now + head)).await;
        }
    }

    fn deadline(&self, now: Instant, head: Duration, idle: Duration) -> Instant {
        if self.requests.load(Relaxed) > 0 {
            return now + head;
        }
        match self.head_since.load(Relaxed) {
            NONE => self.instant(self.quiet_since.load(Relaxed)) + idle,
            since => self.instant(since) + head,
        }
    }

    fn now(&self) -> u64 {
        self.opened.elapsed().as_millis() as u64
    }

    fn instant(&self, millis: u64) -> Instant {
        self.opened + Duration::from_millis(millis)
    }
}

/// A request in progress, until its answer is on its way.
pub(super) struct InProgress(Arc<Activity>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.quiet_since.store(self.0.now(), Relaxed);
        self.0.requests.fetch_sub(1, Relaxed);
    }
}
