//! [`LinkStore`](crate::LinkStore).

use super::*;

/// A digest that nothing in the suite has.
pub(super) const BESIDE: &str =
    "sha256:7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";

/// Until it is unlinked; linking again changes nothing.
pub async fn a_blob_belongs_to_the_repositories_it_is_linked_in(store: &dyn Store) -> Outcome {
    let (metadata, digest) = (store.metadata(), sha256(b"blob"));
    for repository in ["app", "app/b", "app"] {
        metadata.link(&name(repository), &digest, None).await?;
    }
    let linked = async |repository: &str| store.metadata().linked(&name(repository), &digest).await;
    assert_eq!(linked("app").await?.as_ref(), Some(&digest));
    assert_eq!(linked("app/b").await?.as_ref(), Some(&digest));
    assert_eq!(linked("b").await?, None);
    let links = metadata.links(&name("app"), Page::ALL).await?;
    assert_eq!(links.len(), 1);
    assert!(is_recent(links[0].modified));
    assert!(metadata.unlink(&name("app"), &digest).await?);
    assert!(!metadata.unlink(&name("app"), &digest).await?);
    assert_eq!(linked("app").await?, None);
    assert_eq!(linked("app/b").await?.as_ref(), Some(&digest));
    metadata.link(&name("app"), &digest, None).await?;
    assert_eq!(linked("app").await?.as_ref(), Some(&digest));
    Ok(())
}

/// As long as the canonical one is there; whichever is unlinked, both are gone.
pub async fn an_alias_names_the_same_blob(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let (digest, alias) = (sha256(b"blob"), sha512(b"blob"));
    for unlinked in [&digest, &alias] {
        metadata.link(&app, &digest, Some(&alias)).await?;
        metadata.link(&app, &digest, None).await?;
        for known in [&digest, &alias] {
            assert_eq!(metadata.linked(&app, known).await?.as_ref(), Some(&digest));
        }
        let links = metadata.links(&app, Page::ALL).await?;
        assert_eq!(links.len(), 1, "an alias is no blob of its own");
        assert_eq!(links[0].digest, digest);
        assert!(metadata.unlink(&app, unlinked).await?);
        for gone in [&digest, &alias] {
            assert_eq!(metadata.linked(&app, gone).await?, None);
            assert!(!metadata.unlink(&app, gone).await?);
        }
    }
    Ok(())
}

/// Which is what an upload between a look at it and the sweep amounts to.
pub async fn what_is_linked_again_is_not_swept(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let (digest, alias) = (sha256(b"blob"), sha512(b"blob"));
    metadata.link(&app, &digest, Some(&alias)).await?;
    let sweep = metadata.sweep(&app).await?;
    let before = SystemTime::now() - Duration::from_secs(60);
    assert!(!sweep.unlink(&digest, before).await?);
    assert_eq!(metadata.linked(&app, &alias).await?.as_ref(), Some(&digest));
    assert!(sweep.unlink(&digest, later()).await?);
    assert!(!sweep.unlink(&digest, later()).await?);
    assert_eq!(metadata.linked(&app, &digest).await?, None);
    sweep.link(&digest).await?;
    assert_eq!(
        metadata.linked(&app, &digest).await?.as_ref(),
        Some(&digest)
    );
    Ok(())
}

/// In pages of any size.
pub async fn links_are_listed_in_the_order_of_their_digests(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let mut digests = Vec::new();
    for content in ["1", "2", "3", "4", "5", "6"] {
        let digest = sha256(content.as_bytes());
        metadata.link(&name("app"), &digest, None).await?;
        digests.push(digest.to_string());
    }
    digests.sort();
    let list = async |page: Page<'_>| {
        let links = metadata.links(&name("app"), page).await?;
        Ok(links.iter().map(|link| link.digest.to_string()).collect())
    };
    check_pages(list, &digests, &[BESIDE]).await
}
