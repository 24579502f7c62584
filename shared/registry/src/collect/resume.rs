//! Collecting a little at a time, for callers that are ended by a clock.
//!
//! How far a collection is, is kept in the store: when the time is up, now and then before that, and
//! before anything is taken out of a repository. The next call goes on from there, also when the one
//! before did not end by itself. To the second look of the sweep a collection of many calls is only
//! one that took long: what was pushed since the first call is young for all of them.

use std::time::Duration;

use tokio::time::Instant;

use super::lease::Lease;
use super::stage::{Stage, Step};
use super::{CollectOptions, Finding, GoOn, Summary};
use crate::Error;
use crate::registry::Registry;

/// How much work a call that is killed may lose, but for a step that takes longer.
const UNKEPT: Duration = Duration::from_secs(60);

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collected {
    /// Everything is collected.
    Finished(Summary),
    /// The time was up: there is more to do.
    Unfinished,
    /// Another process collects: nothing was done, or what was done the other goes on with.
    Elsewhere,
}

impl Registry {
    /// Does the work of [`Registry::collect_garbage`] as long as `go_on` says so, which is asked
    /// between steps; each call does one step at least. When there is more to do, the next call,
    /// by whichever process, goes on.
    ///
    /// Of two calls at once one does nothing. Where the back end has no locks, a lease in the
    /// store sees to that, as far as the store creates an object only if there is none.
    ///
    /// What a call that is killed has taken out of a repository, and a push relies on, the next call
    /// brings back; but not an untagged manifest, which an index needs that was pushed in that moment.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] only; at most a minute's work is done again.
    pub async fn collect_garbage_while(
        &self,
        options: CollectOptions,
        go_on: &(dyn Fn() -> bool + Sync),
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Collected, Error> {
        let turn = self.collection_turn(options).await?;
        let has_locks = matches!(turn, Some((_, Some(_))));
        if has_locks {
            return self.collect_kept(options, None, go_on, report).await;
        }
        let Some(mut lease) = Lease::take(&self.parts().driver).await? else {
            return Ok(Collected::Elsewhere);
        };
        let collected = self.collect_kept(options, Some(&mut lease), go_on, report);
        let collected = collected.await;
        lease.release().await;
        collected
    }

    /// Goes on from what is kept, and keeps how far it comes.
    async fn collect_kept(
        &self,
        options: CollectOptions,
        mut lease: Option<&mut Lease>,
        go_on: GoOn<'_>,
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Collected, Error> {
        let mut stage = match Stage::kept(self, options).await? {
            Some(stage) => stage,
            None => Stage::first(options),
        };
        let mut kept_at = Instant::now();
        loop {
            let is_time = || kept_at.elapsed() < UNKEPT && go_on();
            let summary = stage.go_on(self, options, &is_time, report).await?;
            if let Some(lease) = &mut lease
                && !lease.renew().await?
            {
                return Ok(Collected::Elsewhere);
            }
            if let Some(summary) = summary {
                Stage::forget(self).await?;
                return Ok(Collected::Finished(summary));
            }
            let is_over = !go_on();
            if is_over || kept_at.elapsed() >= UNKEPT || matches!(stage.step, Step::TakeOut) {
                stage.keep(self, options).await?;
                kept_at = Instant::now();
            }
            if is_over {
                return Ok(Collected::Unfinished);
            }
        }
    }
}
