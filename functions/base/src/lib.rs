//! The route group base: a router and its handlers.
