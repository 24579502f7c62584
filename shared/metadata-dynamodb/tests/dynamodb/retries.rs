//! Calls that fail, whether or not they took effect.

use std::collections::BTreeSet;
use std::time::Duration;

use roadstead_metadata::{
    BlobStore, Error, HashState, LinkStore, ManifestStore, TagStore, UploadStore,
};
use roadstead_metadata_dynamodb::DynamoDb;
use roadstead_metadata_dynamodb::sdk::config::retry::RetryConfig;
use roadstead_oci::{Reference, SHA256_STATE_LENGTH};

use crate::kit::{
    adopt, app, assert_sound, begin, manifest, many, push, session, sha256, sha512, subject, tag,
};
use crate::proxy::{Fault, Proxy};
use crate::races::later;
use crate::store::{Table, client};

/// How many steps there are.
const STEPS: usize = 18;

/// Something that a registry does, and what it learns. Each step can be done again.
async fn step(step: usize, table: &Table, back_end: &DynamoDb) -> Result<String, Error> {
    let (app, subject) = (app(), subject());
    let content = sha256(b"content");
    let (small, large) = (manifest("small", 1), manifest("large", 300_000));
    let tags = many("t", 60);
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    match step {
        0 => begin(table, back_end, "0-0-1").await?,
        1 => {
            let state = [7; SHA256_STATE_LENGTH];
            let state = HashState {
                offset: 7,
                state,
                identity: None,
            };
            back_end.save_hash_state(&session("0-0-1"), &state).await?;
        }
        2 => adopt(back_end, "0-0-1").await?,
        3 => {
            back_end
                .link(&app, &content, Some(&sha512(b"content")))
                .await?
        }
        4 => back_end.end(&app, "0-0-1").await?,
        5 => back_end.record(&push(&small, &["latest", "1"])).await?,
        6 => back_end.record(&push(&small, &tags)).await?,
        7 => back_end.record(&push(&large, &["latest", "large"])).await?,
        8 => back_end.record(&push(&large, &["large"])).await?,
        9 => return Ok(format!("{}", back_end.delete_tag(&app, &tag("1")).await?)),
        10 => begin(table, back_end, "0-0-2").await?,
        11 => adopt(back_end, "0-0-2").await?,
        12 => back_end.end(&app, "0-0-2").await?,
        13 => {
            let removed = back_end.delete_manifest(&app, &small.digest, Some(&subject));
            return Ok(format!("{:?}", removed.await?));
        }
        14 => {
            back_end.record(&push(&small, &[])).await?;
            back_end
                .sweep(&app)
                .await?
                .manifest(&small.digest, Some(&subject), later())
                .await?;
        }
        15 => {
            return Ok(format!(
                "{}",
                back_end.unlink(&app, &sha512(b"content")).await?
            ));
        }
        16 => return Ok(format!("{}", back_end.delete_blob(&content).await?)),
        _ => {
            begin(table, back_end, "0-0-3").await?;
            back_end.end(&app, "0-0-3").await?;
        }
    }
    Ok(String::new())
}

/// What is in the end, but for orphans, whose names are random.
async fn result(table: &Table) -> BTreeSet<(String, String)> {
    assert_sound(table).await;
    let large = manifest("large", 300_000);
    let (back_end, latest) = (table.back_end(), Reference::Tag(tag("latest")));
    let found = back_end.manifest(&app(), &latest).await.unwrap();
    assert_eq!(found, Some(large));
    let mut rows = table.rows().await;
    rows.retain(|(pk, _)| pk != "orphan");
    rows
}

/// Does one of the steps with each of its calls failing once, and the others without.
///
/// As there are many runs of many steps, a run fails one call of every step.
async fn check(fault: Fault, retries: RetryConfig, attempts: usize) {
    let Some(table) = Table::new().await else {
        return;
    };
    let mut learnt = Vec::new();
    let undisturbed = table.back_end();
    for number in 0..STEPS {
        learnt.push(step(number, &table, &undisturbed).await.unwrap());
    }
    let expected = result(&table).await;
    let mut is_left = true;
    let mut at = 1;
    while is_left {
        is_left = false;
        let table = Table::new().await.unwrap();
        let proxy = Proxy::new(table.address).await;
        let back_end = table.back_end_over(client(proxy.address, retries.clone()));
        for (number, learnt) in learnt.iter().enumerate() {
            proxy.plan(at, fault);
            let mut done = step(number, &table, &back_end).await;
            let has_failed = proxy.calls().len() >= at;
            is_left |= has_failed;
            let what = format!("step {number} with {fault:?} at call {at}");
            if attempts > 1
                && let Err(error) = &done
            {
                assert!(matches!(error, Error::Unavailable(_)), "{what}: {error:?}");
                done = step(number, &table, &back_end)
                    .await
                    .map(|_| learnt.clone());
            }
            let done = done.unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(done, *learnt, "{what}");
        }
        assert_eq!(
            result(&table).await,
            expected,
            "with {fault:?} at call {at}"
        );
        at += 1;
    }
}

/// The client tries again at once, several times.
fn patient() -> RetryConfig {
    let config = RetryConfig::standard().with_max_attempts(4);
    config.with_initial_backoff(Duration::from_millis(1))
}

macro_rules! tests {
    ($($name:ident: $fault:expr, $retries:expr, $attempts:expr;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                check($fault, $retries, $attempts).await;
            }
        )*
    };
}

tests! {
    a_call_that_does_not_arrive_is_sent_again: Fault::LostRequest, patient(), 1;
    a_call_whose_answer_is_lost_is_answered_as_before: Fault::LostAnswer, patient(), 1;
    a_call_that_is_throttled_is_sent_again: Fault::Throttled, patient(), 1;
    a_write_that_others_are_in_the_way_of_is_done_again: Fault::Conflict, patient(), 1;
    an_operation_that_failed_before_it_took_effect_can_be_repeated:
        Fault::LostRequest, RetryConfig::disabled(), 2;
    an_operation_that_failed_after_it_took_effect_can_be_repeated:
        Fault::LostAnswer, RetryConfig::disabled(), 2;
}

/// Not that something is not there.
#[tokio::test]
async fn an_outage_is_unavailable() {
    let Some(table) = Table::new().await else {
        return;
    };
    // Nobody listens at the port of a socket that is closed again.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let back_end = table.back_end_over(client(address, patient()));
    let found = back_end
        .manifest(&app(), &Reference::Tag(tag("latest")))
        .await;
    assert!(matches!(found, Err(Error::Unavailable(_))), "{found:?}");
    let deleted = back_end.delete_tag(&app(), &tag("latest")).await;
    assert!(matches!(deleted, Err(Error::Unavailable(_))), "{deleted:?}");
}
