//! The vocabulary of the OCI distribution specification: names, digests, media types, manifests, error codes. No I/O.
