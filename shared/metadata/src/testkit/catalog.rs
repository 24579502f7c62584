//! [`CatalogStore`](crate::CatalogStore).

use super::*;

/// `-` and `.` come before `/`: what lies below a name is not its neighbour.
pub async fn repositories_are_listed_in_the_order_of_their_bytes(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let mut names: Vec<String> = [
        "0", "a", "a-b", "a-b/c", "a.b", "a/b", "a/b-c", "a/b/c", "a/bc", "a0", "a_b", "a__b",
        "ab", "b", "b/a",
    ]
    .map(str::to_owned)
    .to_vec();
    names.extend((0..20).map(|number| format!("many/{number}")));
    names.push("z".repeat(RepositoryName::MAX_LENGTH));
    for repository in names.iter().rev() {
        metadata
            .record(&push(repository, &manifest("1"), &[]))
            .await?;
    }
    names.sort();
    let beside = [
        "",
        "a-",
        "a/",
        "a/b/",
        "a/b/c/d",
        "many",
        "zz",
        &"z".repeat(4000),
    ];
    for which in [Repositories::WithManifests, Repositories::All] {
        let list = async |page: Page<'_>| {
            let repositories = store.metadata().repositories(which, page).await?;
            Ok(repositories
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect())
        };
        check_pages(list, &names, &beside).await?;
    }
    Ok(())
}

/// Maintenance sees the others too: those with blobs or uploads only, and those that lost their
/// manifests as long as they have something.
pub async fn the_catalog_has_repositories_with_manifests(store: &dyn Store) -> Outcome {
    let (metadata, image) = (store.metadata(), manifest("1"));
    metadata.record(&push("image", &image, &["latest"])).await?;
    metadata.link(&name("blob"), &sha256(b"blob"), None).await?;
    metadata.begin(&session("upload", "0-0-1")).await?;
    metadata.record(&push("lost", &image, &["latest"])).await?;
    metadata.link(&name("lost"), &sha256(b"blob"), None).await?;
    metadata
        .delete_manifest(&name("lost"), &image.digest, None)
        .await?;
    for metadata in [metadata, store.metadata()] {
        let all = metadata.repositories(Repositories::All, Page::ALL).await?;
        assert_eq!(all, ["blob", "image", "lost", "upload"].map(name));
        let catalog = metadata
            .repositories(Repositories::WithManifests, Page::ALL)
            .await?;
        assert_eq!(catalog, [name("image")]);
        metadata.record(&push("blob", &image, &[])).await?;
        let catalog = metadata
            .repositories(Repositories::WithManifests, page(None, 1))
            .await?;
        assert_eq!(catalog, [name("blob")]);
        metadata
            .delete_manifest(&name("blob"), &image.digest, None)
            .await?;
    }
    Ok(())
}
