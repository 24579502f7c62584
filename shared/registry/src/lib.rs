//! The core: what a registry does, without HTTP and without a concrete back end.
