//! Waiting on a condition, with a deadline.

use std::time::{Duration, Instant};

/// How long anything may take before a test calls it stuck. Generous: a busy machine is not a failure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Polls until the probe answers, and panics naming what never came.
///
/// # Panics
/// After [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "waited {PATIENCE:?} in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
