//! `roadstead metadata`: the store of metadata beside the storage.

mod printer;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use roadstead_compose as compose;
use roadstead_configuration::Configuration;
use roadstead_migration::{Options, Stores, Summary};

use super::{ConfigurationPath, Failure, ended};
use crate::runtime;
use printer::Printer;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create the DynamoDB table that the configuration names; done again, nothing happens.
    CreateTable(ConfigurationPath),
    /// Fill the configured store of metadata from Distribution's layout in the same storage; no
    /// blob is copied.
    Import(Arguments),
    /// Write Distribution's layout from the configured store of metadata; blobs are moved to
    /// their places in it.
    Export(Arguments),
}

/// Nothing else may write to the registry meanwhile, nor collect garbage. What was done when the
/// command is stopped is not done again by the next one.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    configuration: ConfigurationPath,
    /// Also move tags that point elsewhere, and remove what only the target has.
    #[arg(long)]
    mirror: bool,
    /// Print nothing but the sum.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy)]
enum Way {
    Import,
    Export,
}

pub(super) fn run(command: &Command) -> ExitCode {
    ended(match command {
        Command::CreateTable(configuration) => create_table(configuration),
        Command::Import(arguments) => migrate(arguments, Way::Import),
        Command::Export(arguments) => migrate(arguments, Way::Export),
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

fn migrate(arguments: &Arguments, way: Way) -> Result<ExitCode, Failure> {
    let loaded = arguments.configuration.load()?;
    super::serve::log(&loaded.configuration)?;
    let mut printer = Printer::new(arguments.quiet);
    let options = Options {
        mirror: arguments.mirror,
    };
    let runtime = runtime().map_err(anyhow::Error::from)?;
    let moved = runtime.block_on(moved(&loaded.configuration, options, way, &mut printer));
    let printed = match &moved {
        Ok(summary) => printer.finish(summary),
        Err(_) => printer.flush(),
    };
    moved.context("stopped before the end; the same command goes on from there")?;
    printed.context("failed to print")?;
    Ok(ExitCode::SUCCESS)
}

async fn moved(
    configuration: &Configuration,
    options: Options,
    way: Way,
    printer: &mut Printer,
) -> anyhow::Result<Summary> {
    let stores = compose::metadata_stores(configuration)?;
    let (source, target) = match way {
        Way::Import => (&*stores.layout, &*stores.configured),
        Way::Export => (&*stores.configured, &*stores.layout),
    };
    let driver = &*stores.driver;
    let stores = Stores {
        source,
        target,
        driver,
    };
    let report = &mut |finding| printer.print(&finding);
    Ok(match way {
        Way::Import => roadstead_migration::import(stores, options, report).await?,
        Way::Export => roadstead_migration::export(stores, options, report).await?,
    })
}
