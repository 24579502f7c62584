//! What a crash of another registry can leave: passed over, and mended by the next push.

use bytes::Bytes;
use roadstead_metadata::{
    BlobStore, LinkStore, Linked, ManifestStore, Page, TagStore, UploadStore,
};
use roadstead_oci::{Digest, Reference, Tag};
use roadstead_storage::MemoryDriver;

use crate::kit::{
    image, layout, name, push_blob, put, put_manifest, record, session, sha256, tree,
};

const BROKEN: [&str; 5] = [
    "",
    "sha256:ba78",
    "no digest at all",
    "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n",
    "\u{fffd}\u{fffd}",
];

fn digests(linked: Vec<Linked>) -> Vec<Digest> {
    linked.into_iter().map(|linked| linked.digest).collect()
}

#[tokio::test]
async fn a_broken_link_to_a_manifest_is_none_until_the_next_push() {
    for broken in BROKEN {
        let driver = MemoryDriver::new();
        let a = name("a");
        let image = image("any", None);
        let digest = put_manifest(&driver, "a", &image, Some("t")).await;
        let revision = format!(
            "repositories/a/_manifests/revisions/sha256/{}/link",
            digest.hex()
        );
        put(&driver, &revision, broken).await;
        let layout = layout(&driver);
        let tag: Tag = "t".parse().unwrap();
        for reference in [
            Reference::Digest(digest.clone()),
            Reference::Tag(tag.clone()),
        ] {
            assert_eq!(layout.manifest(&a, &reference).await.unwrap(), None);
        }
        record(&layout, &a, &image, &[]).await;
        for reference in [Reference::Digest(digest.clone()), Reference::Tag(tag)] {
            let found = layout.manifest(&a, &reference).await.unwrap();
            assert_eq!(found.unwrap().bytes, image);
        }
        let revisions = layout.revisions(&a, Page::ALL).await.unwrap();
        assert_eq!(digests(revisions), [digest]);
    }
}

#[tokio::test]
async fn a_broken_tag_points_nowhere_until_the_next_push() {
    for broken in BROKEN {
        let driver = MemoryDriver::new();
        let a = name("a");
        let image = image("any", None);
        let digest = put_manifest(&driver, "a", &image, Some("t")).await;
        put(
            &driver,
            "repositories/a/_manifests/tags/t/current/link",
            broken,
        )
        .await;
        let layout = layout(&driver);
        let tag: Tag = "t".parse().unwrap();
        assert_eq!(layout.tag(&a, &tag).await.unwrap(), None);
        assert!(!layout.delete_tag(&a, &tag).await.unwrap());
        assert_eq!(layout.delete_manifest(&a, &digest, None).await.unwrap(), []);
        record(&layout, &a, &image, &["t"]).await;
        assert_eq!(layout.tag(&a, &tag).await.unwrap(), Some(digest));
    }
}

#[tokio::test]
async fn a_broken_link_to_a_blob_is_none_until_the_next_push() {
    for broken in BROKEN {
        let driver = MemoryDriver::new();
        let layout = layout(&driver);
        let a = name("a");
        let digest = sha256(b"abc");
        let link = format!("repositories/a/_layers/sha256/{}/link", digest.hex());
        put(&driver, &link, broken).await;
        assert_eq!(layout.linked(&a, &digest).await.unwrap(), None);
        push_blob(&driver, &layout, &session(&a, "id"), b"abc", None)
            .await
            .unwrap();
        assert_eq!(layout.linked(&a, &digest).await.unwrap(), Some(digest));
    }
}

#[tokio::test]
async fn damaged_bytes_of_a_manifest_are_not_served_and_come_back_with_the_next_push() {
    for damage in [&b""[..], b"{}", b"other bytes"] {
        let driver = MemoryDriver::new();
        let layout = layout(&driver);
        let a = name("a");
        let image = image("any", None);
        let digest = record(&layout, &a, &image, &["t"]).await;
        let hex = digest.hex();
        let data = format!("blobs/sha256/{}/{hex}/data", &hex[..2]);
        put(&driver, &data, Bytes::copy_from_slice(damage)).await;
        let reference = Reference::Digest(digest);
        assert_eq!(layout.manifest(&a, &reference).await.unwrap(), None);
        record(&layout, &a, &image, &[]).await;
        assert_eq!(
            layout
                .manifest(&a, &reference)
                .await
                .unwrap()
                .unwrap()
                .bytes,
            image
        );
    }
}

#[tokio::test]
async fn what_is_no_digest_tag_or_upload_is_passed_over() {
    let driver = MemoryDriver::new();
    let a = name("a");
    let digest = put_manifest(&driver, "a", &image("any", None), Some("t")).await;
    let hex = digest.hex();
    for stray in [
        "repositories/a/_manifests/revisions/sha256/nonsense/link".to_owned(),
        "repositories/a/_manifests/revisions/md5/abc/link".to_owned(),
        format!("repositories/a/_manifests/revisions/sha256/{hex}/signatures/sha256/abc/link"),
        format!(
            "repositories/a/_manifests/revisions/sha256/{}/left",
            sha256(b"left").hex()
        ),
        "repositories/a/_manifests/tags/.hidden/current/link".to_owned(),
        "repositories/a/_layers/sha256/nonsense/link".to_owned(),
        "repositories/a/_layers/tarsum/v1/abc/link".to_owned(),
        "repositories/a/_uploads/id/hashstates/sha256/zero".to_owned(),
        "blobs/sha256/ba/nonsense/data".to_owned(),
        "blobs/md5/ba/abc/data".to_owned(),
    ] {
        put(&driver, &stray, "stray").await;
    }
    let layout = layout(&driver);
    assert_eq!(
        digests(layout.revisions(&a, Page::ALL).await.unwrap()),
        std::slice::from_ref(&digest)
    );
    assert_eq!(
        layout.tags(&a, Page::ALL).await.unwrap(),
        Some(vec!["t".parse().unwrap()])
    );
    assert_eq!(digests(layout.links(&a, Page::ALL).await.unwrap()), []);
    let session = session(&a, "id");
    assert!(layout.hash_state(&session, 100).await.unwrap().is_none());
    assert_eq!(layout.upload(&a, "id").await.unwrap(), None);
    let blobs = layout.blobs(Page::ALL).await.unwrap();
    assert_eq!(
        blobs
            .into_iter()
            .map(|blob| blob.digest)
            .collect::<Vec<_>>(),
        [digest]
    );
}

#[tokio::test]
async fn an_upload_id_reaches_nothing_but_uploads() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    layout.begin(&session(&a, "id")).await.unwrap();
    layout.begin(&session(&name("a/b"), "id")).await.unwrap();
    let before = tree(&driver).await;
    for id in [
        "",
        ".",
        "..",
        "../_uploads/id",
        "id/..",
        "../../b/_uploads/id",
        "/id",
        "id/",
        "i d",
        "é",
        "id\0",
    ] {
        assert_eq!(layout.upload(&a, id).await.unwrap(), None, "{id:?}");
        layout.end(&a, id).await.ok();
    }
    assert_eq!(tree(&driver).await, before);
    assert!(layout.upload(&a, "id").await.unwrap().is_some());
}

#[tokio::test]
async fn pages_of_tags_and_digests_make_up_the_whole_list() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    let tags = ["0", "A", "_", "a", "a-b", "a.b", "a0", "b", "latest"];
    for (number, tag) in tags.iter().enumerate() {
        let image = image(&format!("image {number}"), None);
        record(&layout, &a, &image, &[tag]).await;
    }
    let all = digests(layout.revisions(&a, Page::ALL).await.unwrap());
    let blobs = layout.blobs(Page::ALL).await.unwrap();
    assert_eq!(
        blobs
            .into_iter()
            .map(|blob| blob.digest)
            .collect::<Vec<_>>(),
        all
    );
    for limit in 1..=10 {
        for at in 0..tags.len() {
            let page = Page {
                after: Some(tags[at]),
                limit,
            };
            let found = layout.tags(&a, page).await.unwrap().unwrap();
            let expected: Vec<Tag> = tags[at + 1..]
                .iter()
                .take(limit)
                .map(|tag| tag.parse().unwrap())
                .collect();
            assert_eq!(found, expected);
            let page = Page {
                after: Some(all[at].as_str()),
                limit,
            };
            let expected: Vec<Digest> = all[at + 1..].iter().take(limit).cloned().collect();
            assert_eq!(digests(layout.revisions(&a, page).await.unwrap()), expected);
            let blobs = layout.blobs(page).await.unwrap();
            assert_eq!(
                blobs
                    .into_iter()
                    .map(|blob| blob.digest)
                    .collect::<Vec<_>>(),
                expected
            );
        }
    }
}

#[tokio::test]
async fn what_is_passed_over_takes_no_place_in_a_page() {
    let driver = MemoryDriver::new();
    let layout = layout(&driver);
    let a = name("a");
    let hexes = ["0", "2", "4", "6", "8", "a"].map(|digit| format!("ab{}", digit.repeat(62)));
    for hex in &hexes {
        put(
            &driver,
            &format!("blobs/sha256/ab/{hex}/data"),
            "some bytes",
        )
        .await;
        put(
            &driver,
            &format!("blobs/sha256/ab/{}/left", hex.replace("ab", "aa")),
            "",
        )
        .await;
        put(
            &driver,
            &format!("repositories/a/_layers/sha256/{hex}/link"),
            "a link",
        )
        .await;
        put(
            &driver,
            &format!("repositories/a/_layers/sha256/{hex}x/link"),
            "stray",
        )
        .await;
    }
    put(&driver, "blobs/sha256/ac/stray/data", "stray").await;
    let too_long = format!("b{}", "x".repeat(130));
    for tag in ["-stray", ".stray", "a", "b", "b.c", &too_long, "c"] {
        put(
            &driver,
            &format!("repositories/a/_manifests/tags/{tag}/current/link"),
            "a link",
        )
        .await;
    }
    let all = hexes.map(|hex| format!("sha256:{hex}"));
    for limit in 1..8 {
        for at in 0..=all.len() {
            let after = at.checked_sub(1).map(|at| all[at].as_str());
            let page = Page { after, limit };
            let expected: Vec<&str> = all[at..].iter().take(limit).map(String::as_str).collect();
            let blobs = layout.blobs(page).await.unwrap();
            let blobs: Vec<&str> = blobs.iter().map(|blob| blob.digest.as_str()).collect();
            assert_eq!(blobs, expected, "{page:?}");
            let links = digests(layout.links(&a, page).await.unwrap());
            assert_eq!(
                links.iter().map(Digest::as_str).collect::<Vec<_>>(),
                expected
            );
        }
        let page = Page { after: None, limit };
        let tags = layout.tags(&a, page).await.unwrap().unwrap();
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags, ["a", "b", "b.c", "c"][..limit.min(4)]);
    }
}
