//! Black-box tests of Roadstead: what they share.
