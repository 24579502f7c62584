//! Referrers: also those that others left behind.

use bytes::Bytes;
use roadstead_metadata::{ManifestStore, Page, ReferrerQuery, ReferrerStore};
use roadstead_metadata_layout::Layout;
use roadstead_oci::{Digest, RepositoryName};
use roadstead_storage::MemoryDriver;
use serde_json::json;

use crate::kit::{image, layout, name, put_manifest, record, sha256};

async fn referrers(
    layout: &Layout,
    name: &RepositoryName,
    subject: &Digest,
    page: Page<'_>,
) -> Vec<Digest> {
    let query = ReferrerQuery {
        subject,
        artifact_type: None,
        page,
    };
    let found = layout.referrers(name, query).await.unwrap();
    found
        .into_iter()
        .map(|descriptor| descriptor.digest)
        .collect()
}

fn sorted(digests: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let mut digests: Vec<Digest> = digests.into_iter().collect();
    digests.sort();
    digests
}

/// The list that a client keeps in a tag where there is no referrers API.
fn fallback(children: &[&Digest]) -> Bytes {
    let child = |digest: &&Digest| json!({ "mediaType": "a/b", "digest": digest, "size": 1 });
    let children: Vec<_> = children.iter().map(child).collect();
    json!({ "schemaVersion": 2, "manifests": children })
        .to_string()
        .into()
}

#[tokio::test]
async fn referrers_that_distribution_stored_are_found() {
    let driver = MemoryDriver::new();
    let a = name("a");
    let subject = put_manifest(&driver, "a", &image("subject", None), Some("t")).await;
    let mut expected = Vec::new();
    for what in ["one", "two", "three"] {
        expected.push(put_manifest(&driver, "a", &image(what, Some(&subject)), None).await);
    }
    put_manifest(&driver, "b", &image("elsewhere", Some(&subject)), None).await;
    let layout = layout(&driver);
    assert_eq!(
        referrers(&layout, &a, &subject, Page::ALL).await,
        sorted(expected.clone())
    );
    expected.push(record(&layout, &a, &image("pushed here", Some(&subject)), &[]).await);
    assert_eq!(
        referrers(&layout, &a, &subject, Page::ALL).await,
        sorted(expected)
    );
}

#[tokio::test]
async fn referrers_that_are_pushed_before_anyone_asks_hide_no_older_ones() {
    let driver = MemoryDriver::new();
    let a = name("a");
    let subject = sha256(b"a subject that need not be there");
    let layout = layout(&driver);
    let new = record(&layout, &a, &image("new", Some(&subject)), &[]).await;
    let old = put_manifest(&driver, "a", &image("old", Some(&subject)), None).await;
    assert_eq!(
        referrers(&layout, &a, &subject, Page::ALL).await,
        sorted([new, old])
    );
}

#[tokio::test]
async fn referrers_that_a_client_kept_in_a_tag_are_found() {
    let driver = MemoryDriver::new();
    let a = name("a");
    let subject = put_manifest(&driver, "a", &image("subject", None), Some("t")).await;
    let layout = layout(&driver);
    assert_eq!(referrers(&layout, &a, &subject, Page::ALL).await, []);
    let listed = put_manifest(&driver, "a", &image("listed", Some(&subject)), None).await;
    let list = fallback(&[&listed]);
    put_manifest(&driver, "a", &list, Some(&subject.referrers_tag())).await;
    assert_eq!(referrers(&layout, &a, &subject, Page::ALL).await, [listed]);
}

#[tokio::test]
async fn a_tag_made_by_hand_adds_nothing_that_does_not_refer_to_the_subject() {
    let driver = MemoryDriver::new();
    let a = name("a");
    let subject = sha256(b"subject");
    let other = put_manifest(
        &driver,
        "a",
        &image("other", Some(&sha256(b"other subject"))),
        None,
    )
    .await;
    let none = put_manifest(&driver, "a", &image("none", None), None).await;
    let elsewhere = put_manifest(&driver, "b", &image("elsewhere", Some(&subject)), None).await;
    let list = fallback(&[&other, &none, &elsewhere, &sha256(b"not there")]);
    put_manifest(&driver, "a", &list, Some(&subject.referrers_tag())).await;
    assert_eq!(
        referrers(&layout(&driver), &a, &subject, Page::ALL).await,
        []
    );
    put_manifest(
        &driver,
        "c",
        &image("no list", None),
        Some(&subject.referrers_tag()),
    )
    .await;
    assert_eq!(
        referrers(&layout(&driver), &name("c"), &subject, Page::ALL).await,
        []
    );
}

#[tokio::test]
async fn pages_of_referrers_make_up_the_whole_list() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    let subject = sha256(b"subject");
    let mut all = Vec::new();
    for number in 0..7 {
        let image = image(&format!("referrer {number}"), Some(&subject));
        all.push(record(&layout, &a, &image, &[]).await);
    }
    let all = sorted(all);
    for limit in 1..9 {
        let mut paged: Vec<Digest> = Vec::new();
        loop {
            let after = paged.last().map(|digest| digest.as_str().to_owned());
            let page = Page {
                after: after.as_deref(),
                limit,
            };
            let found = referrers(&layout, &a, &subject, page).await;
            if found.is_empty() {
                break;
            }
            assert!(found.len() <= limit);
            paged.extend(found);
        }
        assert_eq!(paged, all);
    }
}

#[tokio::test]
async fn a_deleted_referrer_is_listed_no_more_even_by_a_tag() {
    let driver = MemoryDriver::new();
    let a = name("a");
    let subject = sha256(b"subject");
    let referrer = put_manifest(&driver, "a", &image("referrer", Some(&subject)), None).await;
    let list = fallback(&[&referrer]);
    put_manifest(&driver, "a", &list, Some(&subject.referrers_tag())).await;
    let layout = layout(&driver);
    assert_eq!(
        referrers(&layout, &a, &subject, Page::ALL).await,
        std::slice::from_ref(&referrer)
    );
    layout
        .delete_manifest(&a, &referrer, Some(&subject))
        .await
        .unwrap();
    assert_eq!(referrers(&layout, &a, &subject, Page::ALL).await, []);
}
