//! The server binary `roadstead`: see `roadstead --help`.

use std::process::ExitCode;

use clap::Parser;
use roadstead::command::CommandLine;
use roadstead::memory;

fn main() -> ExitCode {
    memory::configure();
    CommandLine::parse().run()
}
