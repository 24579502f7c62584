//! What lies in a layout and was imported: it is the table's as well, and stays the layout's.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use roadstead_metadata::testkit::Store;
use roadstead_metadata::{BlobStore, ManifestRecord, ManifestStore, Metadata};
use roadstead_metadata_dynamodb::DynamoDb;
use roadstead_metadata_layout::Layout;
use roadstead_migration::{Options, Stores, import};
use roadstead_oci::Reference;
use roadstead_registry::CollectOptions;

use crate::kit::{app, manifest, push, tag};
use crate::registry::registry;
use crate::store::Table;

/// A layout in the same storage, which remembers nothing.
fn layout(table: &Table) -> Layout {
    let options = roadstead_metadata_layout::Options {
        cached_manifests: 0,
        ..Default::default()
    };
    Layout::new(Arc::new(table.driver.clone()), options)
}

async fn imported(table: &Table, image: &ManifestRecord) -> DynamoDb {
    let (source, target) = (layout(table), table.back_end());
    source.record(&push(image, &["latest"])).await.unwrap();
    let stores = Stores {
        source: &source,
        target: &target,
        driver: &table.driver,
    };
    let moved = import(stores, Options::default(), &mut |_| ()).await;
    assert_eq!(moved.unwrap().manifests_added, 1);
    target
}

async fn latest(metadata: &dyn Metadata) -> Option<ManifestRecord> {
    let reference = Reference::Tag(tag("latest"));
    metadata.manifest(&app(), &reference).await.unwrap()
}

/// Also one that is too large for a row, and is pushed again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_stays_where_the_layout_has_it() {
    for size in [1, 300_000] {
        let Some(mut table) = Table::new().await else {
            return;
        };
        table.options.orphan_age = Duration::ZERO;
        let image = manifest("1", size);
        let target = imported(&table, &image).await;
        let files = table.contents().await;
        for _ in 0..2 {
            let options = CollectOptions {
                dry_run: false,
                delete_untagged: true,
                grace: Duration::ZERO,
            };
            registry(&table)
                .collect_garbage(options, &mut |_| ())
                .await
                .unwrap();
            assert_eq!(latest(&layout(&table)).await.as_ref(), Some(&image));
            assert_eq!(latest(&target).await.as_ref(), Some(&image));
            assert_eq!(table.contents().await, files, "nothing came or went");
            target.record(&push(&image, &["latest"])).await.unwrap();
        }
    }
}

#[tokio::test]
async fn a_push_mends_a_damaged_manifest() {
    let Some(table) = Table::new().await else {
        return;
    };
    let image = manifest("1", 300_000);
    let target = imported(&table, &image).await;
    for damaged in [Bytes::from(vec![b'x'; image.bytes.len()]), Bytes::new()] {
        let location = target.location(&image.digest).await.unwrap().unwrap();
        table.put(&location, damaged).await;
        assert_eq!(latest(&target).await, None);
        target.record(&push(&image, &["latest"])).await.unwrap();
        assert_eq!(latest(&target).await.as_ref(), Some(&image));
    }
}
