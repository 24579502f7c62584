//! `roadstead metadata`: the store of metadata beside the storage.

use std::process::ExitCode;

use clap::Subcommand;
use roadstead_compose as compose;

use super::{ConfigurationPath, Failure, ended};
use crate::runtime;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create the DynamoDB table that the configuration names; done again, nothing happens.
    CreateTable(ConfigurationPath),
}

pub(super) fn run(command: &Command) -> ExitCode {
    ended(match command {
        Command::CreateTable(configuration) => create_table(configuration),
    })
}

#[expect(clippy::print_stdout, reason = "this is the output of the command")]
fn create_table(configuration: &ConfigurationPath) -> Result<ExitCode, Failure> {
    let loaded = configuration.load()?;
    super::serve::log(&loaded.configuration)?;
    let runtime = runtime().map_err(anyhow::Error::from)?;
    let (table, is_new) = runtime.block_on(compose::create_table(&loaded.configuration))?;
    match is_new {
        true => println!("created the table {table}"),
        false => println!("the table {table} was there"),
    }
    Ok(ExitCode::SUCCESS)
}
