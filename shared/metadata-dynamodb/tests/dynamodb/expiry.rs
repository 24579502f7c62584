//! What time ends: sessions, and content that nothing points to.

use std::time::Duration;

use roadstead_metadata::testkit::Store;
use roadstead_metadata::{BlobStore, Page, UploadSession, UploadStore};

use crate::kit::{adopt, app, begin, session};
use crate::store::Table;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Also before the table has forgotten it. Maintenance finds it all the same, and its bytes.
#[tokio::test]
async fn an_expired_upload_is_not_there() {
    let Some(table) = Table::new().await else {
        return;
    };
    let back_end = table.back_end();
    let started = |id: &str, days: u32| UploadSession {
        started_at: session(id).started_at - days * DAY,
        ..session(id)
    };
    for session in [started("0-0-6", 6), started("0-0-8", 8)] {
        back_end.begin(&session).await.unwrap();
        table
            .put(&back_end.upload_location(&session), "bytes".into())
            .await;
    }
    assert!(back_end.upload(&app(), "0-0-6").await.unwrap().is_some());
    assert_eq!(back_end.upload(&app(), "0-0-8").await.unwrap(), None);
    let uploads = back_end.uploads(&app()).await.unwrap();
    assert_eq!(uploads.len(), 2);
    back_end.end(&app(), "0-0-8").await.unwrap();
    assert_eq!(table.contents().await, ["blobs/-6/0-0-6/upload"]);
}

/// The table's own clock deletes later than readers stop to see: purging comes in between.
#[tokio::test]
async fn the_table_forgets_a_session_after_it_expired() {
    let Some(table) = Table::new().await else {
        return;
    };
    table.back_end().begin(&session("0-0-1")).await.unwrap();
    let get = table.client().get_item().table_name(&table.options.table);
    let key = |name: &str, value: &str| {
        let value = roadstead_metadata_dynamodb::sdk::types::AttributeValue::S(value.to_owned());
        (name.to_owned(), value)
    };
    let keys = [key("pk", "upload#app"), key("sk", "0-0-1")].into();
    let row = get.set_key(Some(keys)).send().await.unwrap().item.unwrap();
    let ttl: u64 = row["ttl"].as_n().unwrap().parse().unwrap();
    let started = session("0-0-1").started_at.unix_timestamp() as u64;
    assert!(ttl.abs_diff(started + 14 * DAY.as_secs()) < 60);
}

/// Clients may still be fetching it; garbage collection takes it away later.
#[tokio::test]
async fn replaced_content_stays_for_a_while() {
    let Some(mut table) = Table::new().await else {
        return;
    };
    let back_end = table.back_end();
    for id in ["0-0-1", "0-0-2"] {
        begin(&table, &back_end, id).await.unwrap();
        adopt(&back_end, id).await.unwrap();
        back_end.end(&app(), id).await.unwrap();
    }
    back_end.blobs(Page::ALL).await.unwrap();
    assert_eq!(table.contents().await.len(), 2);
    table.options.orphan_age = Duration::ZERO;
    table.back_end().blobs(Page::ALL).await.unwrap();
    assert_eq!(table.contents().await, ["blobs/-2/0-0-2/upload"]);
    assert!(!table.rows().await.iter().any(|(pk, _)| pk == "orphan"));
}
