//! The server binary `roadstead`: see `roadstead --help`.

use std::process::ExitCode;

use clap::Parser;
use roadstead::command::CommandLine;

fn main() -> ExitCode {
    CommandLine::parse().run()
}
