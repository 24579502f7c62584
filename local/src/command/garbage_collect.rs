//! `roadstead garbage-collect`, with the words of Distribution's command.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use roadstead_compose as compose;
use roadstead_configuration::middleware::Middleware;
use roadstead_registry::{CollectOptions, Finding};

use super::{ConfigurationPath, Failure, ended};
use crate::runtime;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration of the registry; without it the one in REGISTRY_CONFIGURATION_PATH, and
    /// without that the built-in default.
    #[arg(value_name = "CONFIG")]
    path: Option<PathBuf>,
    /// Only print what would be deleted.
    #[arg(short, long)]
    dry_run: bool,
    /// Also delete manifests that no tag points to.
    #[arg(short = 'm', long)]
    delete_untagged: bool,
    /// Print nothing.
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    ended(collect(arguments))
}

fn collect(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let path = arguments.path.clone();
    let mut loaded = ConfigurationPath { path }.load()?;
    // What stands in front is for clients; its keys need not be where the collection runs.
    loaded.configuration.middleware = Middleware::default();
    let configuration = &loaded.configuration;
    super::serve::log(configuration)?;
    let registry = compose::registry(configuration)?;
    let options = CollectOptions {
        dry_run: arguments.dry_run,
        delete_untagged: arguments.delete_untagged,
        grace: configuration.storage.maintenance.garbagecollect.graceage,
    };
    let mut printer = Printer::new(arguments.quiet);
    let runtime = runtime().map_err(anyhow::Error::from)?;
    let collected = runtime.block_on(async {
        registry
            .collect_garbage(options, &mut |finding| printer.print(finding))
            .await
    });
    let printed = printer.finish();
    collected.context("failed to garbage collect")?;
    printed.context("failed to print")?;
    Ok(ExitCode::SUCCESS)
}

/// Prints findings as Distribution does. A broken pipe does not stop the collection.
struct Printer {
    out: BufWriter<io::Stdout>,
    quiet: bool,
    failed: Option<io::Error>,
}

impl Printer {
    fn new(quiet: bool) -> Self {
        Self {
            out: BufWriter::new(io::stdout()),
            quiet,
            failed: None,
        }
    }

    fn print(&mut self, finding: Finding) {
        match &finding {
            Finding::BlobDeleted(digest, location) => {
                tracing::info!(blob.digest = %digest, "Deleting blob: /{location}");
            }
            Finding::Unreadable(repository, digest) => {
                tracing::error!(repository.name = %repository, manifest.digest = %digest, "a manifest cannot be read: everything in its repository is kept");
            }
            _ => {}
        }
        if !self.quiet
            && let Err(error) = self.write(&finding)
        {
            self.failed = Some(error);
        }
    }

    fn write(&mut self, finding: &Finding) -> io::Result<()> {
        let out = &mut self.out;
        match finding {
            Finding::Repository(name) => writeln!(out, "{name}"),
            Finding::ManifestMarked(name, digest) => {
                writeln!(out, "{name}: marking manifest {digest} ")
            }
            Finding::BlobMarked(name, digest) => writeln!(out, "{name}: marking blob {digest}"),
            Finding::ManifestEligible(name, digest, tags) => {
                let tags: Vec<&str> = tags.iter().map(|tag| tag.as_str()).collect();
                let tags = tags.join(" ");
                writeln!(
                    out,
                    "manifest eligible for deletion: {{{name} {digest} [{tags}]}}"
                )
            }
            Finding::Marked(summary) => writeln!(
                out,
                "\n{} blobs marked, {} blobs and {} manifests eligible for deletion",
                summary.marked, summary.blobs, summary.manifests
            ),
            Finding::BlobEligible(digest) => {
                writeln!(out, "blob eligible for deletion: {digest}")
            }
            Finding::LinkEligible(name, digest) => {
                writeln!(out, "{name}: layer link eligible for deletion: {digest}")
            }
            Finding::Unreadable(..) | Finding::BlobDeleted(..) => Ok(()),
        }
    }

    fn finish(mut self) -> io::Result<()> {
        self.out.flush()?;
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}
