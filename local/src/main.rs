//! The server binary `roadstead`.

fn main() {}
