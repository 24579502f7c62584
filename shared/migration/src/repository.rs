//! A repository: links, manifests, tags.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_metadata::{Alias, ManifestPush, ManifestRecord, Metadata, Page, Referrer};
use roadstead_oci::{Digest, Manifest, Reference, RepositoryName, Tag};

use crate::migration::{AT_ONCE, Error, Options, Report, Stores};
use crate::{Finding, Part, Summary};

/// What a repository of a store has, by name; its bytes are read one after another.
#[derive(Default)]
struct Contents {
    links: BTreeSet<Digest>,
    manifests: BTreeSet<Digest>,
    tags: BTreeMap<Tag, Digest>,
}

/// One repository on its way.
struct Move<'a> {
    stores: &'a Stores<'a>,
    name: &'a RepositoryName,
    options: Options,
    summary: Summary,
}

impl Stores<'_> {
    pub(crate) async fn repository(
        &self,
        name: &RepositoryName,
        options: Options,
        report: Report<'_>,
    ) -> Result<Summary, Error> {
        let mut this = Move {
            stores: self,
            name,
            options,
            summary: Summary::default(),
        };
        this.summary.repositories = 1;
        let source = Contents::of(self.source, name).await?;
        let target = Contents::of(self.target, name).await?;
        this.links(&source, &target).await?;
        this.manifests(&source, &target, report).await?;
        this.beyond(&source, &target, report).await?;
        Ok(this.summary)
    }

    /// Repositories that only the target has: those that are not `known`.
    pub(crate) async fn repositories_beyond(
        &self,
        known: &BTreeSet<RepositoryName>,
        options: Options,
        report: Report<'_>,
    ) -> Result<Summary, Error> {
        let mut summary = Summary::default();
        let mut after: Option<RepositoryName> = None;
        loop {
            let names = self.target.repositories_after(after.as_ref()).await?;
            let Some(last) = names.last() else {
                return Ok(summary);
            };
            after = Some(last.clone());
            for name in names.iter().filter(|name| !known.contains(name)) {
                let target = Contents::of(self.target, name).await?;
                let mut this = Move {
                    stores: self,
                    name,
                    options,
                    summary: Summary::default(),
                };
                this.beyond(&Contents::default(), &target, report).await?;
                summary.add(&this.summary);
            }
        }
    }
}

impl Contents {
    async fn of(metadata: &dyn Metadata, name: &RepositoryName) -> Result<Self, Error> {
        let links = metadata.links(name, Page::ALL).await?;
        let manifests = metadata.revisions(name, Page::ALL).await?;
        let tags = metadata.tags(name, Page::ALL).await?.unwrap_or_default();
        let tags = stream::iter(tags).map(|tag| async move {
            let digest = metadata.tag(name, &tag).await?;
            Ok::<_, Error>(digest.map(|digest| (tag, digest)))
        });
        let tags = tags.buffered(AT_ONCE).try_filter_map(async |tag| Ok(tag));
        Ok(Self {
            links: links.into_iter().map(|link| link.digest).collect(),
            manifests: manifests.into_iter().map(|link| link.digest).collect(),
            tags: tags.try_collect().await?,
        })
    }
}

impl Move<'_> {
    async fn links(&mut self, source: &Contents, target: &Contents) -> Result<(), Error> {
        let (stores, name) = (self.stores, self.name);
        let missing: Vec<_> = source.links.difference(&target.links).collect();
        self.summary.links = source.links.len() as u64;
        self.summary.links_added = missing.len() as u64;
        stream::iter(missing)
            .map(|digest| stores.target.link(name, digest, None))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        let known = stores.target.blob_aliases(name).await?;
        for Alias { alias, digest } in stores.source.blob_aliases(name).await? {
            let is_known = known.iter().any(|known| known.alias == alias);
            if !is_known && source.links.contains(&digest) {
                stores.target.link(name, &digest, Some(&alias)).await?;
            }
        }
        Ok(())
    }

    /// Each manifest with its tags, in one write where the target can.
    async fn manifests(
        &mut self,
        source: &Contents,
        target: &Contents,
        report: Report<'_>,
    ) -> Result<(), Error> {
        let mut tags = self.tags_to_set(source, target, report);
        let mut aliases = self.aliases_to_set().await?;
        for digest in &source.manifests {
            let push = Push {
                digest,
                tags: tags.remove(digest).unwrap_or_default(),
                aliases: aliases.remove(digest).unwrap_or_default(),
                is_there: target.manifests.contains(digest),
            };
            self.manifest(push, report).await?;
        }
        for (_, tags) in tags {
            for tag in tags {
                self.summary.left_out += 1;
                report(Finding::TagDangling(self.name.clone(), tag));
            }
        }
        Ok(())
    }

    fn tags_to_set(
        &mut self,
        source: &Contents,
        target: &Contents,
        report: Report<'_>,
    ) -> BTreeMap<Digest, Vec<Tag>> {
        let mut to_set: BTreeMap<Digest, Vec<Tag>> = BTreeMap::new();
        for (tag, digest) in &source.tags {
            self.summary.tags += 1;
            match target.tags.get(tag) {
                Some(there) if there == digest => {}
                Some(_) if !self.options.mirror => self.keep(Part::Tag(tag.clone()), report),
                _ => to_set.entry(digest.clone()).or_default().push(tag.clone()),
            }
        }
        to_set
    }

    async fn aliases_to_set(&self) -> Result<BTreeMap<Digest, Vec<Digest>>, Error> {
        let known = self.stores.target.manifest_aliases(self.name).await?;
        let mut to_set: BTreeMap<Digest, Vec<Digest>> = BTreeMap::new();
        for alias in self.stores.source.manifest_aliases(self.name).await? {
            if !known.contains(&alias) {
                to_set.entry(alias.digest).or_default().push(alias.alias);
            }
        }
        Ok(to_set)
    }

    async fn manifest(&mut self, push: Push<'_>, report: Report<'_>) -> Result<(), Error> {
        let Stores { source, target, .. } = *self.stores;
        if push.tags.is_empty() && push.aliases.is_empty() && push.is_there {
            let reference = Reference::Digest(push.digest.clone());
            if target.manifest(self.name, &reference).await?.is_some() {
                self.summary.manifests += 1;
                return Ok(());
            }
        }
        let reference = Reference::Digest(push.digest.clone());
        let Some(record) = source.manifest(self.name, &reference).await? else {
            let left_out = 1 + push.tags.len() as u64;
            self.summary.left_out += left_out;
            let (name, digest) = (self.name.clone(), push.digest.clone());
            report(Finding::ManifestUnreadable(name, digest));
            return Ok(());
        };
        self.summary.manifests += 1;
        self.summary.manifests_added += u64::from(!push.is_there);
        self.summary.tags_added += push.tags.len() as u64;
        for push in push.pushes(self.name, &record) {
            target.record(&push).await?;
        }
        Ok(())
    }

    /// What the target has and the source has not.
    async fn beyond(
        &mut self,
        source: &Contents,
        target: &Contents,
        report: Report<'_>,
    ) -> Result<(), Error> {
        let tags = target.tags.keys();
        for tag in tags.filter(|tag| !source.tags.contains_key(tag)) {
            let part = Part::Tag(tag.clone());
            if self.is_to_be_removed(part, report) {
                self.stores.target.delete_tag(self.name, tag).await?;
            }
        }
        for digest in target.manifests.difference(&source.manifests) {
            if self.is_to_be_removed(Part::Manifest(digest.clone()), report) {
                self.remove_manifest(digest).await?;
            }
        }
        for digest in target.links.difference(&source.links) {
            if self.is_to_be_removed(Part::Blob(digest.clone()), report) {
                self.stores.target.unlink(self.name, digest).await?;
            }
        }
        Ok(())
    }

    async fn remove_manifest(&self, digest: &Digest) -> Result<(), Error> {
        let target = self.stores.target;
        let reference = Reference::Digest(digest.clone());
        let record = target.manifest(self.name, &reference).await?;
        let subject = record.as_ref().and_then(edge).map(|edge| edge.subject);
        target
            .delete_manifest(self.name, digest, subject.as_ref())
            .await?;
        Ok(())
    }

    fn is_to_be_removed(&mut self, part: Part, report: Report<'_>) -> bool {
        if !self.options.mirror {
            self.keep(part, report);
            return false;
        }
        self.summary.removed += 1;
        report(Finding::Removed(self.name.clone(), part));
        true
    }

    fn keep(&mut self, part: Part, report: Report<'_>) {
        self.summary.kept += 1;
        report(Finding::Kept(self.name.clone(), part));
    }
}

/// What is to be written of a manifest.
struct Push<'a> {
    digest: &'a Digest,
    tags: Vec<Tag>,
    aliases: Vec<Digest>,
    is_there: bool,
}

impl Push<'_> {
    /// One write, and one more for each alias beyond the first.
    fn pushes(self, name: &RepositoryName, record: &ManifestRecord) -> Vec<ManifestPush> {
        let mut aliases = self.aliases.into_iter();
        let push = |alias, tags| ManifestPush {
            repository: name.clone(),
            manifest: record.clone(),
            alias,
            tags,
            fixed: BTreeSet::new(),
            referrer: edge(record),
        };
        let mut pushes = vec![push(aliases.next(), self.tags)];
        pushes.extend(aliases.map(|alias| push(Some(alias), Vec::new())));
        pushes
    }
}

/// The edge that the manifest has to its subject.
fn edge(record: &ManifestRecord) -> Option<Referrer> {
    let manifest = Manifest::read(&record.bytes).ok()?;
    Referrer::of(&manifest, record)
}
