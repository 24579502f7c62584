//! How far a collection is, step by step.

use std::collections::VecDeque;
use std::time::SystemTime;

use roadstead_oci::{Digest, RepositoryName};

use super::mark::{Marking, mark};
use super::marks::{Eligible, Marks};
use super::sweep::{delete_unmarked, list_unmarked, look_at_all, take_out};
use super::{CollectOptions, Finding, GoOn, Summary, cutoff};
use crate::Error;
use crate::registry::Registry;

/// Blobs without a place for repositories are a store that is not whole, as when a volume is not mounted;
/// not one in which everything is garbage.
const NO_PLACE: &str = "there are blobs, but no folder \"repositories\" beside them: nothing is deleted; \
                        if that is how it should be, create the folder";

/// Where a collection is. Whoever has an earlier one goes on from there: what was done since is
/// done again, and comes to the same.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) cutoff: SystemTime,
    pub(super) marks: Marks,
    /// Blobs to delete, unless they turn out to be needed.
    pub(super) unmarked: VecDeque<Digest>,
    /// Figures, once all is marked and listed.
    pub(super) summary: Summary,
    pub(super) step: Step,
    /// Links that were to be taken out, as far as this process knows.
    pub(super) links: Vec<(RepositoryName, Digest)>,
}

/// What is to be done next, and up to where it has been.
#[derive(Debug)]
pub(super) enum Step {
    /// Marks what manifests reference.
    Mark(Marking),
    /// Lists blobs that nothing has marked, after this one.
    List(Option<Digest>),
    /// Takes manifests and links out of repositories.
    TakeOut,
    /// Looks at all repositories once more, after this one.
    LookAgain(Option<RepositoryName>),
    /// Deletes bytes.
    Delete,
}

/// What each step needs.
pub(super) struct Run<'a> {
    pub(super) registry: &'a Registry,
    pub(super) options: CollectOptions,
    pub(super) cutoff: SystemTime,
    pub(super) go_on: GoOn<'a>,
    pub(super) report: &'a mut (dyn FnMut(Finding) + Send),
}

impl Stage {
    pub(super) fn first(options: CollectOptions) -> Self {
        Self {
            cutoff: cutoff(options.grace),
            marks: Marks::default(),
            unmarked: VecDeque::new(),
            summary: Summary::default(),
            step: Step::Mark(Marking::default()),
            links: Vec::new(),
        }
    }

    /// Goes on with one step as long as there is time, and gives the figures after the last one.
    pub(super) async fn go_on(
        &mut self,
        registry: &Registry,
        options: CollectOptions,
        go_on: GoOn<'_>,
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Option<Summary>, Error> {
        let mut run = Run {
            registry,
            options,
            cutoff: self.cutoff,
            go_on,
            report,
        };
        let (marks, unmarked) = (&mut self.marks, &mut self.unmarked);
        let is_done = match &mut self.step {
            Step::Mark(marking) => mark(&mut run, marks, marking).await?,
            Step::List(after) => list_unmarked(&mut run, marks, unmarked, after).await?,
            Step::TakeOut => take_out(&mut run, marks).await?,
            Step::LookAgain(after) => look_at_all(&mut run, marks, after).await?,
            Step::Delete => delete_unmarked(&mut run, marks, unmarked).await?,
        };
        match is_done {
            true => self.next(run).await,
            false => Ok(None),
        }
    }

    async fn next(&mut self, run: Run<'_>) -> Result<Option<Summary>, Error> {
        self.step = match self.step {
            Step::Mark(_) => Step::List(None),
            Step::List(_) => {
                self.check_place(run.registry).await?;
                self.sum_up();
                match run.options.dry_run {
                    true => self.deletion(run),
                    false => Step::TakeOut,
                }
            }
            Step::TakeOut => Step::LookAgain(None),
            Step::LookAgain(_) => self.deletion(run),
            Step::Delete => {
                for (repository, digest) in std::mem::take(&mut self.links) {
                    (run.report)(Finding::LinkEligible(repository, digest));
                }
                return Ok(Some(self.summary));
            }
        };
        Ok(None)
    }

    async fn check_place(&self, registry: &Registry) -> Result<(), Error> {
        let is_bare = self.marks.seen.is_empty() && !self.unmarked.is_empty();
        if is_bare && !registry.parts().metadata.has_place().await? {
            return Err(Error::Unavailable(NO_PLACE.into()));
        }
        Ok(())
    }

    fn sum_up(&mut self) {
        let marks = &self.marks;
        let manifests = |eligible: &Eligible| eligible.manifests.len();
        self.summary = Summary {
            marked: marks.marked.len(),
            blobs: self.unmarked.len(),
            manifests: marks.eligible.values().map(manifests).sum(),
        };
        let links = marks.eligible.iter().flat_map(|(repository, eligible)| {
            let links = eligible.links.iter();
            links.map(|digest| (repository.clone(), digest.clone()))
        });
        self.links = links.collect();
    }

    fn deletion(&self, run: Run<'_>) -> Step {
        (run.report)(Finding::Marked(self.summary));
        Step::Delete
    }
}
