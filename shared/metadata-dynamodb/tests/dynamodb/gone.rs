//! What is asked of an upload, or of a repository, that is no longer what it was.

use roadstead_metadata::{
    CatalogStore, Error, HashState, LinkStore, ManifestStore, Page, Repositories, TagStore,
    UploadStore,
};
use roadstead_metadata_dynamodb::DynamoDb;

use crate::kit::{adopt, app, begin, blobs, manifest, push, session, sha256, tag};
use crate::races::later;
use crate::store::Table;

const ID: &str = "0-0-1";

fn is_busy(outcome: Result<(), Error>) -> bool {
    matches!(outcome, Err(Error::Busy))
}

async fn save(back_end: &DynamoDb) -> Result<(), Error> {
    let state = HashState {
        offset: 7,
        state: [1; _],
        identity: None,
    };
    back_end.save_hash_state(&session(ID), &state).await
}

/// Neither by an attempt to go on with it nor by one to end it.
#[tokio::test]
async fn an_upload_that_was_purged_does_not_come_back() {
    let Some(table) = Table::new().await else {
        return;
    };
    let back_end = table.back_end();
    begin(&table, &back_end, ID).await.unwrap();
    save(&back_end).await.unwrap();
    back_end.purge(&app(), ID).await.unwrap();
    assert!(is_busy(adopt(&back_end, ID).await));
    assert!(is_busy(save(&back_end).await));
    back_end.end(&app(), ID).await.unwrap();
    assert!(blobs(&back_end).await.is_empty());
    let left = back_end.uploads(&app()).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_upload_that_has_ended_is_told_and_is_not_begun_again() {
    let Some(table) = Table::new().await else {
        return;
    };
    let back_end = table.back_end();
    begin(&table, &back_end, ID).await.unwrap();
    back_end.end(&app(), ID).await.unwrap();
    for _ in 0..2 {
        assert!(is_busy(adopt(&back_end, ID).await));
        assert!(is_busy(save(&back_end).await));
        let found = back_end.upload(&app(), ID).await.unwrap();
        assert!(found.is_none(), "{found:?}");
        // As a request does that was sent again.
        begin(&table, &back_end, ID).await.unwrap();
    }
}

/// A process that has not seen the manifest knows nothing of it.
#[tokio::test]
async fn that_a_repository_had_manifests_stays_true() {
    let Some(table) = Table::new().await else {
        return;
    };
    let (name, image) = (app(), manifest("1", 1));
    let pushing = table.back_end();
    pushing.record(&push(&image, &["t"])).await.unwrap();
    let deleted = pushing.delete_manifest(&name, &image.digest, None);
    assert_eq!(deleted.await.unwrap(), [tag("t")]);
    let linking = table.back_end();
    linking
        .link(&app(), &sha256(b"content"), None)
        .await
        .unwrap();
    let tags = table.back_end().tags(&app(), Page::ALL).await.unwrap();
    assert_eq!(tags, Some(Vec::new()), "a list, and not an unknown name");
    let all = linking.repositories(Repositories::All, Page::ALL).await;
    assert_eq!(all.unwrap(), [app()]);
}

#[tokio::test]
async fn a_manifest_is_not_swept_while_a_tag_points_to_it() {
    let Some(table) = Table::new().await else {
        return;
    };
    let (name, image) = (app(), manifest("1", 1));
    let back_end = table.back_end();
    back_end.record(&push(&image, &["t"])).await.unwrap();
    let sweep = async || {
        back_end
            .sweep(&name)
            .await?
            .manifest(&image.digest, None, later())
            .await
    };
    assert!(!sweep().await.unwrap());
    assert_eq!(
        back_end.tag(&name, &tag("t")).await.unwrap(),
        Some(image.digest.clone())
    );
    assert!(back_end.delete_tag(&name, &tag("t")).await.unwrap());
    assert!(sweep().await.unwrap());
}
