//! Two registries on one bucket and one table that have hold of the same upload: what a client was
//! told is stored stays what its digest says, whatever the other one does, and whether or not the
//! bucket honours conditional writes.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use roadstead_metadata_dynamodb::sdk::config::{BehaviorVersion, Credentials, Region};
use roadstead_metadata_dynamodb::sdk::{Client, Config};
use roadstead_metadata_dynamodb::{Contents, ContentsError, DynamoDb, Options, create_table};
use roadstead_oci::{Algorithm, Digest, Digester, RepositoryName};
use roadstead_registry::{
    CollectOptions, Collected, Error, NewManifest, OpenUpload, Policy, Pull, Registry,
    TransportError,
};
use roadstead_storage::{
    ByteRange, Content, Driver, DriverExt, Key, ListOptions, Write, WriteMode,
};
use roadstead_storage_s3::S3Driver;
use support::Folder;
use support::proxy::{Fate, Proxy};
use uuid::Uuid;

const MIB: usize = 1024 * 1024;

/// What the bucket makes of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conditions {
    Honoured,
    Unknown,
}

/// A bucket and a table.
struct Shared {
    folder: Folder,
    conditions: Conditions,
    table: String,
}

impl Shared {
    async fn new(conditions: Conditions) -> Option<Self> {
        let shared = Self {
            folder: Folder::new().await?,
            conditions,
            table: format!("table-{}", Uuid::new_v4()),
        };
        create_table(&shared.client(), &shared.table).await.unwrap();
        Some(shared)
    }

    fn client(&self) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(self.folder.url)
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"));
        Client::from_conf(config.build())
    }

    /// A driver as a process of its own has it.
    async fn driver(&self) -> Arc<dyn Driver> {
        let mut config = self.folder.config();
        if self.conditions == Conditions::Unknown {
            let proxy = Proxy::new(self.folder.url).await;
            let mut puts = 0;
            // The first three are the driver's probe.
            proxy.rule(move |request| {
                puts += usize::from(request == "PutObject");
                match puts {
                    2 | 3 if request == "PutObject" => Fate::Fail(501, "NotImplemented"),
                    _ => Fate::Pass,
                }
            });
            config.endpoint = Some(proxy.url.clone());
        }
        let driver = S3Driver::new(config).unwrap();
        // The driver probes the bucket before its first condition.
        let first = Write {
            key: Key::new(&format!("first/{}", Uuid::new_v4())).unwrap(),
            content: Bytes::new(),
            mode: WriteMode::CreateNew,
        };
        driver.write(&[first]).await.unwrap();
        Arc::new(driver)
    }

    async fn registry(&self) -> Registry {
        self.registry_with(Policy::default()).await
    }

    async fn registry_with(&self, policy: Policy) -> Registry {
        let driver = self.driver().await;
        let contents = Arc::new(InBucket(Arc::clone(&driver)));
        let options = Options::new(self.table.clone());
        let back_end = DynamoDb::new(self.client(), contents, options);
        Registry::new(Arc::new(back_end), driver, policy).without_redirects()
    }

    /// The objects of uploads and blobs.
    async fn objects(&self) -> Vec<String> {
        let mut objects = self.folder.objects().await;
        objects.retain(|object| object.starts_with("blobs/"));
        objects
    }
}

#[derive(Debug)]
struct InBucket(Arc<dyn Driver>);

#[async_trait]
impl Contents for InBucket {
    async fn read(&self, key: &str) -> Result<Option<Bytes>, ContentsError> {
        Ok(self.0.try_get(&Key::new(key)?, u64::MAX).await?)
    }

    async fn write(&self, key: &str, content: Bytes) -> Result<(), ContentsError> {
        Ok(self.0.put(&Key::new(key)?, content).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), ContentsError> {
        self.0.try_delete(&Key::new(key)?).await?;
        Ok(())
    }

    async fn delete_others(&self, prefix: &str, kept: &str) -> Result<(), ContentsError> {
        let prefix = Key::new(prefix)?;
        for entry in self.0.list(&prefix, ListOptions::ALL).await? {
            let key = prefix.join(&entry.name)?;
            if key.as_str() != kept {
                self.0.try_delete(&key).await?;
            }
        }
        Ok(())
    }
}

fn pattern(size: usize, seed: usize) -> Bytes {
    (0..size).map(|at| (at ^ (at >> 9) ^ seed) as u8).collect()
}

fn sha256(content: &[u8]) -> Digest {
    Digester::digest(Algorithm::Sha256, content)
}

fn name() -> RepositoryName {
    "a/b".parse().unwrap()
}

async fn append(upload: &mut OpenUpload<'_>, content: &Bytes) -> Result<(), Error> {
    let body = stream::iter([Ok::<_, TransportError>(content.clone())]);
    upload.append(body, None).await
}

/// What is stored under a digest.
async fn stored(shared: &Shared, digest: &Digest) -> Option<Bytes> {
    let (registry, name) = (shared.registry().await, name());
    let blobs = registry.repository(&name).blobs();
    match blobs.pull(digest, ByteRange::ALL).await {
        Err(Error::BlobUnknown(_)) => None,
        pull => Some(content_of(pull.unwrap()).await),
    }
}

async fn content_of(pull: Pull) -> Bytes {
    let mut chunks = match pull {
        Pull::Content {
            content: Content::Bytes(bytes),
            ..
        } => return bytes,
        Pull::Content {
            content: Content::Stream(chunks),
            ..
        } => chunks,
        other => panic!("{other:?}"),
    };
    let mut all = Vec::new();
    while let Some(chunk) = chunks.next().await {
        all.extend_from_slice(&chunk.unwrap());
    }
    all.into()
}

/// Nobody is left who can mistake what is there.
fn is_told(what: &str, outcome: Result<(), Error>) {
    match outcome {
        Err(Error::UploadUnknown | Error::UploadBusy | Error::DigestMismatch { .. }) => {}
        other => panic!("{what}: {other:?}"),
    }
}

/// What the one that is late does.
#[derive(Clone, Copy, Debug)]
enum Late {
    GoesOn,
    FinishesOther,
    FinishesSame,
    Cancels,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_another_process_has_finished_can_spoil_nothing() {
    for conditions in [Conditions::Honoured, Conditions::Unknown] {
        for size in [100, 11 * MIB] {
            for late in [
                Late::GoesOn,
                Late::FinishesOther,
                Late::FinishesSame,
                Late::Cancels,
            ] {
                let Some(shared) = Shared::new(conditions).await else {
                    return;
                };
                check(&shared, size, late).await;
            }
        }
    }
}

async fn check(shared: &Shared, size: usize, late: Late) {
    let what = format!("{:?}, {size} bytes, {late:?}", shared.conditions);
    let name = name();
    let (one, other) = (shared.registry().await, shared.registry().await);
    let id = one.repository(&name).uploads().begin().await.unwrap().id;
    let (first, rest) = (pattern(size, 0), pattern(size, 1));
    let mut upload = one.repository(&name).uploads().open(&id).await.unwrap();
    append(&mut upload, &first).await.unwrap();
    upload.checkpoint().await.unwrap();
    drop(upload);

    let uploads = other.repository(&name).uploads();
    let mut held = uploads.open(&id).await.unwrap();
    let mut upload = one.repository(&name).uploads().open(&id).await.unwrap();
    append(&mut upload, &rest).await.unwrap();
    let content = Bytes::from([&first[..], &rest[..]].concat());
    let digest = sha256(&content);
    upload.finish(&digest).await.unwrap();
    assert!(stored(shared, &digest).await.unwrap() == content, "{what}");

    let others = pattern(size, 2);
    let mixed = sha256(&[&first[..], &others[..]].concat());
    match late {
        Late::GoesOn => {
            let appended = append(&mut held, &others).await;
            is_told(
                &what,
                match appended {
                    Ok(()) => held.checkpoint().await,
                    failed => failed,
                },
            );
            drop(held);
        }
        Late::FinishesOther => {
            is_told(
                &what,
                match append(&mut held, &others).await {
                    Ok(()) => held.finish(&mixed).await,
                    failed => failed,
                },
            );
        }
        Late::FinishesSame => {
            let finished = match append(&mut held, &rest).await {
                Ok(()) => held.finish(&digest).await,
                failed => failed,
            };
            if finished.is_err() {
                is_told(&what, finished);
            }
        }
        Late::Cancels => held.cancel().await.unwrap(),
    }
    assert!(stored(shared, &digest).await.unwrap() == content, "{what}");
    assert!(stored(shared, &mixed).await.is_none(), "{what}");
    is_told(&what, uploads.open(&id).await.map(drop));

    for _ in 0..2 {
        one.purge_uploads(Duration::ZERO, false).await.unwrap();
        let objects = shared.objects().await;
        assert_eq!(objects.len(), 1, "{what}: {objects:?}");
        assert_eq!(shared.folder.multiparts().await, [""; 0], "{what}");
        assert!(stored(shared, &digest).await.unwrap() == content, "{what}");
    }
    one.purge_uploads(Duration::ZERO, false).await.unwrap();
}

/// Where a bucket honours no condition, the bytes of one process may lie where the other one has
/// kept the state of its hash: then the state is that of other bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hash_of_the_bytes_of_another_process_is_not_taken_for_that_of_these() {
    let Some(shared) = Shared::new(Conditions::Unknown).await else {
        return;
    };
    let name = name();
    let (one, other) = (shared.registry().await, shared.registry().await);
    for size in [100, 11 * MIB] {
        let what = format!("{size} bytes");
        let id = one.repository(&name).uploads().begin().await.unwrap().id;
        let uploads = [one.repository(&name), other.repository(&name)].map(|one| one.uploads());
        let mut upload = uploads[0].open(&id).await.unwrap();
        append(&mut upload, &Bytes::from_static(b"begun "))
            .await
            .unwrap();
        upload.checkpoint().await.unwrap();
        drop(upload);
        let mut early = uploads[0].open(&id).await.unwrap();
        let mut late = uploads[1].open(&id).await.unwrap();
        let contents = [pattern(size, 1), pattern(size, 2)];
        append(&mut early, &contents[0]).await.unwrap();
        append(&mut late, &contents[1]).await.unwrap();
        late.checkpoint().await.unwrap();
        early.checkpoint().await.unwrap();
        drop(early);
        late.checkpoint().await.unwrap_or_default();
        drop(late);
        for content in &contents {
            let content = &Bytes::from([b"begun ", &content[..]].concat());
            let Ok(upload) = uploads[0].open(&id).await else {
                continue;
            };
            let digest = sha256(content);
            let finished = upload.finish(&digest).await;
            if finished.is_ok() {
                let stored = stored(&shared, &digest).await;
                assert!(stored.as_ref() == Some(content), "{size} bytes");
            } else {
                is_told(&what, finished);
                assert!(stored(&shared, &digest).await.is_none(), "{size} bytes");
            }
        }
    }
}

/// Of two that join the same parts one does, and the other does not claim what it has not seen.
#[tokio::test]
async fn parts_that_another_process_has_joined_are_not_taken_for_ones_own() {
    let Some(shared) = Shared::new(Conditions::Unknown).await else {
        return;
    };
    let key = Key::new("blobs/1/upload").unwrap();
    let (one, other) = (shared.driver().await, shared.driver().await);
    // As many as are no rest beyond the parts.
    let content = pattern(8 * MIB, 0);
    let mut upload = one.upload_apart(&key).await.unwrap();
    upload
        .append(&[content.clone(), content.clone()])
        .await
        .unwrap();
    upload.sync().await.unwrap();
    drop(upload);
    let mut first = one.upload_apart(&key).await.unwrap();
    let mut second = other.upload_apart(&key).await.unwrap();
    second.append(&[pattern(11 * MIB, 1)]).await.unwrap();
    let apart = first.commit_apart().await.unwrap();
    assert!(apart.is_certain);
    match second.commit_apart().await {
        Ok(late) => assert_eq!((late.key, late.is_certain), (apart.key.clone(), false)),
        Err(error) => assert!(matches!(error, roadstead_storage::Error::Busy(_))),
    }
    let stored = one.get(&apart.key, u64::MAX).await.unwrap();
    assert!(stored == [&content[..], &content[..]].concat());
    one.delete(&Key::root()).await.unwrap();
}

const ROUNDS: usize = 4;

/// What clients do: registries, one of which a client asks and the other confirms.
#[derive(Clone)]
struct Clients {
    one: Registry,
    other: Registry,
}

impl Clients {
    fn swapped(&self) -> Self {
        Self {
            one: self.other.clone(),
            other: self.one.clone(),
        }
    }

    /// Pushes a blob until the registry says that it has it.
    async fn push_blob(&self, name: &RepositoryName, content: &Bytes) {
        for _ in 0..100 {
            match self.try_push_blob(name, content).await {
                Ok(()) => return,
                // Purged meanwhile.
                Err(Error::UploadUnknown | Error::UploadBusy) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("an upload is purged each time");
    }

    async fn try_push_blob(&self, name: &RepositoryName, content: &Bytes) -> Result<(), Error> {
        let id = self.one.repository(name).uploads().begin().await?.id;
        let half = content.len() / 2;
        let mut upload = self.one.repository(name).uploads().open(&id).await?;
        append(&mut upload, &content.slice(..half)).await?;
        upload.checkpoint().await?;
        drop(upload);
        let mut upload = self.other.repository(name).uploads().open(&id).await?;
        append(&mut upload, &content.slice(half..)).await?;
        upload.finish(&sha256(content)).await
    }

    /// Pushes an image until it is whole, with its blobs from `base` if that has them.
    async fn push(&self, name: &RepositoryName, tag: &str, blobs: &[Bytes], base: Option<&str>) {
        let base: Option<RepositoryName> = base.map(|base| base.parse().unwrap());
        for _ in 0..100 {
            for blob in blobs {
                let mounted = match &base {
                    Some(base) => {
                        let blobs = self.one.repository(name).blobs();
                        let digest = sha256(blob);
                        let mounted = blobs.mount(&digest, Some(base), &|_| true).await;
                        mounted.unwrap().is_some()
                    }
                    None => false,
                };
                if !mounted {
                    self.push_blob(name, blob).await;
                }
            }
            let new = NewManifest {
                reference: tag.parse().unwrap(),
                tags: Vec::new(),
                content_type: None,
                bytes: image(blobs),
            };
            match self.one.repository(name).manifests().push(new).await {
                Ok(_) => return,
                // Nothing referred to the blobs yet: they were garbage.
                Err(Error::ReferencesUnknown(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        panic!("{name}:{tag} is never whole");
    }

    /// What was said to be there is.
    async fn assert_pullable(&self, name: &RepositoryName, tag: &str, blobs: &[Bytes]) {
        for registry in [&self.other, &self.one] {
            let repository = registry.repository(name);
            let pulled = repository.manifests().pull(&tag.parse().unwrap()).await;
            assert_eq!(pulled.unwrap().bytes, image(blobs), "{name}:{tag}");
            for blob in blobs {
                let digest = sha256(blob);
                let pull = repository.blobs().pull(&digest, ByteRange::ALL).await;
                assert!(content_of(pull.unwrap()).await == *blob, "{name}:{tag}");
            }
        }
    }

    async fn delete(&self, name: &RepositoryName, tag: &str, blobs: &[Bytes]) {
        let digest = sha256(&image(blobs));
        self.one
            .repository(name)
            .manifests()
            .delete(&digest)
            .await
            .unwrap();
        for registry in [&self.other, &self.one] {
            let manifests = registry.repository(name).manifests();
            for reference in [tag.to_owned(), digest.to_string()] {
                let pulled = manifests.pull(&reference.parse().unwrap()).await;
                assert!(matches!(pulled, Err(Error::ManifestUnknown(..))));
            }
        }
        for blob in blobs {
            let digest = sha256(blob);
            match self.one.repository(name).blobs().delete(&digest).await {
                // Garbage collection was faster.
                Ok(()) | Err(Error::BlobUnknown(_)) => {}
                Err(error) => panic!("{error:?}"),
            }
            let stat = self.other.repository(name).blobs().stat(&digest).await;
            assert!(matches!(stat, Err(Error::BlobUnknown(_))), "{stat:?}");
        }
    }
}

fn image(blobs: &[Bytes]) -> Bytes {
    let descriptor = |blob: &Bytes| {
        let (digest, size) = (sha256(blob), blob.len());
        format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":{size}}}"#)
    };
    let (config, layer) = (descriptor(&blobs[0]), descriptor(&blobs[1]));
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#).into()
}

/// Those of one image, the first one like in all others.
fn blobs(seed: usize) -> [Bytes; 2] {
    [pattern(300, 0), pattern(1000 + seed, seed)]
}

/// Pushes, mounts and deletions by two registries, while a third one purges and collects whatever
/// it may, one step at a time as a function does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_of_two_registries_is_true_while_a_third_one_maintains() {
    let Some(shared) = Shared::new(Conditions::Unknown).await else {
        return;
    };
    let policy = Policy {
        delete: true,
        ..Policy::default()
    };
    let clients = Clients {
        one: shared.registry_with(policy.clone()).await,
        other: shared.registry_with(policy).await,
    };
    let maintainer = shared.registry().await;
    let base: RepositoryName = "base".parse().unwrap();
    clients.push(&base, "latest", &blobs(0), None).await;
    let mut tasks = tokio::task::JoinSet::new();
    for (seed, clients) in [(1, clients.clone()), (2, clients.swapped())] {
        let (base, pushing, again) = (base.clone(), clients.clone(), clients.swapped());
        tasks.spawn(async move {
            let clients = pushing;
            for round in 0..ROUNDS {
                let (tag, blobs) = (format!("v{round}"), blobs(seed * 100 + round));
                let name = format!("pushed/{seed}").parse().unwrap();
                clients.push(&name, &tag, &blobs, None).await;
                clients.assert_pullable(&name, &tag, &blobs).await;
            }
        });
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let name = format!("doomed/{seed}").parse().unwrap();
                again.push(&name, "latest", &blobs(round), None).await;
                again.assert_pullable(&name, "latest", &blobs(round)).await;
                again.delete(&name, "latest", &blobs(round)).await;
            }
        });
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let name = format!("mounted/{seed}/{round}").parse().unwrap();
                clients.push(&name, "latest", &blobs(0), Some("base")).await;
                clients.assert_pullable(&name, "latest", &blobs(0)).await;
                clients.assert_pullable(&base, "latest", &blobs(0)).await;
            }
        });
    }
    let options = CollectOptions {
        dry_run: false,
        delete_untagged: true,
        grace: Duration::ZERO,
    };
    let maintaining = async {
        for run in 0.. {
            if run % 20 == 0 {
                maintainer
                    .purge_uploads(Duration::ZERO, false)
                    .await
                    .unwrap();
            }
            let collected = maintainer
                .collect_garbage_while(options, &|| false, &mut |_| ())
                .await
                .unwrap();
            assert_ne!(collected, Collected::Elsewhere, "no lease is left");
        }
    };
    let living = async {
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap()
        }
    };
    tokio::select! {
        () = maintaining => unreachable!("it goes on for ever"),
        () = living => {}
    }
    for seed in [1, 2] {
        for round in 0..ROUNDS {
            let name = format!("pushed/{seed}").parse().unwrap();
            let (tag, blobs) = (format!("v{round}"), blobs(seed * 100 + round));
            clients.assert_pullable(&name, &tag, &blobs).await;
        }
    }
}
