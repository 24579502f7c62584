//! The route group manifests: a router and its handlers.
