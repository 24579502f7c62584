//! A stage as it is written, in the store.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::SystemTime;

use bytes::Bytes;
use roadstead_oci::{Digest, RepositoryName};
use roadstead_storage::{DriverExt, Key};
use serde::{Deserialize, Serialize};

use super::mark::{Marking, Reading};
use super::marks::{Contents, Eligible, EligibleManifest, Marks};
use super::stage::{Stage, Step};
use super::{CollectOptions, Summary};
use crate::Error;
use crate::registry::Registry;

/// Where it is kept between two calls, beside the registry's own tree.
const PLACE: &str = "roadstead/garbage-collection.json";

/// A billion bytes are the marks of ten million digests.
const MOST: u64 = 1_000_000_000;

/// Another version of the form begins anew.
const VERSION: u32 = 2;

impl Stage {
    /// The stage that an earlier call with the same options has left.
    pub(super) async fn kept(
        registry: &Registry,
        options: CollectOptions,
    ) -> Result<Option<Self>, Error> {
        let driver = &registry.parts().driver;
        let Some(kept) = driver.try_get(&Key::new(PLACE)?, MOST).await? else {
            return Ok(None);
        };
        let kept: Option<Kept> = serde_json::from_slice(&kept).ok();
        let kept = kept.filter(|kept| kept.is_of(options));
        Ok(kept.and_then(Kept::stage))
    }

    pub(super) async fn keep(
        &self,
        registry: &Registry,
        options: CollectOptions,
    ) -> Result<(), Error> {
        let kept = Kept::of(self, options);
        let kept = serde_json::to_vec(&kept).map_err(|error| Error::Unavailable(error.into()))?;
        let driver = &registry.parts().driver;
        Ok(driver.put(&Key::new(PLACE)?, Bytes::from(kept)).await?)
    }

    pub(super) async fn forget(registry: &Registry) -> Result<(), Error> {
        let driver = &registry.parts().driver;
        driver.try_delete(&Key::new(PLACE)?).await?;
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    dry_run: bool,
    delete_untagged: bool,
    cutoff: SystemTime,
    step: KeptStep,
    marked: HashSet<Digest>,
    kept: HashSet<Digest>,
    eligible: BTreeMap<String, KeptEligible>,
    seen: BTreeMap<String, HashSet<Digest>>,
    unmarked: VecDeque<Digest>,
    /// Marked digests, blobs and manifests.
    summary: (usize, usize, usize),
}

#[derive(Serialize, Deserialize)]
enum KeptStep {
    Mark {
        after: Option<String>,
        reading: Option<(String, HashMap<Digest, Option<Contents>>)>,
    },
    List(Option<Digest>),
    TakeOut,
    LookAgain(Option<String>),
    Delete,
}

#[derive(Serialize, Deserialize)]
struct KeptEligible {
    manifests: Vec<KeptManifest>,
    links: Vec<Digest>,
}

#[derive(Serialize, Deserialize)]
struct KeptManifest {
    digest: Digest,
    contents: Contents,
    tags: Vec<String>,
}

impl Kept {
    fn of(stage: &Stage, options: CollectOptions) -> Self {
        let Stage { marks, summary, .. } = stage;
        let eligible = marks.eligible.iter();
        let seen = marks.seen.iter();
        Self {
            version: VERSION,
            dry_run: options.dry_run,
            delete_untagged: options.delete_untagged,
            cutoff: stage.cutoff,
            step: KeptStep::of(&stage.step),
            marked: marks.marked.clone(),
            kept: marks.kept.clone(),
            eligible: eligible
                .map(|(of, eligible)| (of.to_string(), KeptEligible::of(eligible)))
                .collect(),
            seen: seen
                .map(|(of, digests)| (of.to_string(), digests.clone()))
                .collect(),
            unmarked: stage.unmarked.clone(),
            summary: (summary.marked, summary.blobs, summary.manifests),
        }
    }

    fn is_of(&self, options: CollectOptions) -> bool {
        let of = (self.dry_run, self.delete_untagged);
        self.version == VERSION && of == (options.dry_run, options.delete_untagged)
    }

    /// Nothing for what is damaged.
    fn stage(self) -> Option<Stage> {
        let eligible = self.eligible.into_iter();
        let seen = self.seen.into_iter();
        let marks = Marks {
            marked: self.marked,
            kept: self.kept,
            eligible: eligible
                .map(|(of, eligible)| Some((of.parse().ok()?, eligible.eligible()?)))
                .collect::<Option<_>>()?,
            seen: seen
                .map(|(of, digests)| Some((of.parse().ok()?, digests)))
                .collect::<Option<_>>()?,
        };
        let (marked, blobs, manifests) = self.summary;
        Some(Stage {
            cutoff: self.cutoff,
            marks,
            unmarked: self.unmarked,
            summary: Summary {
                marked,
                blobs,
                manifests,
            },
            step: self.step.step()?,
            links: Vec::new(),
        })
    }
}

impl KeptStep {
    fn of(step: &Step) -> Self {
        let text = |name: &Option<RepositoryName>| name.as_ref().map(RepositoryName::to_string);
        match step {
            Step::Mark(marking) => Self::Mark {
                after: text(&marking.after),
                reading: marking
                    .reading
                    .as_ref()
                    .map(|reading| (reading.repository.to_string(), reading.manifests.clone())),
            },
            Step::List(after) => Self::List(after.clone()),
            Step::TakeOut => Self::TakeOut,
            Step::LookAgain(after) => Self::LookAgain(text(after)),
            Step::Delete => Self::Delete,
        }
    }

    fn step(self) -> Option<Step> {
        let name = |text: Option<String>| match text {
            Some(text) => text.parse().ok().map(Some),
            None => Some(None),
        };
        Some(match self {
            Self::Mark { after, reading } => Step::Mark(Marking {
                after: name(after)?,
                reading: match reading {
                    None => None,
                    Some((repository, manifests)) => Some(Reading {
                        repository: repository.parse().ok()?,
                        manifests,
                    }),
                },
            }),
            Self::List(after) => Step::List(after),
            Self::TakeOut => Step::TakeOut,
            Self::LookAgain(after) => Step::LookAgain(name(after)?),
            Self::Delete => Step::Delete,
        })
    }
}

impl KeptEligible {
    fn of(eligible: &Eligible) -> Self {
        let manifests = eligible.manifests.iter().map(|manifest| KeptManifest {
            digest: manifest.digest.clone(),
            contents: manifest.contents.clone(),
            tags: manifest.tags.iter().map(ToString::to_string).collect(),
        });
        Self {
            manifests: manifests.collect(),
            links: eligible.links.clone(),
        }
    }

    fn eligible(self) -> Option<Eligible> {
        let manifests = self.manifests.into_iter().map(|manifest| {
            let tags = manifest.tags.iter().map(|tag| tag.parse().ok());
            Some(EligibleManifest {
                digest: manifest.digest,
                tags: tags.collect::<Option<_>>()?,
                contents: manifest.contents,
            })
        });
        Some(Eligible {
            manifests: manifests.collect::<Option<_>>()?,
            links: self.links,
        })
    }
}
