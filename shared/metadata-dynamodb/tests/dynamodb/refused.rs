//! Pushes that are told, once all is stored, that something is missing.

use async_trait::async_trait;
use roadstead_metadata::{Error, ManifestStore, Reliance};
use roadstead_metadata_dynamodb::DynamoDb;
use roadstead_oci::Reference;

use crate::kit::{app, assert_sound, manifest, many, push, tag};
use crate::races::{both_succeed, interleave, nothing};
use crate::store::Table;

struct Refusing;

#[async_trait]
impl Reliance for Refusing {
    async fn holds(&self) -> Result<bool, Error> {
        Ok(false)
    }
}

async fn refused(back_end: &DynamoDb, seed: &str, tags: &[&str]) -> Result<(), Error> {
    let push = push(&manifest(seed, 1), tags);
    assert!(!back_end.record_if(&push, &Refusing).await?);
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_them() {
    let Some(table) = Table::new().await else {
        return;
    };
    for number in [0, 1, 30, 31, 45, 46, 100] {
        let tags = many("t", number);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        refused(&table.back_end(), "1", &tags).await.unwrap();
        let rows = table.rows().await;
        assert_eq!(rows.len(), 1, "beside the repository: {rows:?}");
        assert_sound(&table).await;
    }
}

/// At each of its calls, also between the look at the manifest and its removal.
#[tokio::test]
async fn another_push_of_the_same_manifest_comes_meanwhile() {
    let hundred = many("t", 100);
    let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
    for (refused_tags, tags) in [
        (&["new"][..], &["new"][..]),
        (&["new"], &["other"]),
        (&["new"], &[]),
        (&hundred, &["t000", "t099"]),
    ] {
        let push_refused =
            async |_: &Table, back_end: DynamoDb| refused(&back_end, "1", refused_tags).await;
        let push_taken = async |_: &Table, back_end: DynamoDb| {
            back_end.record(&push(&manifest("1", 1), tags)).await
        };
        let after = async |table: &Table, held, other| {
            both_succeed(table, held, other).await;
            let metadata = table.back_end();
            let image = manifest("1", 1);
            let tags = tags.iter().map(|text| Reference::Tag(tag(text)));
            for reference in tags.chain([Reference::Digest(image.digest.clone())]) {
                let found = metadata.manifest(&app(), &reference).await.unwrap();
                assert_eq!(found.as_ref(), Some(&image), "{reference}");
            }
        };
        interleave(nothing, push_refused, push_taken, after).await;
        interleave(nothing, push_taken, push_refused, after).await;
    }
}
