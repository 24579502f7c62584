//! The route group blobs: a router and its handlers.
