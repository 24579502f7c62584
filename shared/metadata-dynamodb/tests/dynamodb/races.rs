//! Two processes at once. One of them is held up at each of its calls in turn while the other
//! does all that it wants to do.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use roadstead_metadata::testkit::Store;
use roadstead_metadata::{
    BlobStore, Error, HashState, LinkStore, ManifestStore, Page, TagStore, UploadStore,
};
use roadstead_metadata_dynamodb::DynamoDb;
use roadstead_metadata_dynamodb::sdk::config::retry::RetryConfig;
use roadstead_oci::Reference;
use tokio::sync::Notify;

use crate::kit::{
    adopt, adopt_at, app, assert_sound, begin, blobs, manifest, many, push, session, sha256,
    sha512, subject, tag,
};
use crate::proxy::{Fault, Proxy};
use crate::store::Table;
use crate::store::client;

/// Checks `after` with `held` held at each call while `other` runs, each time on a new table that
/// `before` has prepared.
pub(crate) async fn interleave(
    before: impl AsyncFn(&Table, &DynamoDb),
    held: impl AsyncFn(&Table, DynamoDb) -> Result<(), Error>,
    other: impl AsyncFn(&Table, DynamoDb) -> Result<(), Error>,
    after: impl AsyncFn(&Table, Result<(), Error>, Result<(), Error>),
) {
    for at in 1.. {
        let Some(table) = Table::new().await else {
            return;
        };
        before(&table, &table.back_end()).await;
        let proxy = Proxy::new(table.address).await;
        let back_end = table.back_end_over(client(proxy.address, RetryConfig::standard()));
        proxy.plan(at, Fault::Held);
        let mut other_done = None;
        let holding = async {
            proxy.arrival().await;
            other_done = Some(other(&table, table.back_end()).await);
            proxy.release();
            std::future::pending::<()>().await
        };
        let held_done = tokio::select! {
            done = held(&table, back_end) => done,
            () = holding => unreachable!("it holds for ever"),
        };
        let Some(other_done) = other_done else {
            assert!(at > 1, "it made no call");
            return;
        };
        after(&table, held_done, other_done).await;
        assert_sound(&table).await;
    }
}

pub(crate) async fn nothing(_: &Table, _: &DynamoDb) {}

pub(crate) async fn both_succeed(_: &Table, held: Result<(), Error>, other: Result<(), Error>) {
    held.unwrap();
    other.unwrap();
}

async fn push_small(_: &Table, back_end: DynamoDb) -> Result<(), Error> {
    back_end.record(&push(&manifest("1", 1), &["new"])).await
}

async fn push_many(_: &Table, back_end: DynamoDb) -> Result<(), Error> {
    let tags = many("t", 100);
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    back_end.record(&push(&manifest("1", 1), &tags)).await
}

async fn push_large(_: &Table, back_end: DynamoDb) -> Result<(), Error> {
    back_end
        .record(&push(&manifest("1", 300_000), &["large"]))
        .await
}

async fn delete(_: &Table, back_end: DynamoDb) -> Result<(), Error> {
    for size in [1, 300_000] {
        let digest = manifest("1", size).digest;
        back_end
            .delete_manifest(&app(), &digest, Some(&subject()))
            .await?;
    }
    Ok(())
}

async fn sweep(_: &Table, back_end: DynamoDb) -> Result<(), Error> {
    let digest = manifest("1", 1).digest;
    back_end
        .sweep(&app())
        .await?
        .manifest(&digest, Some(&subject()), later())
        .await
        .map(drop)
}

/// Later than anything that a test has stored.
pub(crate) fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

async fn pushed(_: &Table, back_end: &DynamoDb) {
    let tags = many("old", 60);
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    back_end
        .record(&push(&manifest("1", 1), &tags))
        .await
        .unwrap();
    back_end
        .record(&push(&manifest("1", 300_000), &["large"]))
        .await
        .unwrap();
}

async fn pushed_untagged(_: &Table, back_end: &DynamoDb) {
    back_end
        .record(&push(&manifest("1", 1), &[]))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_push_comes_while_its_manifest_is_deleted() {
    interleave(pushed, delete, push_small, both_succeed).await;
}

#[tokio::test]
async fn a_push_of_many_tags_comes_while_its_manifest_is_deleted() {
    interleave(pushed, delete, push_many, both_succeed).await;
}

#[tokio::test]
async fn a_manifest_is_deleted_while_it_is_pushed() {
    interleave(pushed, push_many, delete, async |table, held, other| {
        both_succeed(table, held, other).await;
        let tags = table
            .back_end()
            .tags(&app(), Page::ALL)
            .await
            .unwrap()
            .unwrap();
        let new = tags
            .iter()
            .filter(|tag| tag.as_str().starts_with('t'))
            .count();
        // A deletion after the last write of the push cannot come, as the push is held before it.
        assert_eq!(new, 100, "the push was last");
    })
    .await;
}

/// Whoever can read a tag can pull what it points to.
#[tokio::test]
async fn a_manifest_is_pulled_while_it_is_pushed() {
    let pull = async |_: &Table, back_end: DynamoDb| {
        for text in ["new", "t000", "t099"] {
            let Some(digest) = back_end.tag(&app(), &tag(text)).await? else {
                continue;
            };
            for reference in [Reference::Digest(digest), Reference::Tag(tag(text))] {
                let found = back_end.manifest(&app(), &reference).await?;
                assert!(found.is_some(), "{reference} is not there");
            }
        }
        Ok(())
    };
    interleave(nothing, push_small, pull, both_succeed).await;
    interleave(nothing, push_many, pull, both_succeed).await;
}

/// It goes with what it points to, and no longer when it points elsewhere.
#[tokio::test]
async fn a_tag_moves_while_its_old_manifest_is_deleted() {
    let (old, new) = (manifest("1", 1), manifest("2", 1));
    let before = async |_: &Table, back_end: &DynamoDb| {
        back_end.record(&push(&old, &["moving"])).await.unwrap();
    };
    let delete = async |_: &Table, back_end: DynamoDb| {
        let name = app();
        let deleted = back_end.delete_manifest(&name, &old.digest, None);
        deleted.await.map(drop)
    };
    let move_tag =
        async |_: &Table, back_end: DynamoDb| back_end.record(&push(&new, &["moving"])).await;
    interleave(before, delete, move_tag, async |table, held, other| {
        both_succeed(table, held, other).await;
        let back_end = table.back_end();
        let found = back_end.tag(&app(), &tag("moving")).await.unwrap();
        assert_eq!(found.as_ref(), Some(&new.digest));
    })
    .await;
}

/// One of those that have to go before the others, as a transaction has no room for all: none of
/// the others stays behind, whether it moves or goes.
#[tokio::test]
async fn one_of_many_tags_comes_away_while_their_manifest_is_deleted() {
    let gone = async |table: &Table, held, other| {
        both_succeed(table, held, other).await;
        let tags = table.back_end().tags(&app(), Page::ALL).await.unwrap();
        let moved = [tag("old000")];
        assert!(
            tags.iter().flatten().all(|tag| moved.contains(tag)),
            "{tags:?}"
        );
    };
    let move_tag = async |_: &Table, back_end: DynamoDb| {
        back_end.record(&push(&manifest("2", 1), &["old000"])).await
    };
    interleave(pushed, delete, move_tag, gone).await;
    let delete_tag = async |_: &Table, back_end: DynamoDb| {
        back_end.delete_tag(&app(), &tag("old000")).await.map(drop)
    };
    interleave(pushed, delete, delete_tag, gone).await;
}

/// Holds `one` at its call, then `other` at its own; `one` goes on first.
async fn cross(
    table: &Table,
    (one_at, one): (usize, impl AsyncFn(&Table, DynamoDb) -> Result<(), Error>),
    (other_at, other): (usize, impl AsyncFn(&Table, DynamoDb) -> Result<(), Error>),
) {
    let (before_one, before_other) = (
        Proxy::new(table.address).await,
        Proxy::new(table.address).await,
    );
    before_one.plan(one_at, Fault::Held);
    before_other.plan(other_at, Fault::Held);
    let over = |proxy: &Proxy| table.back_end_over(client(proxy.address, RetryConfig::standard()));
    let ended = Notify::new();
    let first = async {
        one(table, over(&before_one)).await.unwrap();
        ended.notify_one();
    };
    let second = async {
        tokio::select! {
            () = before_one.arrival() => {}
            () = ended.notified() => panic!("there is no call {one_at}"),
        }
        let mut other = pin!(other(table, over(&before_other)));
        let is_done = tokio::select! {
            done = &mut other => done.is_ok(),
            () = before_other.arrival() => false,
        };
        before_one.release();
        if !is_done {
            ended.notified().await;
            before_other.release();
            other.await.unwrap();
        }
    };
    tokio::join!(first, second);
    assert_sound(table).await;
}

/// The tags that follow a push's first transaction come between what the deletion reads and what
/// it writes.
#[tokio::test]
async fn the_rest_of_a_push_comes_while_its_manifest_is_deleted() {
    for push_at in [2, 3, 4] {
        for delete_at in [2, 3, 4] {
            let Some(table) = Table::new().await else {
                return;
            };
            cross(&table, (push_at, push_many), (delete_at, delete)).await;
        }
    }
}

/// What was nobody's when the orphans were listed has become the content of a manifest when they
/// are deleted.
#[tokio::test]
async fn a_large_manifest_is_pushed_while_orphans_are_cleared_away() {
    let clear = async |_: &Table, back_end: DynamoDb| back_end.blobs(Page::ALL).await.map(drop);
    for push_at in [2, 3, 4] {
        for clear_at in [2, 3] {
            let Some(mut table) = Table::new().await else {
                return;
            };
            table.options.orphan_age = Duration::ZERO;
            cross(&table, (push_at, push_large), (clear_at, clear)).await;
        }
    }
}

#[tokio::test]
async fn a_large_manifest_is_deleted_while_it_is_pushed() {
    interleave(pushed, push_large, delete, both_succeed).await;
}

#[tokio::test]
async fn a_large_manifest_is_pushed_twice_at_once() {
    interleave(nothing, push_large, push_large, both_succeed).await;
}

#[tokio::test]
async fn a_large_manifest_is_swept_while_it_is_pushed() {
    let sweep_content = async |_: &Table, back_end: DynamoDb| {
        back_end.delete_blob(&manifest("1", 300_000).digest).await?;
        Ok(())
    };
    let before = async |_: &Table, back_end: &DynamoDb| {
        let digest = manifest("1", 300_000).digest;
        back_end
            .record(&push(&manifest("1", 300_000), &[]))
            .await
            .unwrap();
        back_end
            .delete_manifest(&app(), &digest, None)
            .await
            .unwrap();
    };
    interleave(before, push_large, sweep_content, both_succeed).await;
}

/// What it finds stored is not swept once it has been told so.
#[tokio::test]
async fn a_large_manifest_is_pushed_again_while_its_content_is_swept() {
    let sweep = async |_: &Table, back_end: DynamoDb| {
        let since = SystemTime::now();
        let digest = manifest("1", 300_000).digest;
        back_end.sweep_blob(&digest, since).await.map(drop)
    };
    let before = async |_: &Table, back_end: &DynamoDb| {
        let image = manifest("1", 300_000);
        back_end.record(&push(&image, &[])).await.unwrap();
        back_end
            .delete_manifest(&app(), &image.digest, None)
            .await
            .unwrap();
    };
    interleave(before, sweep, push_large, both_succeed).await;
    interleave(before, push_large, sweep, both_succeed).await;
}

/// A push so slow that its content counts as nobody's stores it again.
#[tokio::test]
async fn orphans_are_cleared_away_while_a_large_manifest_is_pushed() {
    let clear =
        async |table: &Table, _| table.impatient_back_end().blobs(Page::ALL).await.map(drop);
    interleave(nothing, push_large, clear, both_succeed).await;
}

#[tokio::test]
async fn a_tag_comes_while_its_manifest_is_swept() {
    interleave(
        pushed_untagged,
        sweep,
        push_small,
        async |table, held, other| {
            both_succeed(table, held, other).await;
            let digest = manifest("1", 1).digest;
            let found = table.back_end().revision(&app(), &digest).await.unwrap();
            assert_eq!(found, Some(digest), "it is tagged");
        },
    )
    .await;
}

#[tokio::test]
async fn a_manifest_is_pulled_while_its_tag_moves() {
    let move_tag = async |_: &Table, back_end: DynamoDb| {
        back_end
            .record(&push(&manifest("2", 300_000), &["large"]))
            .await?;
        let old = manifest("1", 300_000).digest;
        back_end.delete_manifest(&app(), &old, None).await?;
        Ok(())
    };
    let pull = async |_: &Table, back_end: DynamoDb| {
        let found = back_end
            .manifest(&app(), &Reference::Tag(tag("large")))
            .await?;
        assert!(found.is_some(), "there was a manifest all the time");
        Ok(())
    };
    interleave(pushed, pull, move_tag, both_succeed).await;
}

#[tokio::test]
async fn two_uploads_become_one_blob() {
    let begun = async |table: &Table, back_end: &DynamoDb| {
        for id in ["0-0-1", "0-0-2"] {
            begin(table, back_end, id).await.unwrap();
        }
    };
    let finish = async |back_end: DynamoDb, id: &str| {
        adopt(&back_end, id).await?;
        back_end.link(&app(), &sha256(b"content"), None).await?;
        back_end.end(&app(), id).await
    };
    let held = async |_: &Table, back_end| finish(back_end, "0-0-1").await;
    let other = async |_: &Table, back_end| finish(back_end, "0-0-2").await;
    interleave(begun, held, other, async |table, held, other| {
        both_succeed(table, held, other).await;
        assert_eq!(blobs(&table.back_end()).await.len(), 1);
    })
    .await;
}

/// Of two attempts that end it as different blobs: purging takes away all that is not the one.
#[tokio::test]
async fn an_upload_becomes_one_blob() {
    const CONTENTS: [&str; 2] = ["one", "other"];
    let at = |back_end: &DynamoDb, content: &str| {
        let growing = back_end.upload_location(&session("0-0-1"));
        format!("{growing}-{content}").replace("/upload-", "/")
    };
    let begun = async |table: &Table, back_end: &DynamoDb| {
        begin(table, back_end, "0-0-1").await.unwrap();
        for content in CONTENTS {
            table.put(&at(back_end, content), content.into()).await;
        }
    };
    let finish = async |back_end: DynamoDb, content: &str| {
        adopt_at(&back_end, "0-0-1", &at(&back_end, content), content).await
    };
    let [held, other] =
        CONTENTS.map(|content| async move |_: &Table, back_end| finish(back_end, content).await);
    interleave(begun, held, other, async |table, held, other| {
        let refused = |ended: &Result<(), Error>| matches!(ended, Err(Error::Busy));
        assert!(held.is_ok() && refused(&other) || other.is_ok() && refused(&held));
        table.back_end().purge(&app(), "0-0-1").await.unwrap();
        assert_eq!(blobs(&table.back_end()).await.len(), 1);
    })
    .await;
}

/// The blob is there with its content, or neither is.
#[tokio::test]
async fn an_upload_is_purged_while_it_is_finished() {
    let begun = async |table: &Table, back_end: &DynamoDb| {
        begin(table, back_end, "0-0-1").await.unwrap();
    };
    let finish = async |_: &Table, back_end: DynamoDb| adopt(&back_end, "0-0-1").await;
    let purge = async |_: &Table, back_end: DynamoDb| back_end.end(&app(), "0-0-1").await;
    let after = async |table: &Table, adopted: Result<(), Error>, ended: Result<(), Error>| {
        ended.unwrap();
        let is_there = !blobs(&table.back_end()).await.is_empty();
        assert_eq!(adopted.is_ok(), is_there);
        assert_eq!(table.contents().await.len(), usize::from(is_there));
    };
    interleave(begun, finish, purge, after).await;
    let after = async |table: &Table, ended, adopted| after(table, adopted, ended).await;
    interleave(begun, purge, finish, after).await;
}

#[tokio::test]
async fn a_blob_is_pushed_while_it_is_deleted() {
    let stored = async |table: &Table, back_end: &DynamoDb| {
        for id in ["0-0-1", "0-0-2"] {
            begin(table, back_end, id).await.unwrap();
        }
        adopt(back_end, "0-0-1").await.unwrap();
        back_end.end(&app(), "0-0-1").await.unwrap();
    };
    let delete = async |_: &Table, back_end: DynamoDb| {
        back_end.delete_blob(&sha256(b"content")).await.map(drop)
    };
    let push = async |_: &Table, back_end: DynamoDb| {
        adopt(&back_end, "0-0-2").await?;
        back_end.end(&app(), "0-0-2").await
    };
    interleave(stored, delete, push, both_succeed).await;
    interleave(stored, push, delete, both_succeed).await;
}

/// What was pushed since the collection began stays.
#[tokio::test]
async fn a_blob_is_pushed_while_it_is_swept() {
    let stored = async |table: &Table, back_end: &DynamoDb| {
        for id in ["0-0-1", "0-0-2"] {
            begin(table, back_end, id).await.unwrap();
        }
        adopt(back_end, "0-0-1").await.unwrap();
    };
    let sweep = async |_: &Table, back_end: DynamoDb| {
        let digest = sha256(b"content");
        back_end
            .sweep_blob(&digest, SystemTime::now())
            .await
            .map(drop)
    };
    let push = async |_: &Table, back_end: DynamoDb| adopt(&back_end, "0-0-2").await;
    interleave(stored, sweep, push, async |table, held, other| {
        both_succeed(table, held, other).await;
        assert_eq!(blobs(&table.back_end()).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_blob_is_linked_while_it_is_unlinked() {
    let (digest, alias) = (sha256(b"content"), sha512(b"content"));
    let linked = async |_: &Table, back_end: &DynamoDb| {
        back_end.link(&app(), &digest, None).await.unwrap();
    };
    let unlink =
        async |_: &Table, back_end: DynamoDb| back_end.unlink(&app(), &digest).await.map(drop);
    let link =
        async |_: &Table, back_end: DynamoDb| back_end.link(&app(), &digest, Some(&alias)).await;
    let after = async |table: &Table, held, other| {
        both_succeed(table, held, other).await;
        let back_end = table.back_end();
        let found = [
            back_end.linked(&app(), &digest).await.unwrap(),
            back_end.linked(&app(), &alias).await.unwrap(),
        ];
        assert_eq!(found[0], found[1], "the alias and its blob");
    };
    interleave(linked, unlink, link, after).await;
    interleave(linked, link, unlink, after).await;
}

/// Nobody is left out, whichever process was first.
#[tokio::test]
async fn two_processes_push_to_a_new_repository() {
    let other = async |_: &Table, back_end: DynamoDb| {
        back_end.record(&push(&manifest("2", 1), &["other"])).await
    };
    interleave(nothing, push_small, other, async |table, held, other| {
        both_succeed(table, held, other).await;
        let tags = table.back_end().tags(&app(), Page::ALL).await.unwrap();
        let tags: BTreeSet<_> = tags.unwrap().into_iter().collect();
        assert_eq!(tags, BTreeSet::from(["new", "other"].map(tag)));
    })
    .await;
}

/// Of bytes that were lost, while another process ends the upload or makes it a blob: what is
/// forgotten then is forgotten already, and nothing of the upload comes back.
#[tokio::test]
async fn an_upload_ends_while_states_of_its_hash_are_forgotten() {
    const ID: &str = "0-0-1";
    let begun = async |table: &Table, back_end: &DynamoDb| {
        begin(table, back_end, ID).await.unwrap();
        let state = HashState {
            offset: 7,
            state: [1; _],
            identity: None,
        };
        back_end
            .save_hash_state(&session(ID), &state)
            .await
            .unwrap();
    };
    let forget = async |_: &Table, back_end: DynamoDb| {
        let found = back_end.hash_state(&session(ID), 3).await?;
        assert!(found.is_none(), "of bytes that are not there");
        Ok(())
    };
    let purge = async |_: &Table, back_end: DynamoDb| back_end.purge(&app(), ID).await;
    interleave(begun, forget, purge, async |table, held, other| {
        both_succeed(table, held, other).await;
        let left = table.back_end().uploads(&app()).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        let rows = table.rows().await;
        let of_uploads = rows.iter().filter(|(pk, _)| pk.starts_with("upload#"));
        assert_eq!(of_uploads.count(), 0, "{rows:?}");
    })
    .await;
    let end = async |_: &Table, back_end: DynamoDb| back_end.end(&app(), ID).await;
    let adopt = async |_: &Table, back_end: DynamoDb| adopt(&back_end, ID).await;
    let has_ended = async |table: &Table, held, other| {
        both_succeed(table, held, other).await;
        let found = table.back_end().upload(&app(), ID).await.unwrap();
        assert!(found.is_none(), "{found:?}");
    };
    interleave(begun, forget, end, has_ended).await;
    interleave(begun, forget, adopt, has_ended).await;
}
