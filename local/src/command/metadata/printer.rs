//! What a migration finds, as lines.

use std::io::{self, LineWriter, Write};

use roadstead_migration::{Finding, Part, Summary};

/// Prints findings as they come. A broken pipe does not stop the migration.
pub(super) struct Printer {
    out: LineWriter<io::Stdout>,
    quiet: bool,
    failed: Option<io::Error>,
}

impl Printer {
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            out: LineWriter::new(io::stdout()),
            quiet,
            failed: None,
        }
    }

    pub(super) fn print(&mut self, finding: &Finding) {
        if !self.quiet
            && let Err(error) = self.write(finding)
        {
            self.failed = Some(error);
        }
    }

    fn write(&mut self, finding: &Finding) -> io::Result<()> {
        let out = &mut self.out;
        match finding {
            Finding::Blobs(count) => writeln!(out, "{count} blobs"),
            Finding::Repository(name, summary) => writeln!(
                out,
                "{name}: {} manifests ({} new), {} tags ({} new), {} blobs ({} new)",
                summary.manifests,
                summary.manifests_added,
                summary.tags,
                summary.tags_added,
                summary.links,
                summary.links_added,
            ),
            Finding::BlobMissing(digest) => {
                writeln!(out, "left out: the content of {digest} is not there")
            }
            Finding::ManifestUnreadable(name, digest) => {
                writeln!(out, "left out: {name}@{digest} cannot be read")
            }
            Finding::TagDangling(name, tag) => {
                writeln!(out, "left out: {name}:{tag} points to no manifest")
            }
            Finding::Kept(name, part) => {
                writeln!(out, "differs, kept: {name} {}", shown(part))
            }
            Finding::Removed(name, part) => writeln!(out, "removed: {name} {}", shown(part)),
            _ => Ok(()),
        }
    }

    /// The last lines.
    pub(super) fn finish(mut self, summary: &Summary) -> io::Result<()> {
        let out = &mut self.out;
        writeln!(
            out,
            "{} blobs ({} new), {} repositories, {} manifests ({} new), {} tags ({} new)",
            summary.contents,
            summary.contents_added,
            summary.repositories,
            summary.manifests,
            summary.manifests_added,
            summary.tags,
            summary.tags_added,
        )?;
        if summary.left_out > 0 {
            writeln!(out, "{} left out", summary.left_out)?;
        }
        if summary.kept > 0 {
            let kept = summary.kept;
            writeln!(out, "{kept} differences kept; --mirror removes them")?;
        }
        if summary.removed > 0 {
            writeln!(out, "{} removed", summary.removed)?;
        }
        self.flush()
    }

    pub(super) fn flush(mut self) -> io::Result<()> {
        self.out.flush()?;
        self.failed.map_or(Ok(()), Err)
    }
}

fn shown(part: &Part) -> String {
    match part {
        Part::Tag(tag) => format!("tag {tag}"),
        Part::Manifest(digest) => format!("manifest {digest}"),
        Part::Blob(digest) => format!("blob {digest}"),
    }
}
