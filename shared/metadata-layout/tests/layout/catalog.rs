//! The catalog: the order of bytes, whatever lies within what.

use std::collections::BTreeSet;

use proptest::prelude::*;
use roadstead_metadata::{CatalogStore, Page, Repositories};
use roadstead_metadata_layout::Layout;
use roadstead_oci::RepositoryName;
use roadstead_storage::MemoryDriver;

use crate::kit::{image, layout, name, put, put_manifest};

async fn catalog(
    layout: &Layout,
    which: Repositories,
    after: Option<&str>,
    limit: usize,
) -> Vec<String> {
    let page = Page { after, limit };
    let names = layout.repositories(which, page).await.unwrap();
    names.iter().map(RepositoryName::to_string).collect()
}

/// Asks for every page there can be of `names`, which are all there are.
async fn check_pages(layout: &Layout, names: &BTreeSet<String>, lasts: &[&str]) {
    let which = Repositories::WithManifests;
    let lasts = lasts
        .iter()
        .copied()
        .chain(names.iter().map(String::as_str));
    for last in std::iter::once(None).chain(lasts.map(Some)) {
        let rest: Vec<&String> = names
            .iter()
            .filter(|name| last.is_none_or(|last| name.as_str() > last))
            .collect();
        for limit in (1..=names.len() + 1).chain([usize::MAX]) {
            let page = catalog(layout, which, last, limit).await;
            let expected: Vec<&String> = rest.iter().take(limit).copied().collect();
            assert_eq!(
                page.iter().collect::<Vec<_>>(),
                expected,
                "after {last:?}, {limit} at most"
            );
        }
    }
}

#[tokio::test]
async fn names_that_begin_alike_are_listed_in_the_order_of_their_bytes() {
    let driver = MemoryDriver::new();
    let names = [
        "a", "a-b", "a.b", "a/b", "a/b/c", "a/b-c", "a0", "a-b/c", "a_b", "b/a", "z/z/z/z",
    ];
    for name in names {
        put_manifest(&driver, name, &image("any", None), None).await;
    }
    let names = names.map(str::to_owned).into();
    let lasts = [
        "",
        "0",
        "a,",
        "a-",
        "a/",
        "a/a",
        "a/b/",
        "a/b/zz",
        "a/b0",
        "a/c",
        "aa",
        "b",
        "z/z",
        "z/z/z/zz",
        "{",
        ".",
        "..",
        "a/..",
        "_",
        "a/_manifests/tags",
        "é/é",
        "a//b",
        "/",
        "a/b\0",
        "-",
    ];
    check_pages(&layout(&driver), &names, &lasts).await;
}

#[tokio::test]
async fn a_repository_without_a_manifest_is_in_no_catalog() {
    let driver = MemoryDriver::new();
    let link = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    put(
        &driver,
        "repositories/blobs/only/_layers/sha256/ba/link",
        link,
    )
    .await;
    put(
        &driver,
        "repositories/begun/_uploads/id/startedat",
        "2020-01-01T00:00:00Z",
    )
    .await;
    put(
        &driver,
        "repositories/emptied/_manifests/tags/t/index/sha256/ba/link",
        link,
    )
    .await;
    put(
        &driver,
        "repositories/UPPER/_manifests/revisions/sha256/ba/link",
        link,
    )
    .await;
    put(&driver, "repositories/stray", "a file").await;
    put_manifest(&driver, "real", &image("any", None), None).await;
    let layout = layout(&driver);
    let listed = catalog(&layout, Repositories::WithManifests, None, usize::MAX).await;
    assert_eq!(listed, ["real"]);
    let all = catalog(&layout, Repositories::All, None, usize::MAX).await;
    assert_eq!(all, ["begun", "blobs/only", "emptied", "real"]);
}

#[tokio::test]
async fn an_empty_store_has_an_empty_catalog() {
    let layout = layout(&MemoryDriver::new());
    for which in [Repositories::WithManifests, Repositories::All] {
        assert_eq!(
            catalog(&layout, which, None, 10).await,
            Vec::<String>::new()
        );
        assert_eq!(
            catalog(&layout, which, Some("a"), 10).await,
            Vec::<String>::new()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn pages_of_any_size_from_anywhere_make_up_the_whole_catalog(
        names in prop::collection::btree_set("[ab]([._-]?[ab0]){0,2}(/[ab]([.-]?[ab]){0,1}){0,2}", 0..10),
        lasts in prop::collection::vec("[ab0/._-]{0,4}", 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let driver = MemoryDriver::new();
            for text in &names {
                put_manifest(&driver, name(text).as_str(), &image("any", None), None).await;
            }
            let lasts: Vec<&str> = lasts.iter().map(String::as_str).collect();
            check_pages(&layout(&driver), &names, &lasts).await;
        });
    }
}
