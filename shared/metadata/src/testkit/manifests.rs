//! [`ManifestStore`](crate::ManifestStore).

use super::*;

/// Nothing that is not there is an error: lookups are `None`, lists empty, deletions `false`.
pub async fn what_is_not_there_is_none(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let (app, digest) = (name("app"), sha256(b"nothing"));
    for reference in [
        by_digest(&digest),
        by_digest(&sha512(b"")),
        by_tag("latest"),
    ] {
        assert_eq!(metadata.manifest(&app, &reference).await?, None);
    }
    assert_eq!(metadata.revision(&app, &digest).await?, None);
    assert_eq!(metadata.delete_manifest(&app, &digest, None).await?, []);
    metadata
        .sweep(&app)
        .await?
        .manifest(&digest, Some(&digest), later())
        .await?;
    assert_eq!(metadata.revisions(&app, Page::ALL).await?, []);
    assert_eq!(metadata.tag(&app, &tag("latest")).await?, None);
    assert_eq!(metadata.tags(&app, Page::ALL).await?, None);
    assert!(!metadata.delete_tag(&app, &tag("latest")).await?);
    assert_eq!(metadata.linked(&app, &digest).await?, None);
    assert!(!metadata.unlink(&app, &digest).await?);
    assert_eq!(metadata.links(&app, Page::ALL).await?, []);
    assert_eq!(stored(store, &digest).await?, None);
    assert!(!metadata.delete_blob(&digest).await?);
    assert_eq!(metadata.blobs(Page::ALL).await?.len(), 0);
    let referrers = referrers_of(&*metadata, "app", &digest, None, Page::ALL).await?;
    assert_eq!(referrers, Vec::<String>::new());
    assert_eq!(metadata.upload(&app, "0-0-0").await?, None);
    assert!(
        metadata
            .hash_state(&session("app", "0-0-0"), 9)
            .await?
            .is_none()
    );
    metadata.end(&app, "0-0-0").await?;
    assert_eq!(metadata.uploads(&app).await?.len(), 0);
    for which in [Repositories::All, Repositories::WithManifests] {
        assert_eq!(metadata.repositories(which, Page::ALL).await?, []);
    }
    Ok(())
}

/// With its bytes and its type, by another process at once.
pub async fn a_manifest_is_pulled_by_digest_and_by_tag(store: &dyn Store) -> Outcome {
    let (app, image) = (name("app/web"), manifest("1"));
    store
        .metadata()
        .record(&push("app/web", &image, &["1.0", "latest"]))
        .await?;
    let metadata = store.metadata();
    for reference in [by_digest(&image.digest), by_tag("1.0"), by_tag("latest")] {
        let found = metadata.manifest(&app, &reference).await?;
        assert_eq!(found.as_ref(), Some(&image), "{reference}");
    }
    assert_eq!(
        metadata.revision(&app, &image.digest).await?,
        Some(image.digest.clone())
    );
    assert_eq!(metadata.tag(&app, &tag("1.0")).await?, Some(image.digest));
    assert_eq!(metadata.manifest(&app, &by_tag("1")).await?, None);
    Ok(())
}

/// Up to the largest that the core takes.
pub async fn manifests_of_any_size_read_back(store: &dyn Store) -> Outcome {
    const KIB: usize = 1024;
    let metadata = store.metadata();
    for size in [
        30 * KIB,
        40 * KIB,
        250 * KIB,
        260 * KIB,
        390 * KIB,
        450 * KIB,
        4096 * KIB,
    ] {
        let few = manifest_with("large", r#","annotations":{"a":""}"#)
            .bytes
            .len();
        let filling = "x".repeat(size - few);
        let image = manifest_with("large", &format!(r#","annotations":{{"a":"{filling}"}}"#));
        assert_eq!(image.bytes.len(), size);
        // Twice: the second time it is there already.
        for _ in 0..2 {
            metadata
                .record(&push("app", &image, &["large", "other"]))
                .await?;
            for reference in [by_digest(&image.digest), by_tag("large"), by_tag("other")] {
                let found = store.metadata().manifest(&name("app"), &reference).await?;
                assert!(
                    found.as_ref() == Some(&image),
                    "{size} bytes by {reference}"
                );
            }
        }
    }
    Ok(())
}

/// The same push again changes nothing.
pub async fn a_push_may_be_repeated(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let subject = sha256(b"subject");
    let image = manifest_with("1", &subject_field(&subject));
    for _ in 0..3 {
        metadata
            .record(&push("app", &image, &["a", "b", "a"]))
            .await?;
        let app = name("app");
        assert_eq!(
            metadata.manifest(&app, &by_tag("a")).await?,
            Some(image.clone())
        );
        assert_eq!(
            metadata.tags(&app, Page::ALL).await?,
            Some(vec![tag("a"), tag("b")])
        );
        let revisions = metadata.revisions(&app, Page::ALL).await?;
        assert_eq!(revisions.len(), 1);
        assert!(is_recent(revisions[0].modified));
        let referrers = referrers_of(&*metadata, "app", &subject, None, Page::ALL).await?;
        assert_eq!(referrers, [image.digest.to_string()]);
    }
    Ok(())
}

/// Another digest of the same bytes finds the manifest under its canonical one, as long as that
/// is there.
pub async fn an_alias_names_the_same_manifest(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    let alias = sha512(&image.bytes);
    metadata.record(&push("app", &image, &["plain"])).await?;
    assert_eq!(metadata.revision(&app, &alias).await?, None);
    let with_alias = ManifestPush {
        alias: Some(alias.clone()),
        ..push("app", &image, &["latest"])
    };
    metadata.record(&with_alias).await?;
    metadata.record(&push("app", &image, &[])).await?;
    assert_eq!(
        metadata.revision(&app, &alias).await?,
        Some(image.digest.clone())
    );
    let found = metadata.manifest(&app, &by_digest(&alias)).await?;
    assert_eq!(found.as_ref(), Some(&image));
    assert_eq!(
        metadata.tag(&app, &tag("latest")).await?,
        Some(image.digest.clone())
    );
    let revisions = metadata.revisions(&app, Page::ALL).await?;
    assert_eq!(revisions.len(), 1, "an alias is no revision");
    metadata.delete_manifest(&app, &image.digest, None).await?;
    assert_eq!(metadata.revision(&app, &alias).await?, None);
    assert_eq!(metadata.manifest(&app, &by_digest(&alias)).await?, None);
    Ok(())
}

/// Also where names of repositories begin with one another.
pub async fn a_manifest_belongs_to_its_repository(store: &dyn Store) -> Outcome {
    let (metadata, image) = (store.metadata(), manifest("1"));
    metadata.record(&push("app/b", &image, &["latest"])).await?;
    for other in ["app", "app/b/c", "app/bc", "b"] {
        let other = name(other);
        assert_eq!(
            metadata.manifest(&other, &by_digest(&image.digest)).await?,
            None
        );
        assert_eq!(metadata.manifest(&other, &by_tag("latest")).await?, None);
        assert_eq!(metadata.revision(&other, &image.digest).await?, None);
        assert_eq!(metadata.tags(&other, Page::ALL).await?, None);
    }
    metadata.record(&push("app", &image, &["latest"])).await?;
    metadata
        .delete_manifest(&name("app/b"), &image.digest, None)
        .await?;
    let found = metadata.manifest(&name("app"), &by_tag("latest")).await?;
    assert_eq!(found, Some(image));
    Ok(())
}

/// And nothing else.
pub async fn deleting_a_manifest_takes_its_tags_and_its_edge(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let subject = sha256(b"subject");
    let doomed = manifest_with("doomed", &subject_field(&subject));
    let kept = manifest_with("kept", &subject_field(&subject));
    metadata
        .record(&push("app", &doomed, &["moved", "b", "a"]))
        .await?;
    metadata
        .record(&push("app", &kept, &["moved", "kept"]))
        .await?;
    let removed = metadata
        .delete_manifest(&app, &doomed.digest, Some(&subject))
        .await?;
    assert_eq!(removed, [tag("a"), tag("b")]);
    for gone in [by_digest(&doomed.digest), by_tag("a"), by_tag("b")] {
        assert_eq!(metadata.manifest(&app, &gone).await?, None);
    }
    assert_eq!(metadata.revision(&app, &doomed.digest).await?, None);
    assert_eq!(metadata.tag(&app, &tag("a")).await?, None);
    for there in [by_digest(&kept.digest), by_tag("moved"), by_tag("kept")] {
        let found = metadata.manifest(&app, &there).await?;
        assert_eq!(found.as_ref(), Some(&kept), "{there}");
    }
    let referrers = referrers_of(&*metadata, "app", &subject, None, Page::ALL).await?;
    assert_eq!(referrers, [kept.digest.to_string()]);
    Ok(())
}

/// The second time there is nothing to delete.
pub async fn deleting_may_be_repeated(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    metadata.record(&push("app", &image, &["a"])).await?;
    for removed in [vec![tag("a")], vec![], vec![]] {
        let again = metadata.delete_manifest(&app, &image.digest, None).await?;
        assert_eq!(again, removed);
    }
    Ok(())
}

/// As if it had never been there.
pub async fn a_deleted_manifest_can_be_pushed_again(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    for round in ["a", "b", "c"] {
        metadata.record(&push("app", &image, &[round])).await?;
        let found = metadata.manifest(&app, &by_tag(round)).await?;
        assert_eq!(found.as_ref(), Some(&image));
        let tags = metadata.tags(&app, Page::ALL).await?;
        assert_eq!(tags, Some(vec![tag(round)]));
        metadata.delete_manifest(&app, &image.digest, None).await?;
    }
    Ok(())
}

/// More than any transaction holds.
pub async fn a_push_may_have_any_number_of_tags(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let subject = sha256(b"subject");
    let image = manifest_with("1", &subject_field(&subject));
    let tags: Vec<String> = (0..130).map(|number| format!("t{number:03}")).collect();
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    metadata.record(&push("app", &image, &tags)).await?;
    let all: Vec<Tag> = tags.iter().map(|text| tag(text)).collect();
    assert_eq!(metadata.tags(&app, Page::ALL).await?, Some(all.clone()));
    for text in [tags[0], tags[64], tags[129]] {
        let found = metadata.manifest(&app, &by_tag(text)).await?;
        assert_eq!(found.as_ref(), Some(&image));
    }
    let removed = metadata.delete_manifest(&app, &image.digest, Some(&subject));
    assert_eq!(removed.await?, all);
    assert_eq!(metadata.tag(&app, &tag(tags[129])).await?, None);
    Ok(())
}

/// It takes a manifest without a tag, and its edge.
pub async fn a_sweep_spares_what_is_tagged(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let subject = sha256(b"subject");
    let swept = manifest_with("swept", &subject_field(&subject));
    let kept = manifest("kept");
    metadata.record(&push("app", &swept, &["latest"])).await?;
    metadata.record(&push("app", &kept, &["latest"])).await?;
    for _ in 0..2 {
        metadata
            .sweep(&app)
            .await?
            .manifest(&swept.digest, Some(&subject), later())
            .await?;
        assert_eq!(
            metadata.manifest(&app, &by_digest(&swept.digest)).await?,
            None
        );
        assert_eq!(metadata.revision(&app, &swept.digest).await?, None);
        let referrers = referrers_of(&*metadata, "app", &subject, None, Page::ALL).await?;
        assert_eq!(referrers, Vec::<String>::new());
        let found = metadata.manifest(&app, &by_tag("latest")).await?;
        assert_eq!(found.as_ref(), Some(&kept));
    }
    Ok(())
}

/// Which is what a push between a look at it and the sweep amounts to.
pub async fn what_is_pushed_again_is_not_swept(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let subject = sha256(b"subject");
    let image = manifest_with("1", &subject_field(&subject));
    metadata.record(&push("app", &image, &[])).await?;
    let sweep = async |since| {
        let metadata = store.metadata();
        let sweep = metadata.sweep(&app).await?;
        let swept = sweep.manifest(&image.digest, Some(&subject), since).await?;
        drop(sweep);
        let is_there = metadata.revision(&app, &image.digest).await?.is_some();
        let referrers = referrers_of(&*metadata, "app", &subject, None, Page::ALL).await?;
        assert_eq!(referrers.len(), usize::from(is_there));
        Ok::<_, Error>((swept, is_there))
    };
    let before = SystemTime::now() - Duration::from_secs(60);
    assert_eq!(sweep(before).await?, (false, true));
    assert_eq!(sweep(later()).await?, (true, false));
    assert_eq!(sweep(later()).await?, (false, false));
    Ok(())
}

struct Answer(bool);

#[async_trait]
impl Reliance for Answer {
    async fn holds(&self) -> Result<bool, Error> {
        Ok(self.0)
    }
}

struct Outage;

#[async_trait]
impl Reliance for Outage {
    async fn holds(&self) -> Result<bool, Error> {
        Err(Error::Unavailable("nobody knows".into()))
    }
}

/// By the process that was refused, or another one.
pub async fn a_push_that_lacks_something_takes_nothing_from_another(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    metadata.record(&push("app", &image, &["latest"])).await?;
    for metadata in [metadata, store.metadata()] {
        for tags in [&["latest"][..], &["other"], &[]] {
            let refused = push("app", &image, tags);
            assert!(!metadata.record_if(&refused, &Answer(false)).await?);
            for reference in [by_tag("latest"), by_digest(&image.digest)] {
                let found = metadata.manifest(&app, &reference).await?;
                assert_eq!(found.as_ref(), Some(&image));
            }
        }
    }
    Ok(())
}

/// Its tags point to what they did or to what it has stored, and done again it succeeds.
pub async fn a_push_that_could_not_look_takes_nothing_away(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let (before, image) = (manifest("1"), manifest("2"));
    metadata.record(&push("app", &before, &["latest"])).await?;
    let push = push("app", &image, &["latest"]);
    let recorded = metadata.record_if(&push, &Outage).await;
    assert!(matches!(recorded, Err(Error::Unavailable(_))));
    for metadata in [&metadata, &store.metadata()] {
        let tagged = metadata.manifest(&app, &by_tag("latest")).await?;
        let tagged = tagged.expect("it was there all the time");
        assert!([&before, &image].contains(&&tagged));
        let found = metadata.manifest(&app, &by_digest(&tagged.digest)).await?;
        assert_eq!(found, Some(tagged));
    }
    assert!(metadata.record_if(&push, &Answer(true)).await?);
    let tagged = metadata.manifest(&app, &by_tag("latest")).await?;
    assert_eq!(tagged, Some(image));
    Ok(())
}

/// Nor does one that lacks nothing lack its tags.
pub async fn a_push_that_lacks_something_has_no_tag(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    let image = push("app", &image, &["a", "b"]);
    let fixing = ManifestPush {
        fixed: [tag("b")].into(),
        ..image.clone()
    };
    for push in [image, fixing] {
        assert!(!metadata.record_if(&push, &Answer(false)).await?);
        for text in ["a", "b"] {
            assert_eq!(metadata.tag(&app, &tag(text)).await?, None);
            assert_eq!(metadata.manifest(&app, &by_tag(text)).await?, None);
        }
        assert!(metadata.record_if(&push, &Answer(true)).await?);
        let tagged = metadata.manifest(&app, &by_tag("b")).await?;
        assert_eq!(tagged.as_ref(), Some(&push.manifest));
        let digest = &push.manifest.digest;
        let removed = metadata.delete_manifest(&app, digest, None).await?;
        assert_eq!(removed, [tag("a"), tag("b")]);
    }
    Ok(())
}

/// In pages of any size.
pub async fn revisions_are_listed_in_the_order_of_their_digests(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let mut digests = Vec::new();
    for seed in ["1", "2", "3", "4", "5"] {
        let image = manifest(seed);
        metadata.record(&push("app", &image, &[])).await?;
        digests.push(image.digest.to_string());
    }
    digests.sort();
    let list = async |page: Page<'_>| {
        let revisions = metadata.revisions(&name("app"), page).await?;
        Ok(revisions.iter().map(|one| one.digest.to_string()).collect())
    };
    check_pages(list, &digests, &[super::links::BESIDE]).await
}

pub(super) fn subject_field(subject: &Digest) -> String {
    format!(r#","subject":{{"mediaType":"a/b","digest":"{subject}","size":2}}"#)
}
