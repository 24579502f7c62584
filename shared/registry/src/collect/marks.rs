//! What is kept and what is to go.

use std::collections::{BTreeMap, HashMap, HashSet};

use roadstead_oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

/// What looks at repositories have found; all digests are canonical ones.
#[derive(Debug, Default)]
pub(super) struct Marks {
    /// What manifests reference, and the manifests themselves.
    pub(super) marked: HashSet<Digest>,
    /// What is kept because it, or a link to it, is young, or because a manifest cannot be read.
    pub(super) kept: HashSet<Digest>,
    /// What is to be taken out of repositories.
    pub(super) eligible: BTreeMap<RepositoryName, Eligible>,
    /// The manifests that were looked at.
    pub(super) seen: HashMap<RepositoryName, HashSet<Digest>>,
}

/// What is to be taken out of a repository.
#[derive(Clone, Debug, Default)]
pub(super) struct Eligible {
    pub(super) manifests: Vec<EligibleManifest>,
    pub(super) links: Vec<Digest>,
}

#[derive(Clone, Debug)]
pub(super) struct EligibleManifest {
    pub(super) digest: Digest,
    pub(super) contents: Contents,
    pub(super) tags: Vec<Tag>,
}

/// What a manifest leads to; also as it is kept between two calls.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Contents {
    /// What it is made of, by canonical digests as far as they are known here.
    pub(super) parts: Vec<Digest>,
    /// The subject as the manifest names it.
    pub(super) subject: Option<Digest>,
    /// The subject's canonical digest.
    pub(super) refers_to: Option<Digest>,
}

impl Marks {
    /// Whether content must stay.
    pub(super) fn keeps(&self, digest: &Digest) -> bool {
        self.marked.contains(digest) || self.kept.contains(digest)
    }

    /// Leaves nothing eligible, in whatever repository, that turned out to be needed.
    pub(super) fn spare_what_is_needed(&mut self) {
        let mut eligible = std::mem::take(&mut self.eligible);
        let mut is_spared = true;
        while is_spared {
            is_spared = false;
            for of_one in eligible.values_mut() {
                is_spared |= of_one.spare_what_is_needed(self);
            }
        }
        eligible.retain(|_, of_one| !of_one.is_empty());
        self.eligible = eligible;
    }
}

impl Eligible {
    /// A manifest that is marked for whatever reason is not deleted, nor is what refers to it;
    /// and what stays, stays whole. Whether there was one.
    pub(super) fn spare_what_is_needed(&mut self, marks: &mut Marks) -> bool {
        let mut spared = HashSet::new();
        loop {
            let eligible = std::mem::take(&mut self.manifests);
            let is_needed = |manifest: &EligibleManifest| {
                let subject = manifest.contents.refers_to.as_ref();
                marks.marked.contains(&manifest.digest)
                    || subject.is_some_and(|subject| spared.contains(subject))
            };
            let (needed, others): (Vec<_>, Vec<_>) = eligible.into_iter().partition(is_needed);
            self.manifests = others;
            if needed.is_empty() {
                break;
            }
            for manifest in needed {
                marks.marked.insert(manifest.digest.clone());
                marks.marked.extend(manifest.contents.parts);
                spared.insert(manifest.digest);
            }
        }
        self.links.retain(|digest| !marks.keeps(digest));
        !spared.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.links.is_empty()
    }
}
