//! The commands of the binary.

mod access;
mod api_key;
mod config;
mod garbage_collect;
mod metadata;
mod serve;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use roadstead_configuration::{Configuration, Loaded, Source, configuration_path, from_process};

/// Exit code for a configuration, or a start, that fails; a wrong command line is clap's 2.
const FAILED: u8 = 1;

/// Roadstead, a container registry.
///
/// Serves the OCI distribution specification on the configuration and the storage of CNCF
/// Distribution. Without a command it serves; without a configuration, on a folder of this
/// machine, for this machine only.
#[derive(Debug, Parser)]
#[command(name = "roadstead", version, disable_version_flag = true)]
pub struct CommandLine {
    /// Print the version.
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: (),
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the registry.
    Serve(ConfigurationPath),
    /// Serve the bytes of uploads only: the upload server beside a registry of functions.
    ///
    /// Clients are sent here by the registry, which has the same configuration: its
    /// http.uploadorigin says where here is, and its http.secret is the same.
    Uploads(ConfigurationPath),
    /// Delete what no manifest references; safe while the registry is running.
    GarbageCollect(garbage_collect::Arguments),
    /// Serve tokens only: for registries elsewhere, by the tokenserver of the configuration.
    TokenServer(ConfigurationPath),
    /// Look at access rules.
    #[command(subcommand)]
    Access(access::Command),
    /// Make, list and revoke API keys: passwords for machines.
    #[command(subcommand)]
    ApiKey(api_key::Command),
    /// Look after the store of metadata.
    #[command(subcommand)]
    Metadata(metadata::Command),
    /// Look at a configuration.
    #[command(subcommand)]
    Config(config::Command),
}

#[derive(Args, Debug, Default)]
struct ConfigurationPath {
    /// The configuration, a YAML file; without it the one in REGISTRY_CONFIGURATION_PATH, and
    /// without that the built-in default.
    #[arg(value_name = "CONFIG")]
    path: Option<PathBuf>,
}

impl CommandLine {
    /// Runs the command to its end.
    pub fn run(self) -> ExitCode {
        match self
            .command
            .unwrap_or(Command::Serve(ConfigurationPath::default()))
        {
            Command::Serve(configuration) => serve::run(&configuration),
            Command::Uploads(configuration) => serve::run_uploads(&configuration),
            Command::GarbageCollect(arguments) => garbage_collect::run(&arguments),
            Command::TokenServer(configuration) => serve::run_token_server(&configuration),
            Command::Access(command) => access::run(command),
            Command::ApiKey(command) => api_key::run(command),
            Command::Metadata(command) => metadata::run(&command),
            Command::Config(command) => config::run(command),
        }
    }
}

impl ConfigurationPath {
    /// Where the configuration is read from.
    fn source(&self) -> Result<Source, Failure> {
        let variables = from_process();
        let path = self
            .path
            .as_deref()
            .or_else(|| configuration_path(&variables).map(Path::new));
        match path {
            None => Ok(Source::EmbeddedDefault),
            Some(path) => Source::read(path).map_err(|error| {
                Failure(format!("configuration error: {}: {error}", path.display()))
            }),
        }
    }

    fn load(&self) -> Result<Loaded, Failure> {
        let loaded = Configuration::load(&self.source()?, from_process());
        loaded.map_err(|problems| Failure(format!("configuration error:\n{problems}")))
    }
}

/// Why a command ends early, in words for the one who gave it.
struct Failure(String);

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

#[expect(
    clippy::print_stderr,
    reason = "this is where a command tells its user that it failed"
)]
fn ended(outcome: Result<ExitCode, Failure>) -> ExitCode {
    outcome.unwrap_or_else(|Failure(message)| {
        eprintln!("{message}");
        ExitCode::from(FAILED)
    })
}
