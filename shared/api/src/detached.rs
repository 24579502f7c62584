//! Work that goes on when the client goes away.

use std::future::Future;

use roadstead_oci::ErrorCode;
use tracing::Instrument;

use crate::error::Error;

/// Runs `work` to its end even when the request is dropped meanwhile, and returns what it
/// returns: a change that was begun is never left half done because a client hung up.
///
/// # Errors
///
/// Those of `work`; `UNKNOWN` when it panicked.
pub async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let work = tokio::spawn(work.in_current_span());
    let done = work.await;
    done.unwrap_or_else(|_| Err(Error::new(ErrorCode::Unknown, serde_json::Value::Null)))
}
