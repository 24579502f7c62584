//! [`TagStore`](crate::TagStore).

use super::*;

/// Upper before lower case, and a name before those that it begins.
pub async fn tags_are_listed_in_the_order_of_their_bytes(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let longest = "t".repeat(Tag::MAX_LENGTH);
    let mut tags = vec![
        "1", "1-rc", "1.0", "1.0-rc", "1.0.0", "10", "A", "_", "a", "a-b", "a.b", "a_b", "aa",
    ];
    tags.push(&longest);
    let (one, other): (Vec<_>, Vec<_>) = tags.iter().rev().partition(|text| text.len() % 2 == 0);
    metadata.record(&push("app", &manifest("1"), &one)).await?;
    metadata
        .record(&push("app", &manifest("2"), &other))
        .await?;
    metadata
        .record(&push("app/a", &manifest("1"), &["elsewhere"]))
        .await?;
    let expected: Vec<String> = tags.into_iter().map(str::to_owned).collect();
    let beside = [
        "",
        "0",
        "1.",
        "1.0-",
        "B",
        "a-",
        "zzz",
        "~",
        &"t".repeat(3000),
    ];
    let list = async |page: Page<'_>| {
        let tags = metadata.tags(&name("app"), page).await?;
        Ok(tags
            .into_iter()
            .flatten()
            .map(|tag| tag.as_str().to_owned())
            .collect())
    };
    check_pages(list, &expected, &beside).await
}

/// It is known, unlike one that never had a manifest.
pub async fn a_repository_without_tags_has_an_empty_list(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    metadata
        .link(&name("blobs"), &sha256(b"blob"), None)
        .await?;
    metadata.begin(&session("uploads", "0-0-1")).await?;
    metadata.record(&push("app", &manifest("1"), &[])).await?;
    for metadata in [metadata, store.metadata()] {
        assert_eq!(metadata.tags(&name("app"), Page::ALL).await?, Some(vec![]));
        assert_eq!(
            metadata.tags(&name("app"), page(Some("a"), 1)).await?,
            Some(vec![])
        );
        assert_eq!(metadata.tags(&name("blobs"), Page::ALL).await?, None);
        assert_eq!(metadata.tags(&name("uploads"), Page::ALL).await?, None);
    }
    Ok(())
}

/// The manifest that it pointed to stays.
pub async fn a_tag_moves_to_another_manifest(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let images = ["1", "2", "1"].map(manifest);
    for image in &images {
        metadata.record(&push("app", image, &["latest"])).await?;
        let found = store.metadata().manifest(&app, &by_tag("latest")).await?;
        assert_eq!(found.as_ref(), Some(image));
        assert_eq!(
            metadata.tag(&app, &tag("latest")).await?,
            Some(image.digest.clone())
        );
    }
    for image in &images {
        let found = metadata.manifest(&app, &by_digest(&image.digest)).await?;
        assert_eq!(found.as_ref(), Some(image));
    }
    assert_eq!(
        metadata.tags(&app, Page::ALL).await?,
        Some(vec![tag("latest")])
    );
    Ok(())
}

/// Also those that begin with it.
pub async fn deleting_a_tag_spares_its_manifest_and_its_siblings(store: &dyn Store) -> Outcome {
    let (metadata, app, image) = (store.metadata(), name("app"), manifest("1"));
    metadata
        .record(&push("app", &image, &["1", "1.0", "1-rc", "10"]))
        .await?;
    assert!(metadata.delete_tag(&app, &tag("1")).await?);
    assert!(!metadata.delete_tag(&app, &tag("1")).await?);
    assert_eq!(metadata.manifest(&app, &by_tag("1")).await?, None);
    assert_eq!(metadata.tag(&app, &tag("1")).await?, None);
    for there in [
        by_digest(&image.digest),
        by_tag("1.0"),
        by_tag("1-rc"),
        by_tag("10"),
    ] {
        let found = metadata.manifest(&app, &there).await?;
        assert_eq!(found.as_ref(), Some(&image), "{there}");
    }
    let rest = ["1-rc", "1.0", "10"].map(tag).to_vec();
    assert_eq!(metadata.tags(&app, Page::ALL).await?, Some(rest));
    Ok(())
}
