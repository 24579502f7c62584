//! A blob that nothing refers to is sent again while another server collects garbage: who was told
//! that it is stored finds it there.

use crate::kit::{collect, name, push_blob, sha256};
use crate::servers::{Site, has_arrived, settle};

/// The collection is held at every step, while the upload begins and, if nothing makes it wait, ends.
#[tokio::test(start_paused = true)]
async fn a_collection_takes_no_link_that_an_upload_has_just_made() {
    let (name, content) = (name("a"), b"sent twice");
    let digest = sha256(content);
    for at in 1.. {
        let site = Site::new(true);
        let told = push_blob(&site.calm(), &name, content, &digest).await;
        told.unwrap();
        let (collecting, hold) = site.held(at);
        let collected = tokio::spawn(async move { collect(&collecting, false).await });
        settle().await;
        let pushed = tokio::spawn({
            let (registry, name, digest) = (site.calm(), name.clone(), digest.clone());
            async move { push_blob(&registry, &name, content, &digest).await }
        });
        settle().await;
        hold.release();
        collected.await.unwrap().unwrap();
        pushed.await.unwrap().unwrap();
        let registry = site.calm();
        let found = registry.repository(&name).blobs().stat(&digest).await;
        assert!(found.is_ok(), "held before step {at}: {found:?}");
        if !has_arrived(&hold).await {
            assert!(at > 10, "only {at} steps");
            return;
        }
    }
}
