//! Bodies of answers: how a part of a file gets onto a connection.

mod file;

use std::fmt;
use std::sync::Arc;

use axum::body::Body;
use roadstead_storage::FileRange;

use file::FileBody;

/// A request extension: the front's own, better way to send a part of a file over this
/// connection, for example `sendfile(2)` on HTTP/1.1 without TLS.
///
/// Absent, [`file_body`] is used.
#[derive(Clone)]
pub struct FileSender(Arc<dyn Fn(FileRange) -> Body + Send + Sync>);

impl FileSender {
    /// A sender that turns a file range into a body by `make`.
    pub fn new(make: impl Fn(FileRange) -> Body + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The body for `range`; it yields exactly `range.length` bytes or fails.
    pub fn body(&self, range: FileRange) -> Body {
        (self.0)(range)
    }
}

impl fmt::Debug for FileSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileSender")
    }
}

/// A body that reads `range` by itself, in bounded memory and without blocking the async threads.
///
/// It yields exactly `range.length` bytes or fails: a file that became shorter is an error, never
/// padding, so that the front cuts the connection.
pub fn file_body(range: FileRange) -> Body {
    Body::new(FileBody::new(range))
}
