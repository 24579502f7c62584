//! `roadstead config`: looking at a configuration.
#![expect(
    clippy::print_stdout,
    reason = "what these commands print is what they are for"
)]

use std::process::ExitCode;

use clap::Subcommand;
use roadstead_configuration::{Configuration, Severity, from_process};

use super::{ConfigurationPath, FAILED, Failure, ended};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Say everything that is wrong with a configuration.
    Check(ConfigurationPath),
    /// Show the configuration as it takes effect, each value with where it is from.
    Show(ConfigurationPath),
}

pub(super) fn run(command: Command) -> ExitCode {
    ended(match command {
        Command::Check(configuration) => check(&configuration),
        Command::Show(configuration) => show(&configuration),
    })
}

fn check(configuration: &ConfigurationPath) -> Result<ExitCode, Failure> {
    let problems = Configuration::check(&configuration.source()?, from_process());
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    for problem in &problems {
        let severity = match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        println!("{severity}: {problem}");
    }
    let warnings = problems.len() - errors;
    println!(
        "{} and {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    Ok(match errors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(FAILED),
    })
}

fn show(configuration: &ConfigurationPath) -> Result<ExitCode, Failure> {
    print!("{}", configuration.load()?.show());
    Ok(ExitCode::SUCCESS)
}

fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}
