//! The route group uploads: a router and its handlers.
