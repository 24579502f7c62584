//! Collecting a little at a time, for callers that are ended by a clock.
//!
//! What has been marked is kept in the store when the time is up, and the next call goes on from
//! there. To the second look of the sweep a collection of many calls is only one that took long:
//! what was pushed since the first call is young for all of them.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::Bytes;
use roadstead_oci::{Digest, RepositoryName, Tag};
use roadstead_storage::{DriverExt, Key};
use serde::{Deserialize, Serialize};

use super::mark::{Contents, EligibleManifest, Marks, mark};
use super::sweep::sweep;
use super::{CollectOptions, Finding, GoOn, Summary, cutoff};
use crate::Error;
use crate::registry::Registry;

/// Where marks are kept between two calls, beside the registry's own tree.
const PLACE: &str = "roadstead/garbage-collection.json";

/// A billion bytes are the marks of ten million digests.
const MOST: u64 = 1_000_000_000;

/// Another version of the form begins anew.
const VERSION: u32 = 1;

impl Registry {
    /// Does the work of [`Registry::collect_garbage`] as long as `go_on` says so, which is asked
    /// between steps; each call does one step at least. Nothing is returned when there is more to
    /// do: the next call, by whichever process, goes on.
    ///
    /// # Errors
    ///
    /// [`Error::Unavailable`] only; nothing that was done is lost.
    pub async fn collect_garbage_while(
        &self,
        options: CollectOptions,
        go_on: &(dyn Fn() -> bool + Sync),
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Option<Summary>, Error> {
        let _turn = self.collection_turn(options).await?;
        let mut stage = match Stage::kept(self, options).await? {
            Some(stage) => stage,
            None => Stage::first(options),
        };
        let summary = stage.go_on(self, options, go_on, report).await?;
        match summary {
            Some(_) => Stage::forget(self).await?,
            None => stage.keep(self, options).await?,
        }
        Ok(summary)
    }
}

/// How far a collection is.
struct Stage {
    cutoff: SystemTime,
    marks: Marks,
    marking: Marking,
}

enum Marking {
    After(Option<RepositoryName>),
    Done,
}

impl Stage {
    fn first(options: CollectOptions) -> Self {
        Self {
            cutoff: cutoff(options.grace),
            marks: Marks::default(),
            marking: Marking::After(None),
        }
    }

    async fn go_on(
        &mut self,
        registry: &Registry,
        options: CollectOptions,
        go_on: GoOn<'_>,
        report: &mut (dyn FnMut(Finding) + Send),
    ) -> Result<Option<Summary>, Error> {
        let Self { cutoff, marks, .. } = self;
        if let Marking::After(after) = &self.marking {
            let untagged = options.delete_untagged;
            let marking = mark(
                registry,
                marks,
                after.as_ref(),
                untagged,
                *cutoff,
                go_on,
                report,
            );
            self.marking = match marking.await? {
                Some(last) => Marking::After(Some(last)),
                None => Marking::Done,
            };
            if matches!(self.marking, Marking::After(_)) || !go_on() {
                return Ok(None);
            }
        }
        sweep(registry, marks, options.dry_run, *cutoff, go_on, report).await
    }

    /// The stage that an earlier call with the same options has left.
    async fn kept(registry: &Registry, options: CollectOptions) -> Result<Option<Self>, Error> {
        let kept = registry
            .parts()
            .driver
            .try_get(&Key::new(PLACE)?, MOST)
            .await?;
        let Some(kept) = kept else {
            return Ok(None);
        };
        let kept: Option<Kept> = serde_json::from_slice(&kept).ok();
        let is_ours = |kept: &Kept| {
            kept.version == VERSION && kept.delete_untagged == options.delete_untagged
        };
        Ok(kept.filter(is_ours).and_then(Kept::stage))
    }

    async fn keep(self, registry: &Registry, options: CollectOptions) -> Result<(), Error> {
        let kept = Kept::of(self, options);
        let kept = serde_json::to_vec(&kept).map_err(|error| Error::Unavailable(error.into()))?;
        let driver = &registry.parts().driver;
        Ok(driver.put(&Key::new(PLACE)?, Bytes::from(kept)).await?)
    }

    async fn forget(registry: &Registry) -> Result<(), Error> {
        registry
            .parts()
            .driver
            .try_delete(&Key::new(PLACE)?)
            .await?;
        Ok(())
    }
}

/// A stage as it is written.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    delete_untagged: bool,
    cutoff: SystemTime,
    after: Option<String>,
    is_marked: bool,
    marked: Vec<String>,
    kept: Vec<String>,
    manifests: Vec<KeptManifest>,
    links: Vec<(String, String)>,
    seen: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize, Deserialize)]
struct KeptManifest {
    repository: String,
    digest: String,
    parts: Vec<String>,
    subject: Option<String>,
    refers_to: Option<String>,
    tags: Vec<String>,
}

impl Kept {
    fn of(stage: Stage, options: CollectOptions) -> Self {
        let Stage {
            cutoff,
            marks,
            marking,
        } = stage;
        let (after, is_marked) = match marking {
            Marking::After(after) => (after.map(|name| name.to_string()), false),
            Marking::Done => (None, true),
        };
        let links = marks.links.iter();
        let seen = marks.seen.iter();
        Self {
            version: VERSION,
            delete_untagged: options.delete_untagged,
            cutoff,
            after,
            is_marked,
            marked: texts(&marks.marked),
            kept: texts(&marks.kept),
            manifests: marks.manifests.iter().map(KeptManifest::of).collect(),
            links: links
                .map(|(of, digest)| (of.to_string(), digest.to_string()))
                .collect(),
            seen: seen
                .map(|(of, digests)| (of.to_string(), texts(digests)))
                .collect(),
        }
    }

    /// Nothing for what is damaged.
    fn stage(self) -> Option<Stage> {
        let manifests = self.manifests.iter().map(KeptManifest::manifest);
        let links = self.links.iter();
        let seen = self.seen.iter();
        let marks = Marks {
            marked: parsed(&self.marked)?,
            kept: parsed(&self.kept)?,
            manifests: manifests.collect::<Option<_>>()?,
            links: links
                .map(|(of, digest)| Some((of.parse().ok()?, digest.parse().ok()?)))
                .collect::<Option<_>>()?,
            seen: seen
                .map(|(of, digests)| Some((of.parse().ok()?, parsed(digests)?)))
                .collect::<Option<_>>()?,
        };
        let marking = match (self.is_marked, self.after) {
            (true, _) => Marking::Done,
            (false, None) => Marking::After(None),
            (false, Some(after)) => Marking::After(Some(after.parse().ok()?)),
        };
        Some(Stage {
            cutoff: self.cutoff,
            marks,
            marking,
        })
    }
}

impl KeptManifest {
    fn of(manifest: &EligibleManifest) -> Self {
        let contents = &manifest.contents;
        Self {
            repository: manifest.repository.to_string(),
            digest: manifest.digest.to_string(),
            parts: texts(&contents.parts),
            subject: contents.subject.as_ref().map(Digest::to_string),
            refers_to: contents.refers_to.as_ref().map(Digest::to_string),
            tags: manifest.tags.iter().map(Tag::to_string).collect(),
        }
    }

    fn manifest(&self) -> Option<EligibleManifest> {
        let digest = |text: &Option<String>| match text {
            Some(text) => text.parse().ok().map(Some),
            None => Some(None),
        };
        Some(EligibleManifest {
            repository: self.repository.parse().ok()?,
            digest: self.digest.parse().ok()?,
            contents: Contents {
                parts: parsed(&self.parts)?,
                subject: digest(&self.subject)?,
                refers_to: digest(&self.refers_to)?,
            },
            tags: self
                .tags
                .iter()
                .map(|tag| tag.parse().ok())
                .collect::<Option<_>>()?,
        })
    }
}

fn texts<'a>(digests: impl IntoIterator<Item = &'a Digest>) -> Vec<String> {
    digests.into_iter().map(Digest::to_string).collect()
}

fn parsed<C: FromIterator<Digest>>(texts: &[String]) -> Option<C> {
    texts.iter().map(|text| text.parse().ok()).collect()
}
