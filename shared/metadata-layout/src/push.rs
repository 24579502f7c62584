//! Writing a push: its files in their order.

use std::collections::BTreeSet;

use roadstead_metadata::{Error, ManifestPush, Reliance};
use roadstead_oci::Tag;
use roadstead_storage::{Write, WriteMode};

use crate::layout::{Layout, file, link, unavailable};
use crate::paths;

impl Layout {
    /// Writes a push in its turn; `false` when what it relies on is gone, and its tags are not
    /// written.
    pub(crate) async fn write_push(
        &self,
        push: &ManifestPush,
        reliance: Option<&dyn Reliance>,
    ) -> Result<bool, Error> {
        let _blob_turn = self.blob_turn(&push.manifest.digest).read().await;
        let is_written = match push.fixed.is_empty() {
            true => {
                let writes = Writes::of(push, &BTreeSet::new()).map_err(unavailable)?;
                self.write_if(writes, reliance).await? == Written::Whole
            }
            false => self.write_fixing(push, reliance).await?,
        };
        if is_written {
            self.cache.insert(push.manifest.clone());
            self.seen.insert(&push.repository, &push.manifest.digest);
        }
        Ok(is_written)
    }

    /// Writes a push with tags that are not to be moved: a link that nobody has is created, which
    /// is as exact between processes as the driver's [`WriteMode::CreateNew`] is. In one order,
    /// so that of two pushes with the same fixed tags the first tag decides.
    async fn write_fixing(
        &self,
        push: &ManifestPush,
        reliance: Option<&dyn Reliance>,
    ) -> Result<bool, Error> {
        /// A tag that comes and goes all the time is somebody's game.
        const ATTEMPTS: usize = 8;
        for _ in 0..ATTEMPTS {
            let mut new = BTreeSet::new();
            for tag in &push.fixed {
                let key = paths::tag_current(&push.repository, tag).map_err(unavailable)?;
                match self.read_link(&key).await? {
                    Some(digest) if digest != push.manifest.digest => {
                        return Err(Error::TagTaken(tag.clone()));
                    }
                    Some(_) => {}
                    // What is there and says nothing is repaired.
                    None if self.exists(&key).await? => {}
                    None => drop(new.insert(tag)),
                }
            }
            let writes = Writes::of(push, &new).map_err(unavailable)?;
            match self.write_if(writes, reliance).await? {
                Written::Overtaken => {}
                written => return Ok(written == Written::Whole),
            }
        }
        Err(Error::Busy)
    }

    /// All at once, or with a look in between.
    async fn write_if(
        &self,
        writes: Writes,
        reliance: Option<&dyn Reliance>,
    ) -> Result<Written, Error> {
        let Writes { manifest, tags } = writes;
        let Some(reliance) = reliance else {
            return self.write_tags(&[manifest, tags].concat()).await;
        };
        self.write(&manifest).await?;
        if !reliance.holds().await? {
            return Ok(Written::Lacking);
        }
        match tags.is_empty() {
            true => Ok(Written::Whole),
            false => self.write_tags(&tags).await,
        }
    }

    async fn write_tags(&self, writes: &[Write]) -> Result<Written, Error> {
        match self.driver.write(writes).await {
            Err(roadstead_storage::Error::Exists(_)) => Ok(Written::Overtaken),
            written => written.map(|()| Written::Whole).map_err(unavailable),
        }
    }
}

/// How far a push has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Whole,
    /// Its tags are not there: something that it relies on is gone.
    Lacking,
    /// A tag that nobody had has come.
    Overtaken,
}

/// All files of a push, in an order in which each only points to what stands before it.
struct Writes {
    manifest: Vec<Write>,
    tags: Vec<Write>,
}

impl Writes {
    /// The bytes are written again even where they are there already: a crash may have damaged
    /// them, or whoever wrote them may not have made them durable yet. The tags in `new` must not
    /// be there.
    fn of(push: &ManifestPush, new: &BTreeSet<&Tag>) -> Result<Self, roadstead_storage::Error> {
        let name = &push.repository;
        let digest = &push.manifest.digest;
        let mut manifest = vec![file(paths::blob_data(digest)?, push.manifest.bytes.clone())];
        if let Some(referrer) = &push.referrer {
            let key = paths::referrer(name, &referrer.subject, digest)?;
            manifest.push(file(key, crate::referrers::encode(&referrer.descriptor)));
        }
        manifest.push(link(paths::revision_link(name, digest)?, digest));
        if let Some(alias) = &push.alias {
            manifest.push(link(paths::revision_link(name, alias)?, digest));
        }
        let mut tags = Vec::new();
        let others = push.tags.iter().filter(|tag| !push.fixed.contains(tag));
        for tag in push.fixed.iter().chain(others) {
            let mut current = link(paths::tag_current(name, tag)?, digest);
            if new.contains(tag) {
                current.mode = WriteMode::CreateNew;
            }
            // A tag is listed as soon as anything of it is there.
            let index = link(paths::tag_index(name, tag, digest)?, digest);
            tags.extend([current, index]);
        }
        Ok(Self { manifest, tags })
    }
}
