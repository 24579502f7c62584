//! Several at once.

use super::*;

const AT_ONCE: usize = 12;

/// Each push succeeds, and all that says what the tag points to agrees.
pub async fn of_many_pushes_of_one_tag_one_is_last(store: &dyn Store) -> Outcome {
    let images: Vec<_> = (0..AT_ONCE)
        .map(|seed| manifest(&seed.to_string()))
        .collect();
    let mut pushes = tokio::task::JoinSet::new();
    for image in &images {
        let (metadata, push) = (store.metadata(), push("app", image, &["latest"]));
        pushes.spawn(async move { metadata.record(&push).await });
    }
    while let Some(pushed) = pushes.join_next().await {
        pushed??;
    }
    let (metadata, app) = (store.metadata(), name("app"));
    let last = metadata.tag(&app, &tag("latest")).await?;
    let found = metadata.manifest(&app, &by_tag("latest")).await?;
    assert_eq!(last.as_ref(), found.as_ref().map(|found| &found.digest));
    assert!(images.iter().any(|image| found.as_ref() == Some(image)));
    for image in &images {
        let found = metadata.manifest(&app, &by_digest(&image.digest)).await?;
        assert_eq!(found.as_ref(), Some(image));
    }
    Ok(())
}

/// Whichever processes they are of; the others are told. It can be pushed again, and what is not
/// fixed moves.
pub async fn of_pushes_that_fix_a_tag_one_has_it(store: &dyn Store) -> Outcome {
    let app = name("app");
    for round in 0..20 {
        let tags = [format!("b{round}"), format!("a{round}")];
        let tags = tags.each_ref().map(String::as_str);
        let fixing = |seed: usize| ManifestPush {
            fixed: tags.iter().map(|text| tag(text)).collect(),
            ..push("app", &manifest(&format!("{round}-{seed}")), &tags)
        };
        let mut pushes = tokio::task::JoinSet::new();
        for seed in 0..4 {
            let (metadata, push) = (store.metadata(), fixing(seed));
            pushes.spawn(async move { (seed, metadata.record(&push).await) });
        }
        let mut winners = Vec::new();
        while let Some(pushed) = pushes.join_next().await {
            match pushed? {
                (seed, Ok(())) => winners.push(seed),
                (_, Err(Error::TagTaken(taken))) => assert!(tags.contains(&taken.as_str())),
                (_, Err(error)) => return Err(error.into()),
            }
        }
        let [winner] = winners[..] else {
            panic!("{winners:?} have the tag");
        };
        let metadata = store.metadata();
        metadata.record(&fixing(winner)).await?;
        let expected = fixing(winner).manifest.digest;
        for text in tags {
            let found = metadata.tag(&app, &tag(text)).await?;
            assert_eq!(found.as_ref(), Some(&expected));
        }
        let other = manifest("other");
        metadata.record(&push("app", &other, &tags)).await?;
        let moved = metadata.tag(&app, &tag(tags[0])).await?;
        assert_eq!(moved, Some(other.digest));
    }
    Ok(())
}

/// Either the manifest is there with the tag, or neither is.
pub async fn a_push_and_a_deletion_leave_no_half(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    for round in 0..15 {
        let old = push("app", &image, &["old"]);
        metadata.record(&old).await?;
        let new = push("app", &image, &["new"]);
        let pushing = Arc::clone(&metadata);
        let pushing = tokio::spawn(async move { pushing.record(&new).await });
        let deleting = Arc::clone(&metadata);
        let (repository, digest) = (app.clone(), image.digest.clone());
        let deleting =
            tokio::spawn(async move { deleting.delete_manifest(&repository, &digest, None).await });
        pushing.await??;
        deleting.await??;
        let is_there = metadata.revision(&app, &image.digest).await?.is_some();
        let by_digest = metadata.manifest(&app, &by_digest(&image.digest)).await?;
        assert_eq!(by_digest.is_some(), is_there, "round {round}");
        let is_tagged = metadata.tag(&app, &tag("new")).await?.is_some();
        assert_eq!(is_tagged, is_there, "round {round}");
        let by_tag = metadata.manifest(&app, &by_tag("new")).await?;
        assert_eq!(by_tag.is_some(), is_there, "round {round}");
        metadata.delete_manifest(&app, &image.digest, None).await?;
    }
    Ok(())
}

/// Whoever can read the tag can pull what it points to.
pub async fn a_tag_is_never_seen_before_its_manifest(store: &dyn Store) -> Outcome {
    let app = name("app");
    let (writer, reader) = (store.metadata(), store.metadata());
    let writing = tokio::spawn(async move {
        for seed in 0..40 {
            let image = manifest(&format!("new {seed}"));
            writer.record(&push("app", &image, &["latest"])).await?;
        }
        Ok::<_, Error>(())
    });
    while !writing.is_finished() {
        if let Some(digest) = reader.tag(&app, &tag("latest")).await? {
            let found = reader.manifest(&app, &by_digest(&digest)).await?;
            assert!(found.is_some(), "{digest} is tagged but not there");
            let found = reader.manifest(&app, &by_tag("latest")).await?;
            assert!(found.is_some(), "the tag is gone");
        }
        tokio::task::yield_now().await;
    }
    writing.await??;
    Ok(())
}

/// The others are told that it was not there.
pub async fn one_of_many_deletions_finds_the_tag(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    metadata
        .record(&push("app", &manifest("1"), &["latest"]))
        .await?;
    let mut deletions = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let metadata = Arc::clone(&metadata);
        deletions.spawn(async move { metadata.delete_tag(&name("app"), &tag("latest")).await });
    }
    let mut found = 0;
    while let Some(deleted) = deletions.join_next().await {
        found += usize::from(deleted??);
    }
    assert_eq!(found, 1);
    Ok(())
}
