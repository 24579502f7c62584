//! What stands in front: refused means that nothing has changed.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;
use roadstead_metadata::Page;
use roadstead_oci::{Digest, ErrorCode, Reference, RepositoryName};
use roadstead_registry::middleware::{
    AllowList, ImmutableTags, Middleware, Pattern, ReadOnly, RepositoryMiddleware,
};
use roadstead_registry::{Error, NewManifest, Registry};
use roadstead_storage::MemoryDriver;

use crate::drivers::Troubled;
use crate::kit::{
    image, index, name, pull_blob, pull_manifest, push_blob, push_manifest, push_untagged,
    registry, sha256, tag, tree,
};

fn starting(with: &'static str) -> Pattern {
    Pattern::new(move |name| name.starts_with(with))
}

fn allowed(registry: Registry) -> Registry {
    registry.with_middleware(Middleware {
        registry: vec![Arc::new(AllowList::new(starting("open/")))],
        ..Middleware::default()
    })
}

fn guarded(registry: Registry, by: impl RepositoryMiddleware + 'static) -> Registry {
    registry.with_middleware(Middleware {
        repository: vec![Arc::new(by)],
        ..Middleware::default()
    })
}

fn is_denied<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|error| error.code() == ErrorCode::Denied)
}

/// An image that differs with `text`, of which only the manifest is not there yet.
async fn prepared(registry: &Registry, name: &RepositoryName, text: &str) -> Bytes {
    let digest = sha256(text.as_bytes());
    push_blob(registry, name, text.as_bytes(), &digest)
        .await
        .unwrap();
    image(&digest, &[], None)
}

async fn points_to(registry: &Registry, name: &RepositoryName, reference: &str) -> Digest {
    let bytes = pull_manifest(registry, name, &tag(reference)).await;
    sha256(&bytes.unwrap())
}

#[tokio::test]
async fn only_what_is_on_the_list_is_served() {
    let registry = allowed(registry(&MemoryDriver::new()));
    assert!(registry.admit(&name("open/a")).is_ok());
    for other in ["open", "opened/a", "closed/a"] {
        assert!(is_denied(registry.admit(&name(other))), "{other}");
    }
}

#[tokio::test]
async fn a_catalog_has_no_hole_where_a_repository_is_not_served() {
    let driver = MemoryDriver::new();
    let everything = registry(&driver);
    // More than are looked at in one go, before, between and after those that are served.
    let hidden = (0..1005).map(|number| format!("many/{number:04}"));
    let others = ["a", "open/a", "open/b", "open/c", "z"].map(str::to_owned);
    for repository in hidden.chain(others) {
        let pushed = push_untagged(&everything, &name(&repository), &index(&[])).await;
        pushed.unwrap();
    }
    let served = allowed(registry(&driver));
    let catalog = async |after: Option<&str>, limit| {
        let names = served.catalog(Page { after, limit }).await.unwrap();
        names.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        catalog(None, usize::MAX).await,
        ["open/a", "open/b", "open/c"]
    );
    assert_eq!(catalog(None, 2).await, ["open/a", "open/b"]);
    assert_eq!(catalog(Some("open/b"), 2).await, ["open/c"]);
    assert_eq!(catalog(Some("many/0500"), 1).await, ["open/a"]);
    assert!(catalog(Some("open/c"), 9).await.is_empty());
    assert!(catalog(None, 0).await.is_empty());
    assert_eq!(everything.catalog(Page::ALL).await.unwrap().len(), 1010);
}

#[tokio::test]
async fn nothing_is_mounted_from_what_is_not_served() {
    let driver = MemoryDriver::new();
    let (open, closed) = (name("open/a"), name("closed/a"));
    let digest = sha256(b"content");
    push_blob(&registry(&driver), &closed, b"content", &digest)
        .await
        .unwrap();
    let registry = allowed(registry(&driver));
    let blobs = registry.repository(&open).blobs();
    for from in [Some(&closed), None] {
        let mounted = blobs
            .mount(&digest, from, &|_| true)
            .await
            .unwrap()
            .is_some();
        assert!(!mounted, "{from:?}");
    }
    let there = name("open/b");
    push_blob(&registry, &there, b"content", &digest)
        .await
        .unwrap();
    assert!(
        blobs
            .mount(&digest, None, &|_| true)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_read_only_repository_stays_as_it_is() {
    let driver = MemoryDriver::new();
    let (fixed, free) = (name("fixed"), name("free"));
    let everything = registry(&driver);
    let image = prepared(&everything, &fixed, "config").await;
    let digest = push_manifest(&everything, &fixed, tag("v1"), &image)
        .await
        .unwrap();
    let blob = sha256(b"config");
    push_blob(&everything, &free, b"other", &sha256(b"other"))
        .await
        .unwrap();
    let upload = everything
        .repository(&fixed)
        .uploads()
        .begin()
        .await
        .unwrap();
    let before = tree(&driver).await;
    let registry = guarded(registry(&driver), ReadOnly::new(starting("fixed")));
    let repository = registry.repository(&fixed);
    assert!(is_denied(repository.uploads().begin().await));
    assert!(is_denied(repository.uploads().open(&upload.id).await));
    assert!(is_denied(
        push_manifest(&registry, &fixed, tag("v2"), &image).await
    ));
    assert!(is_denied(
        push_untagged(&registry, &fixed, &index(&[])).await
    ));
    let other = sha256(b"other");
    let mount = repository.blobs().mount(&other, Some(&free), &|_| true);
    assert!(is_denied(mount.await));
    assert!(is_denied(repository.blobs().delete(&blob).await));
    assert!(is_denied(repository.manifests().delete(&digest).await));
    assert!(is_denied(
        repository.tags().delete(&"v1".parse().unwrap()).await
    ));
    assert_eq!(tree(&driver).await, before);
    assert_eq!(pull_blob(&registry, &fixed, &blob).await.unwrap(), "config");
    assert_eq!(points_to(&registry, &fixed, "v1").await, digest);
    let pushed = push_manifest(&registry, &free, tag("v1"), &index(&[])).await;
    pushed.unwrap();
    let mount = registry.repository(&free).blobs();
    assert!(
        mount
            .mount(&blob, Some(&fixed), &|_| true)
            .await
            .unwrap()
            .is_some()
    );
}

fn immutable(may_delete: bool) -> ImmutableTags {
    ImmutableTags::new(starting("app"), starting("v"), may_delete)
}

#[tokio::test]
async fn an_immutable_tag_stays_where_it_is() {
    let driver = MemoryDriver::new();
    let registry = guarded(registry(&driver), immutable(false));
    let app = name("app");
    let (one, two) = (
        prepared(&registry, &app, "one").await,
        prepared(&registry, &app, "two").await,
    );
    let first = push_manifest(&registry, &app, tag("v1"), &one)
        .await
        .unwrap();
    let again = push_manifest(&registry, &app, tag("v1"), &one).await;
    assert_eq!(again.unwrap(), first);
    let before = tree(&driver).await;
    assert!(is_denied(
        push_manifest(&registry, &app, tag("v1"), &two).await
    ));
    // One tag of several is enough.
    let several = NewManifest {
        reference: Reference::Digest(sha256(&two)),
        tags: ["v2", "latest", "v1"]
            .map(|tag| tag.parse().unwrap())
            .into(),
        content_type: None,
        bytes: two.clone(),
    };
    assert!(is_denied(
        registry.repository(&app).manifests().push(several).await
    ));
    assert_eq!(tree(&driver).await, before);
    // Other tags, and other repositories, move as ever.
    for bytes in [&one, &two] {
        push_manifest(&registry, &app, tag("latest"), bytes)
            .await
            .unwrap();
        assert_eq!(points_to(&registry, &app, "latest").await, sha256(bytes));
    }
    let lib = name("lib");
    for text in ["one", "two"] {
        let image = prepared(&registry, &lib, text).await;
        push_manifest(&registry, &lib, tag("v1"), &image)
            .await
            .unwrap();
    }
    assert_eq!(points_to(&registry, &lib, "v1").await, sha256(&two));
    assert_eq!(points_to(&registry, &app, "v1").await, first);
}

#[tokio::test]
async fn an_immutable_tag_is_not_deleted_either() {
    let driver = MemoryDriver::new();
    let everything = registry(&driver);
    let app = name("app");
    let one = prepared(&everything, &app, "one").await;
    let first = push_manifest(&everything, &app, tag("v1"), &one)
        .await
        .unwrap();
    push_manifest(&everything, &app, tag("latest"), &one)
        .await
        .unwrap();
    let two = prepared(&everything, &app, "two").await;
    let second = push_manifest(&everything, &app, tag("next"), &two)
        .await
        .unwrap();
    let strict = guarded(registry(&driver), immutable(false));
    let repository = strict.repository(&app);
    let v1 = "v1".parse().unwrap();
    assert!(is_denied(repository.tags().delete(&v1).await));
    assert!(is_denied(repository.manifests().delete(&first).await));
    assert_eq!(points_to(&strict, &app, "v1").await, first);
    repository
        .tags()
        .delete(&"latest".parse().unwrap())
        .await
        .unwrap();
    repository.manifests().delete(&second).await.unwrap();
    let lenient = guarded(registry(&driver), immutable(true));
    lenient.repository(&app).tags().delete(&v1).await.unwrap();
    let two = prepared(&lenient, &app, "two").await;
    push_manifest(&lenient, &app, tag("v1"), &two)
        .await
        .unwrap();
    lenient
        .repository(&app)
        .manifests()
        .delete(&second)
        .await
        .unwrap();
    push_manifest(&lenient, &app, tag("v1"), &one)
        .await
        .unwrap();
    assert_eq!(points_to(&lenient, &app, "v1").await, first);
}

#[tokio::test]
async fn of_pushes_that_meet_the_first_one_has_the_tag() {
    let driver = Troubled::dawdling(&MemoryDriver::new(), 7);
    let process = || guarded(registry(&driver), immutable(false));
    let processes = [process(), process()];
    let app = name("app");
    let mut images = Vec::new();
    for number in 0..8 {
        images.push(prepared(&processes[0], &app, &number.to_string()).await);
    }
    let (registry, app) = (&processes[0], &app);
    for round in 0..20 {
        // In both orders, as whoever waits for one tag may hold the other.
        let mut tags = [format!("v{round}"), format!("v{round}-full")];
        let pushes = images.iter().zip(processes.iter().cycle());
        let pushes = pushes.map(|(image, registry)| {
            tags.reverse();
            let new = NewManifest {
                reference: Reference::Digest(sha256(image)),
                tags: tags.iter().map(|tag| tag.parse().unwrap()).collect(),
                content_type: None,
                bytes: image.clone(),
            };
            async move { registry.repository(app).manifests().push(new).await }
        });
        let pushed = join_all(pushes).await;
        let winners: Vec<_> = pushed.iter().flatten().collect();
        assert_eq!(winners.len(), 1, "{pushed:?}");
        for tag in &tags {
            assert_eq!(points_to(registry, app, tag).await, winners[0].digest);
        }
        assert!(pushed.into_iter().filter(Result::is_err).all(is_denied));
    }
}

#[tokio::test]
async fn the_outermost_is_asked_first() {
    let both = Middleware {
        repository: vec![
            Arc::new(ReadOnly::new(Pattern::all())),
            Arc::new(immutable(false)),
        ],
        ..Middleware::default()
    };
    let driver = MemoryDriver::new();
    let app = name("app");
    let bytes = index(&[]);
    push_manifest(&registry(&driver), &app, tag("v1"), &bytes)
        .await
        .unwrap();
    let registry = registry(&driver).with_middleware(both);
    let other = image(&sha256(b""), &[], None);
    let denied = push_manifest(&registry, &app, tag("v1"), &other).await;
    assert_eq!(denied.unwrap_err().to_string(), "the tag v1 is immutable");
    let denied = push_manifest(&registry, &app, tag("latest"), &other).await;
    assert_eq!(
        denied.unwrap_err().to_string(),
        "the repository app is read-only"
    );
}
