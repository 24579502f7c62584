//! Garbage collection beside a model: any history, then all that must be there is, and no more.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use roadstead_oci::{Digest, Reference, RepositoryName};
use roadstead_registry::{Error, Registry};
use roadstead_storage::MemoryDriver;

use crate::kit::{
    body, collect, image, index, name, pull_blob, pull_manifest, push_blob, push_manifest,
    registry, sha256, sha512, stored_blobs,
};

/// One thing that a client, or an operator, does.
#[derive(Clone, Debug)]
enum Step {
    Image {
        repository: usize,
        blobs: Vec<u8>,
        how: How,
        subject: Option<Index>,
    },
    Index {
        repository: usize,
        children: Vec<Index>,
        how: How,
    },
    Tag {
        repository: usize,
        manifest: Index,
        tag: u8,
    },
    Untag {
        repository: usize,
        tag: u8,
    },
    Delete {
        repository: usize,
        manifest: Index,
    },
    StartUpload {
        repository: usize,
    },
    Blob {
        repository: usize,
        blob: u8,
    },
    Collect {
        delete_untagged: bool,
    },
}

/// How a manifest is pushed.
#[derive(Clone, Debug)]
struct How {
    tag: Option<u8>,
    sha512: bool,
    mount: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let repository = || 0..REPOSITORIES.len();
    let how = || {
        let tag = prop::option::of(0..3_u8);
        (tag, any::<bool>(), any::<bool>()).prop_map(|(tag, sha512, mount)| How {
            tag,
            sha512,
            mount,
        })
    };
    let manifest = any::<Index>;
    prop_oneof![
        4 => (repository(), prop::collection::vec(0..6_u8, 1..4), how(), prop::option::of(manifest()))
            .prop_map(|(repository, blobs, how, subject)| Step::Image { repository, blobs, how, subject }),
        3 => (repository(), prop::collection::vec(manifest(), 1..3), how())
            .prop_map(|(repository, children, how)| Step::Index { repository, children, how }),
        2 => (repository(), manifest(), 0..3_u8)
            .prop_map(|(repository, manifest, tag)| Step::Tag { repository, manifest, tag }),
        2 => (repository(), 0..3_u8).prop_map(|(repository, tag)| Step::Untag { repository, tag }),
        2 => (repository(), manifest()).prop_map(|(repository, manifest)| Step::Delete { repository, manifest }),
        1 => repository().prop_map(|repository| Step::StartUpload { repository }),
        1 => (repository(), 0..9_u8).prop_map(|(repository, blob)| Step::Blob { repository, blob }),
        2 => any::<bool>().prop_map(|delete_untagged| Step::Collect { delete_untagged }),
    ]
}

const REPOSITORIES: [&str; 3] = ["a", "a/b", "c"];

/// A manifest as the model knows it; other manifests by their canonical digests.
#[derive(Clone, Debug)]
struct Made {
    bytes: Bytes,
    /// The digest by which others name it.
    known_as: Digest,
    blobs: Vec<(Digest, Bytes)>,
    children: Vec<Digest>,
    subject: Option<Digest>,
}

type Place = (usize, Digest);

struct World {
    store: MemoryDriver,
    registry: Registry,
    names: Vec<RepositoryName>,
    manifests: BTreeMap<Place, Made>,
    tags: BTreeMap<(usize, u8), Digest>,
    uploads: Vec<(usize, String)>,
}

fn content(blob: u8) -> Bytes {
    format!("content of blob {blob}").into()
}

fn reference(tag: u8) -> Reference {
    crate::kit::tag(&format!("t{tag}"))
}

impl World {
    fn new() -> Self {
        let store = MemoryDriver::new();
        Self {
            registry: registry(&store),
            store,
            names: REPOSITORIES.iter().map(|text| name(text)).collect(),
            manifests: BTreeMap::new(),
            tags: BTreeMap::new(),
            uploads: Vec::new(),
        }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Image {
                repository,
                blobs,
                how,
                subject,
            } => self.image(repository, &blobs, &how, subject).await,
            Step::Index {
                repository,
                children,
                how,
            } => self.index(repository, &children, &how).await,
            Step::Tag {
                repository,
                manifest,
                tag,
            } => {
                if let Some((_, made)) = self.pick(repository, &manifest) {
                    self.push(repository, made, reference(tag)).await;
                }
            }
            Step::Untag { repository, tag } => self.untag(repository, tag).await,
            Step::Delete {
                repository,
                manifest,
            } => self.delete(repository, &manifest).await,
            Step::StartUpload { repository } => self.start_upload(repository).await,
            Step::Blob { repository, blob } => {
                let digest = sha256(&content(blob));
                push_blob(
                    &self.registry,
                    &self.names[repository],
                    &content(blob),
                    &digest,
                )
                .await
                .unwrap();
            }
            Step::Collect { delete_untagged } => self.collect(delete_untagged).await,
        }
    }

    fn pick(&self, repository: usize, which: &Index) -> Option<(Digest, Made)> {
        let there: Vec<_> = self
            .manifests
            .iter()
            .filter(|((at, _), _)| *at == repository)
            .collect();
        if there.is_empty() {
            return None;
        }
        let ((_, digest), made) = which.get(&there);
        Some((digest.clone(), (*made).clone()))
    }

    async fn image(&mut self, repository: usize, blobs: &[u8], how: &How, subject: Option<Index>) {
        let mut named = Vec::new();
        for blob in blobs {
            let bytes = content(*blob);
            let digest = if how.sha512 {
                sha512(&bytes)
            } else {
                sha256(&bytes)
            };
            let name = &self.names[repository];
            let there = self.registry.repository(name).blobs();
            if !how.mount
                || there
                    .mount(&digest, None, &|_| true)
                    .await
                    .unwrap()
                    .is_none()
            {
                push_blob(&self.registry, name, &bytes, &digest)
                    .await
                    .unwrap();
            }
            named.push((digest, bytes));
        }
        let subject = subject.and_then(|subject| self.pick(repository, &subject));
        let digests: Vec<Digest> = named.iter().map(|(digest, _)| digest.clone()).collect();
        let known_as = subject.as_ref().map(|(_, made)| &made.known_as);
        let bytes = image(&digests[0], &digests[1..], known_as);
        let made = Made {
            known_as: if how.sha512 {
                sha512(&bytes)
            } else {
                sha256(&bytes)
            },
            bytes,
            blobs: named,
            children: Vec::new(),
            subject: subject.map(|(digest, _)| digest),
        };
        self.push_as(repository, made, how).await;
    }

    async fn index(&mut self, repository: usize, children: &[Index], how: &How) {
        let children: Vec<_> = children
            .iter()
            .filter_map(|child| self.pick(repository, child))
            .collect();
        let named: Vec<Digest> = children
            .iter()
            .map(|(_, made)| made.known_as.clone())
            .collect();
        let bytes = index(&named);
        let made = Made {
            known_as: if how.sha512 {
                sha512(&bytes)
            } else {
                sha256(&bytes)
            },
            bytes,
            blobs: Vec::new(),
            children: children.into_iter().map(|(digest, _)| digest).collect(),
            subject: None,
        };
        self.push_as(repository, made, how).await;
    }

    async fn push_as(&mut self, repository: usize, made: Made, how: &How) {
        let digest = Reference::Digest(made.known_as.clone());
        self.push(repository, made.clone(), digest).await;
        if let Some(tag) = how.tag {
            self.push(repository, made, reference(tag)).await;
        }
    }

    /// A push may be refused, for a child that was deleted; then nothing has changed.
    async fn push(&mut self, repository: usize, made: Made, reference: Reference) {
        let place = (repository, sha256(&made.bytes));
        let is_whole = made
            .children
            .iter()
            .all(|child| self.manifests.contains_key(&(repository, child.clone())));
        let pushed = push_manifest(
            &self.registry,
            &self.names[repository],
            reference.clone(),
            &made.bytes,
        )
        .await;
        match pushed {
            Ok(_) => {}
            Err(Error::ReferencesUnknown(_)) => {
                assert!(!is_whole, "refused for no reason");
                return;
            }
            Err(error) => panic!("{error:?}"),
        }
        if let Reference::Tag(tag) = reference {
            let tag = tag.as_str()[1..].parse().unwrap();
            self.tags.insert((repository, tag), place.1.clone());
        }
        let before = self.manifests.get(&place).map(|made| made.known_as.clone());
        let known_as = before.unwrap_or(made.known_as.clone());
        self.manifests.insert(place, Made { known_as, ..made });
    }

    async fn untag(&mut self, repository: usize, tag: u8) {
        let Reference::Tag(text) = reference(tag) else {
            unreachable!()
        };
        let deleted = self
            .registry
            .repository(&self.names[repository])
            .tags()
            .delete(&text)
            .await;
        assert_eq!(
            deleted.is_ok(),
            self.tags.remove(&(repository, tag)).is_some()
        );
    }

    async fn delete(&mut self, repository: usize, manifest: &Index) {
        let Some((digest, made)) = self.pick(repository, manifest) else {
            return;
        };
        let manifests = self
            .registry
            .repository(&self.names[repository])
            .manifests();
        manifests.delete(&made.known_as).await.unwrap();
        self.manifests.remove(&(repository, digest.clone()));
        self.tags
            .retain(|(at, _), tagged| *at != repository || *tagged != digest);
    }

    async fn start_upload(&mut self, repository: usize) {
        let uploads = self.registry.repository(&self.names[repository]).uploads();
        let id = uploads.begin().await.unwrap().id;
        let mut upload = uploads.open(&id).await.unwrap();
        upload.append(body(b"begun, "), None).await.unwrap();
        upload.checkpoint().await.unwrap();
        drop(upload);
        self.uploads.push((repository, id));
    }

    /// Manifests that tags lead to, as parts or as referrers; and what these are made of.
    fn kept(&self, delete_untagged: bool) -> BTreeSet<Place> {
        let is_root = |(repository, digest): &&Place| {
            let tags = self.tags.iter();
            let mut tags = tags.filter(|((at, _), _)| at == repository);
            !delete_untagged || tags.any(|(_, tagged)| tagged == digest)
        };
        let mut kept: BTreeSet<Place> = self.manifests.keys().filter(is_root).cloned().collect();
        loop {
            let follows = |(place, made): &(&Place, &Made)| {
                let subject = made.subject.clone().map(|subject| (place.0, subject));
                let mut parents = kept.iter().filter(|(at, _)| *at == place.0);
                subject.is_some_and(|subject| kept.contains(&subject))
                    || parents.any(|parent| self.manifests[parent].children.contains(&place.1))
            };
            let more: Vec<Place> = self
                .manifests
                .iter()
                .filter(|(place, _)| !kept.contains(place))
                .filter(follows)
                .map(|(place, _)| place.clone())
                .collect();
            if more.is_empty() {
                return kept;
            }
            kept.extend(more);
        }
    }

    async fn collect(&mut self, delete_untagged: bool) {
        let kept = self.kept(delete_untagged);
        // Blobs without any repository are left alone, so there is always one.
        let keeper = "keeper".parse().unwrap();
        self.registry
            .repository(&keeper)
            .uploads()
            .begin()
            .await
            .unwrap();
        collect(&self.registry, delete_untagged).await.unwrap();
        let mut left = BTreeMap::new();
        for (place, made) in std::mem::take(&mut self.manifests) {
            let name = &self.names[place.0];
            let reference = Reference::Digest(place.1.clone());
            let is_there = pull_manifest(&self.registry, name, &reference)
                .await
                .is_ok();
            assert!(
                is_there || !kept.contains(&place),
                "{name} lost {}",
                place.1
            );
            if is_there {
                left.insert(place, made);
            }
        }
        self.manifests = left;
        self.assert_whole().await;
        self.assert_no_garbage(&kept).await;
    }

    /// Every manifest is there with all it is made of; also those that stay for other reasons.
    async fn assert_whole(&self) {
        for ((repository, digest), made) in &self.manifests {
            let name = &self.names[*repository];
            for reference in [digest, &made.known_as] {
                let reference = Reference::Digest(reference.clone());
                assert_eq!(
                    pull_manifest(&self.registry, name, &reference)
                        .await
                        .unwrap(),
                    made.bytes
                );
            }
            for (digest, bytes) in &made.blobs {
                assert_eq!(
                    pull_blob(&self.registry, name, digest).await.unwrap(),
                    bytes
                );
            }
        }
        for ((repository, tag), digest) in &self.tags {
            let pulled =
                pull_manifest(&self.registry, &self.names[*repository], &reference(*tag)).await;
            assert_eq!(sha256(&pulled.unwrap()), *digest);
        }
    }

    /// What is stored is needed by a manifest; one that was not kept for its own sake is needed.
    async fn assert_no_garbage(&self, kept: &BTreeSet<Place>) {
        let mut needed = BTreeSet::new();
        for ((_, digest), made) in &self.manifests {
            needed.insert(digest.clone());
            needed.extend(made.blobs.iter().map(|(_, bytes)| sha256(bytes)));
            needed.extend(made.children.iter().cloned());
        }
        for digest in stored_blobs(&self.store).await {
            assert!(needed.contains(&digest), "{digest} is garbage");
        }
        let kept_digests: BTreeSet<&Digest> = kept.iter().map(|(_, digest)| digest).collect();
        let others = self
            .manifests
            .iter()
            .filter(|(place, _)| !kept.contains(place));
        for ((_, digest), made) in others {
            let for_subject = made
                .subject
                .as_ref()
                .is_some_and(|subject| self.manifests.keys().any(|(_, digest)| digest == subject));
            let as_child = self
                .manifests
                .values()
                .any(|parent| parent.children.contains(digest));
            assert!(
                for_subject || as_child || kept_digests.contains(digest),
                "{digest} is garbage"
            );
        }
    }

    async fn end(mut self) {
        self.collect(false).await;
        self.collect(true).await;
        for (repository, id) in &self.uploads {
            let uploads = self.registry.repository(&self.names[*repository]).uploads();
            let mut upload = uploads.open(id).await.unwrap();
            upload.append(body(b"and ended"), None).await.unwrap();
            upload.finish(&sha256(b"begun, and ended")).await.unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_went_on_before_a_collection_keeps_what_is_needed_and_nothing_else(
        steps in prop::collection::vec(step(), 1..25),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new();
            for step in steps {
                world.step(step).await;
            }
            world.end().await;
        });
    }
}
