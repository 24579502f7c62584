//! Pushes that are told, once all is stored, that something is missing.

use std::collections::BTreeSet;

use async_trait::async_trait;
use roadstead_metadata::{Error, ManifestStore, Page, Reliance, TagStore};
use roadstead_metadata_dynamodb::DynamoDb;
use roadstead_oci::{Digest, Reference};

use crate::kit::{app, assert_sound, manifest, many, push, subject, tag};
use crate::races::{both_succeed, interleave, later, nothing};
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

/// From whichever manifests, with copies of their bytes in the rows of the tags or without.
#[tokio::test]
async fn tags_go_back_to_what_they_pointed_to() {
    let Some(table) = Table::new().await else {
        return;
    };
    let back_end = table.back_end();
    let (old, new) = (many("old", 70), many("new", 10));
    let old: Vec<&str> = old.iter().map(String::as_str).collect();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    let before = [
        (manifest("1", 1), &old[..66]),
        (manifest("1", 100_000), &old[66..68]),
        (manifest("1", 300_000), &old[68..]),
    ];
    for (image, tags) in &before {
        back_end.record(&push(image, tags)).await.unwrap();
    }
    let rows = table.rows().await;
    let all = [&old[..], &new].concat();
    refused(&back_end, "2", &all).await.unwrap();
    assert_eq!(table.rows().await, rows);
    assert_sound(&table).await;
    for (image, tags) in &before {
        for text in *tags {
            let reference = Reference::Tag(tag(text));
            let found = back_end.manifest(&app(), &reference).await.unwrap();
            assert_eq!(found.as_ref(), Some(image), "{text}");
        }
    }
    // Done again, from rows that were put back.
    refused(&back_end, "2", &all).await.unwrap();
    assert_eq!(table.rows().await, rows);
    assert_sound(&table).await;
}

async fn tagged(_: &Table, back_end: &DynamoDb) {
    let push = push(&manifest("1", 1), &["latest"]);
    back_end.record(&push).await.unwrap();
}

/// With tags beside it that make it more than one transaction.
async fn push_refused(_: &Table, back_end: DynamoDb) -> Result<(), Error> {
    let tags = many("t", 60);
    let tags: Vec<&str> = ["latest"]
        .into_iter()
        .chain(tags.iter().map(String::as_str))
        .collect();
    refused(&back_end, "2", &tags).await
}

/// What `latest` points to; nothing else is there but what is in `seeds`.
async fn latest(table: &Table, seeds: &[&str]) -> Option<Digest> {
    let back_end = table.back_end();
    let revisions = back_end.revisions(&app(), Page::ALL).await.unwrap();
    let there: BTreeSet<Digest> = revisions.into_iter().map(|one| one.digest).collect();
    let wanted = seeds.iter().map(|seed| manifest(seed, 1).digest);
    assert!(there.is_subset(&wanted.collect()), "{there:?}");
    let tags = back_end.tags(&app(), Page::ALL).await.unwrap().unwrap();
    assert!(tags.iter().all(|it| *it == tag("latest")), "{tags:?}");
    back_end.tag(&app(), &tag("latest")).await.unwrap()
}

#[tokio::test]
async fn a_tag_does_not_go_back_to_what_is_deleted_meanwhile() {
    let delete = async |_: &Table, back_end: DynamoDb| {
        let old = manifest("1", 1).digest;
        back_end.delete_manifest(&app(), &old, None).await.map(drop)
    };
    interleave(tagged, push_refused, delete, async |table, held, other| {
        both_succeed(table, held, other).await;
        assert_eq!(latest(table, &[]).await, None);
    })
    .await;
    interleave(tagged, delete, push_refused, async |table, held, other| {
        both_succeed(table, held, other).await;
        assert_eq!(latest(table, &[]).await, None);
    })
    .await;
}

/// While no tag points to it; once one does again, it stays.
#[tokio::test]
async fn what_a_tag_points_to_is_swept_while_a_push_has_it() {
    let sweep = async |_: &Table, back_end: DynamoDb| {
        let old = manifest("1", 1).digest;
        let name = app();
        let sweep = back_end.sweep(&name).await?;
        sweep.manifest(&old, Some(&subject()), later()).await?;
        Ok(())
    };
    let after = async |table: &Table, held, other| {
        both_succeed(table, held, other).await;
        let tagged = latest(table, &["1"]).await;
        let old = manifest("1", 1).digest;
        let left = table.back_end().revision(&app(), &old).await.unwrap();
        assert_eq!(tagged, left, "both are there, or neither is");
    };
    interleave(tagged, push_refused, sweep, after).await;
    interleave(tagged, sweep, push_refused, after).await;
}

#[tokio::test]
async fn a_tag_that_moves_on_meanwhile_stays_there() {
    let third = manifest("3", 1).digest;
    let move_on = async |_: &Table, back_end: DynamoDb| {
        back_end.record(&push(&manifest("3", 1), &["latest"])).await
    };
    interleave(tagged, push_refused, move_on, async |table, held, other| {
        both_succeed(table, held, other).await;
        assert_eq!(latest(table, &["1", "3"]).await.as_ref(), Some(&third));
    })
    .await;
}

/// The tag may go with the first one, if the second has had it from that.
#[tokio::test]
async fn two_refused_pushes_of_one_tag_leave_nothing() {
    let other = async |_: &Table, back_end: DynamoDb| refused(&back_end, "3", &["latest"]).await;
    interleave(tagged, push_refused, other, async |table, held, other| {
        both_succeed(table, held, other).await;
        latest(table, &["1"]).await;
    })
    .await;
}
