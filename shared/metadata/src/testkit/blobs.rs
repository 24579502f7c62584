//! [`BlobStore`](crate::BlobStore).

use super::*;

/// With the bytes that were committed, and of its repository. Ending it again leaves the blob
/// alone, and so does purging what others have left.
pub async fn an_upload_becomes_a_blob(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let digest = upload(store, "0-0-1", "content").await?;
    assert_eq!(
        stored(store, &digest).await?.as_deref(),
        Some(&b"content"[..])
    );
    let linked = metadata.linked(&name("app"), &digest).await?;
    assert_eq!(linked.as_ref(), Some(&digest));
    assert_eq!(metadata.upload(&name("app"), "0-0-1").await?, None);
    metadata.end(&name("app"), "0-0-1").await?;
    metadata.purge(&name("app"), "0-0-1").await?;
    assert_eq!(metadata.upload(&name("app"), "0-0-1").await?, None);
    assert_eq!(
        stored(store, &digest).await?.as_deref(),
        Some(&b"content"[..])
    );
    let blobs = metadata.blobs(Page::ALL).await?;
    assert_eq!(blobs.len(), 1);
    assert_eq!(blobs[0].digest, digest);
    assert!(is_recent(blobs[0].modified));
    Ok(())
}

/// Its content is there all the while, and stays whatever becomes of the uploads.
pub async fn a_blob_is_pushed_again(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    for id in ["0-0-1", "0-0-2", "0-0-3"] {
        let digest = upload(store, id, "content").await?;
        assert_eq!(
            stored(store, &digest).await?.as_deref(),
            Some(&b"content"[..])
        );
        metadata.end(&name("app"), id).await?;
        assert_eq!(
            stored(store, &digest).await?.as_deref(),
            Some(&b"content"[..])
        );
    }
    assert_eq!(metadata.blobs(Page::ALL).await?.len(), 1);
    Ok(())
}

/// Without a way through the registry; done again, nothing changes. It can still be pushed.
pub async fn content_from_elsewhere_becomes_a_blob(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let content = Bytes::from_static(b"content");
    let digest = sha256(&content);
    store.put("elsewhere/content", content.clone()).await;
    let key = metadata.place(&digest, "elsewhere/content", 7).await?;
    for _ in 0..2 {
        assert_eq!(metadata.location(&digest).await?.as_ref(), Some(&key));
        assert_eq!(store.get(&key).await.as_ref(), Some(&content));
        assert_eq!(metadata.place(&digest, &key, 7).await?, key);
    }
    assert_eq!(metadata.blobs(Page::ALL).await?.len(), 1);
    upload(store, "0-0-1", "content").await?;
    metadata.end(&name("app"), "0-0-1").await?;
    let stored_now = stored(store, &digest).await?;
    assert_eq!(stored_now.as_ref(), Some(&content));
    assert!(metadata.delete_blob(&digest).await?);
    assert_eq!(stored(store, &digest).await?, None);
    Ok(())
}

/// Those of manifests and those of blobs, apart, and no canonical digest.
pub async fn aliases_are_listed(store: &dyn Store) -> Outcome {
    let (metadata, app) = (store.metadata(), name("app"));
    let record = manifest("a");
    let of_manifest = Alias {
        alias: sha512(&record.bytes),
        digest: record.digest.clone(),
    };
    metadata
        .record(&ManifestPush {
            alias: Some(of_manifest.alias.clone()),
            ..push("app", &record, &["latest"])
        })
        .await?;
    metadata.record(&push("app", &manifest("b"), &[])).await?;
    let of_blob = Alias {
        alias: sha512(b"content"),
        digest: sha256(b"content"),
    };
    let alias = Some(&of_blob.alias);
    metadata.link(&app, &of_blob.digest, alias).await?;
    metadata.link(&app, &sha256(b"other"), None).await?;
    assert_eq!(metadata.manifest_aliases(&app).await?, [of_manifest]);
    assert_eq!(metadata.blob_aliases(&app).await?, [of_blob]);
    let other = name("other");
    assert_eq!(metadata.manifest_aliases(&other).await?, []);
    assert_eq!(metadata.blob_aliases(&other).await?, []);
    Ok(())
}

/// Of this blob only; it can be pushed again.
pub async fn deleting_a_blob_deletes_its_content(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let kept = upload(store, "0-0-1", "kept").await?;
    for id in ["0-0-2", "0-0-3"] {
        let digest = upload(store, id, "content").await?;
        metadata.end(&name("app"), id).await?;
        let key = metadata.location(&digest).await?.unwrap_or_default();
        assert!(metadata.delete_blob(&digest).await?);
        assert!(!metadata.delete_blob(&digest).await?);
        assert_eq!(store.get(&key).await, None);
        assert_eq!(stored(store, &digest).await?, None);
    }
    assert_eq!(stored(store, &kept).await?.as_deref(), Some(&b"kept"[..]));
    Ok(())
}

/// In pages of any size, wherever each lies.
pub async fn blobs_are_listed_in_the_order_of_their_digests(store: &dyn Store) -> Outcome {
    let metadata = store.metadata();
    let mut digests = Vec::new();
    for number in 0..9 {
        let digest = upload(store, &format!("0-0-{number}"), &number.to_string()).await?;
        digests.push(digest.to_string());
    }
    digests.sort();
    let list = async |page: Page<'_>| {
        let blobs = metadata.blobs(page).await?;
        Ok(blobs.iter().map(|blob| blob.digest.to_string()).collect())
    };
    check_pages(list, &digests, &[super::links::BESIDE]).await
}

/// Makes `content` a blob by way of the upload `id` of the repository `app`.
async fn upload(store: &dyn Store, id: &str, content: &str) -> Result<Digest, Error> {
    let (metadata, session) = (store.metadata(), session("app", id));
    metadata.begin(&session).await?;
    let content = Bytes::copy_from_slice(content.as_bytes());
    let digest = sha256(&content);
    let size = content.len() as u64;
    let location = metadata.upload_location(&session);
    store.put(&location, content).await;
    let adoption = Adoption {
        session: &session,
        location: &location,
        digest: &digest,
        alias: None,
        size,
    };
    metadata.adopt(&adoption).await?;
    Ok(digest)
}

/// The content of a blob, read from where it lies.
pub(super) async fn stored(store: &dyn Store, digest: &Digest) -> Result<Option<Bytes>, Error> {
    match store.metadata().location(digest).await? {
        Some(key) => Ok(store.get(&key).await),
        None => Ok(None),
    }
}
