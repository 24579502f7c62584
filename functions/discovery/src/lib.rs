//! The route group discovery: a router and its handlers.
