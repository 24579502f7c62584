//! One suite for every [`Metadata`] back end: what it proves is what the noun traits promise and
//! the core relies on.
//!
//! A back end's crate says what a fresh store is and stamps the suite into a module of its own:
//!
//! ```ignore
//! struct Memory(MemoryDriver);
//!
//! #[async_trait]
//! impl testkit::Store for Memory {
//!     fn metadata(&self) -> Arc<dyn Metadata> {
//!         Arc::new(Layout::new(Arc::new(self.0.clone()), Options::default()))
//!     }
//!     // and the bytes that uploads leave: `put`, `get`
//! }
//!
//! testkit::suite!(Some(Memory(MemoryDriver::new())));
//! ```
//!
//! The expression is evaluated for each test anew, in an async function. It gives `Some` store, or
//! `None` where a server that is needed cannot be had: saying so is up to the expression. The
//! crate needs tokio with `macros` and `rt-multi-thread` among its dev-dependencies.

mod blobs;
mod catalog;
mod links;
mod manifests;
mod races;
mod referrers;
mod tags;
mod uploads;

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_oci::{Algorithm, Digest, Digester, Manifest, Reference, RepositoryName, Tag};
use time::OffsetDateTime;

use crate::{
    Adoption, Alias, Error, ManifestPush, ManifestRecord, Metadata, Page, Referrer, Reliance,
    Repositories, UploadSession,
};

pub use crate::metadata_suite as suite;
pub use blobs::*;
pub use catalog::*;
pub use links::*;
pub use manifests::*;
pub use races::*;
pub use referrers::*;
pub use tags::*;
pub use uploads::*;

/// How a test ends, besides by a panic.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

/// A store under test, empty at first and no one else's.
#[async_trait]
pub trait Store: Send + Sync {
    /// Another back end on the store, as another process would have it.
    fn metadata(&self) -> Arc<dyn Metadata>;

    /// Makes `content` what lies at a storage key, as an upload does that is committed.
    async fn put(&self, key: &str, content: Bytes);

    /// What lies at a storage key.
    async fn get(&self, key: &str) -> Option<Bytes>;

    /// What is in the store although all was deleted, but for what says that there was something.
    async fn leftovers(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Runs `test` on `store`, and then makes sure that nothing is left once all is deleted.
pub async fn check(
    test: impl AsyncFn(&dyn Store) -> Outcome,
    store: Option<impl Store>,
) -> Outcome {
    let Some(store) = store else {
        return Ok(());
    };
    test(&store).await?;
    delete_all(&*store.metadata()).await?;
    assert_eq!(store.leftovers().await, Vec::<String>::new(), "left behind");
    Ok(())
}

async fn delete_all(metadata: &dyn Metadata) -> Result<(), Error> {
    let all = metadata.repositories(Repositories::All, Page::ALL).await?;
    for name in all {
        for upload in metadata.uploads(&name).await? {
            metadata.purge(&name, &upload.id).await?;
        }
        for link in metadata.links(&name, Page::ALL).await? {
            assert!(metadata.unlink(&name, &link.digest).await?);
        }
        for revision in metadata.revisions(&name, Page::ALL).await? {
            let digest = &revision.digest;
            let record = metadata.manifest(&name, &by_digest(digest)).await?;
            let record = record.unwrap_or_else(|| panic!("{digest} is listed but not there"));
            let subject = edge(&record).map(|edge| edge.subject);
            metadata
                .delete_manifest(&name, digest, subject.as_ref())
                .await?;
        }
        let tags = metadata.tags(&name, Page::ALL).await?;
        assert_eq!(tags.unwrap_or_default(), [], "tags without a manifest");
    }
    for blob in metadata.blobs(Page::ALL).await? {
        assert!(metadata.delete_blob(&blob.digest).await?);
    }
    let rest = metadata
        .repositories(Repositories::WithManifests, Page::ALL)
        .await?;
    assert_eq!(rest, [], "still there after everything was deleted");
    Ok(())
}

/// Stamps the suite's tests, each on the store that the expression makes.
#[macro_export]
macro_rules! metadata_suite {
    ($store:expr) => {
        $crate::metadata_suite! { @stamp $store;
            what_is_not_there_is_none
            a_manifest_is_pulled_by_digest_and_by_tag
            manifests_of_any_size_read_back
            a_push_may_be_repeated
            an_alias_names_the_same_manifest
            a_manifest_belongs_to_its_repository
            deleting_a_manifest_takes_its_tags_and_its_edge
            deleting_may_be_repeated
            a_deleted_manifest_can_be_pushed_again
            a_push_may_have_any_number_of_tags
            a_sweep_spares_what_is_tagged
            revisions_are_listed_in_the_order_of_their_digests
            tags_are_listed_in_the_order_of_their_bytes
            a_repository_without_tags_has_an_empty_list
            a_tag_moves_to_another_manifest
            deleting_a_tag_spares_its_manifest_and_its_siblings
            a_blob_belongs_to_the_repositories_it_is_linked_in
            an_alias_names_the_same_blob
            links_are_listed_in_the_order_of_their_digests
            an_upload_becomes_a_blob
            a_blob_is_pushed_again
            deleting_a_blob_deletes_its_content
            content_from_elsewhere_becomes_a_blob
            aliases_are_listed
            blobs_are_listed_in_the_order_of_their_digests
            referrers_are_listed_in_the_order_of_their_digests
            referrers_can_be_chosen_by_their_type
            a_referrer_may_be_listed_at_any_length
            an_edge_goes_with_its_manifest
            an_upload_is_there_until_it_ends
            an_ended_upload_leaves_nothing
            what_can_be_no_upload_is_none
            the_last_hash_state_within_the_size_is_found
            a_hash_state_says_of_which_bytes_it_is
            uploads_of_a_repository_are_listed
            repositories_are_listed_in_the_order_of_their_bytes
            the_catalog_has_repositories_with_manifests
            of_many_pushes_of_one_tag_one_is_last
            of_pushes_that_fix_a_tag_one_has_it
            what_is_pushed_again_is_not_swept
            what_is_linked_again_is_not_swept
            a_push_that_lacks_something_takes_nothing_from_another
            a_push_that_lacks_something_has_no_tag
            a_push_that_could_not_look_takes_nothing_away
            a_push_and_a_deletion_leave_no_half
            a_tag_is_never_seen_before_its_manifest
            one_of_many_deletions_finds_the_tag
        }
    };
    (@stamp $store:expr; $($test:ident)*) => {
        $(
            #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() -> $crate::testkit::Outcome {
                $crate::testkit::check(async |store| $crate::testkit::$test(store).await, $store).await
            }
        )*
    };
}

fn name(text: &str) -> RepositoryName {
    parsed(text)
}

fn tag(text: &str) -> Tag {
    parsed(text)
}

fn parsed<T: std::str::FromStr<Err: Debug>>(text: &str) -> T {
    text.parse()
        .unwrap_or_else(|error| panic!("{text:?}: {error:?}"))
}

fn by_digest(digest: &Digest) -> Reference {
    Reference::Digest(digest.clone())
}

fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

fn sha256(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, content)
}

fn sha512(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha512, content)
}

fn page(after: Option<&str>, limit: usize) -> Page<'_> {
    Page { after, limit }
}

/// A manifest of its own for each `seed`, with `more` in its JSON.
fn manifest_with(seed: &str, more: &str) -> ManifestRecord {
    let digest = sha256(seed.as_bytes());
    let json = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"a/b","digest":"{digest}","size":2}},"layers":[]{more}}}"#
    );
    let bytes = Bytes::from(json);
    ManifestRecord {
        digest: sha256(&bytes),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        bytes,
    }
}

fn manifest(seed: &str) -> ManifestRecord {
    manifest_with(seed, "")
}

/// The edge that the manifest has to its subject.
fn edge(record: &ManifestRecord) -> Option<Referrer> {
    let manifest = Manifest::read(&record.bytes).ok()?;
    Referrer::of(&manifest, record)
}

fn push(repository: &str, manifest: &ManifestRecord, tags: &[&str]) -> ManifestPush {
    ManifestPush {
        repository: name(repository),
        manifest: manifest.clone(),
        alias: None,
        tags: tags.iter().map(|text| tag(text)).collect(),
        fixed: BTreeSet::new(),
        referrer: edge(manifest),
    }
}

/// Later than anything that a test has stored.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

fn session(repository: &str, id: &str) -> UploadSession {
    UploadSession {
        repository: name(repository),
        id: id.to_owned(),
        started_at: OffsetDateTime::from(SystemTime::now()).truncate_to_second(),
    }
}

/// Whether a moment is about now: back ends may count in whole seconds.
fn is_recent(moment: SystemTime) -> bool {
    const LONG: u64 = 60;
    let apart = match moment.elapsed() {
        Ok(elapsed) => elapsed,
        Err(ahead) => ahead.duration(),
    };
    apart.as_secs() < LONG
}

/// What `list` gives in pages of every size and from every place is what it gives at once, and
/// that is `expected`. `beside` are places at which there is nothing.
async fn check_pages(
    list: impl AsyncFn(Page<'_>) -> Result<Vec<String>, Error>,
    expected: &[String],
    beside: &[&str],
) -> Outcome {
    assert!(expected.is_sorted(), "the test expects an order");
    assert_eq!(list(Page::ALL).await?, expected);
    let places = expected
        .iter()
        .map(String::as_str)
        .chain(beside.iter().copied());
    for after in places {
        let behind = expected.iter().filter(|one| one.as_str() > after);
        let behind: Vec<_> = behind.cloned().collect();
        for limit in [1, 3, usize::MAX] {
            let shown = &behind[..behind.len().min(limit)];
            let found = list(page(Some(after), limit)).await?;
            assert_eq!(found, shown, "{limit} after {after:?}");
        }
    }
    for limit in [1, 2, 3, expected.len()] {
        let mut all = Vec::new();
        loop {
            let after = all.last().cloned();
            let part = list(page(after.as_deref(), limit)).await?;
            assert!(part.len() <= limit);
            if part.is_empty() {
                break;
            }
            all.extend(part);
        }
        assert_eq!(all, expected, "in pages of {limit}");
    }
    Ok(())
}
