//! What holds for every text, every byte and every way to cut them.

mod digester;
mod grammar;
mod manifest;
