//! Discovery: tags (end-8), referrers (end-12) and the catalog.

use roadstead_tests::digest::absent;
use roadstead_tests::image::{EMPTY, OCI_INDEX, OCI_MANIFEST, descriptor};
use roadstead_tests::registry::strings;
use roadstead_tests::{Image, Registry, Response, only_over, path_of};
use serde_json::{Value, json};

/// The target of `Link: <...>; rel="next"`.
fn next_page(answer: &Response) -> Option<String> {
    let link = answer.header("link")?;
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    assert!(parameters.contains("rel=\"next\""), "{link}");
    Some(path_of(target).to_owned())
}

/// Follows the links and gathers the pages.
fn pages(
    registry: &Registry,
    first: &str,
    items: impl Fn(&Value) -> Vec<String>,
) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut target = Some(first.to_owned());
    while let Some(page) = target {
        let answer = registry.get(&page).expect(200);
        pages.push(items(&answer.json()));
        assert!(pages.len() < 100, "the links lead in circles: {pages:?}");
        target = next_page(&answer);
    }
    pages
}

fn tag_pages(registry: &Registry, first: &str) -> Vec<Vec<String>> {
    pages(registry, first, |document| strings(&document["tags"]))
}

fn repository_pages(registry: &Registry, first: &str) -> Vec<Vec<String>> {
    pages(registry, first, |document| {
        strings(&document["repositories"])
    })
}

fn registry_with_tags(tags: &[&str]) -> Registry {
    let registry = Registry::start();
    for tag in tags {
        registry.push_image("app", tag, &Image::seeded(1));
    }
    registry
}

#[test]
fn tags_are_listed_in_byte_order() {
    let registry =
        registry_with_tags(&["b", "a", "B", "A", "1.10", "1.9", "_x", "a-b", "a.b", "aa"]);
    let answer = registry.get("/v2/app/tags/list").expect(200);
    assert_eq!(answer.need("content-type"), "application/json");
    let tags = ["1.10", "1.9", "A", "B", "_x", "a", "a-b", "a.b", "aa", "b"];
    assert_eq!(answer.json(), json!({"name": "app", "tags": tags}));
}

#[test]
fn tags_come_in_pages_that_join_up() {
    let registry = registry_with_tags(&["a", "a-b", "a.b", "aa", "b", "c", "d"]);
    for n in 1..=8 {
        let found = tag_pages(&registry, &format!("/v2/app/tags/list?n={n}"));
        assert_eq!(
            found.concat(),
            ["a", "a-b", "a.b", "aa", "b", "c", "d"],
            "n={n}"
        );
        assert!(found.iter().all(|page| page.len() <= n), "n={n}: {found:?}");
        assert!(found[0].len() == n.min(7), "n={n}: {found:?}");
    }
}

#[test]
fn tags_go_on_after_the_last_one_seen() {
    let registry = registry_with_tags(&["a", "b", "c", "d"]);
    for (query, tags) in [
        ("last=b", vec!["c", "d"]),
        ("n=1&last=b", vec!["c"]),
        ("n=1&last=bb", vec!["c"]),
        ("last=d", vec![]),
        ("last=0", vec!["a", "b", "c", "d"]),
        ("n=10&last=c", vec!["d"]),
    ] {
        let answer = registry
            .get(&format!("/v2/app/tags/list?{query}"))
            .expect(200);
        assert_eq!(answer.json()["tags"], json!(tags), "{query}");
    }
}

#[test]
fn a_page_of_no_tags_is_empty_and_leads_nowhere() {
    let registry = registry_with_tags(&["a", "b"]);
    let answer = registry.get("/v2/app/tags/list?n=0").expect(200);
    assert_eq!(answer.json(), json!({"name": "app", "tags": []}));
    assert_eq!(answer.header("link"), None);
}

#[test]
fn the_last_page_of_tags_leads_nowhere() {
    let registry = registry_with_tags(&["a", "b"]);
    assert_eq!(next_page(&registry.get("/v2/app/tags/list?n=3")), None);
    assert_eq!(next_page(&registry.get("/v2/app/tags/list")), None);
    assert!(next_page(&registry.get("/v2/app/tags/list?n=1")).is_some());
}

#[test]
fn a_page_of_tags_is_no_larger_than_the_operator_allows() {
    let registry = Registry::with(json!({"tags": {"maxtags": 2}}));
    for tag in ["a", "b", "c"] {
        registry.push_image("app", tag, &Image::seeded(1));
    }
    assert_eq!(
        tag_pages(&registry, "/v2/app/tags/list?n=3"),
        [vec!["a", "b"], vec!["c"]]
    );
}

#[test]
fn the_catalog_lists_repositories_in_byte_order() {
    let registry = Registry::start();
    for name in ["b", "a/b", "a", "a-b", "a.b", "a/b/c", "a0", "a-b/c"] {
        registry.push_image(name, "latest", &Image::seeded(1));
    }
    let names = ["a", "a-b", "a-b/c", "a.b", "a/b", "a/b/c", "a0", "b"];
    let mut listed = registry.repositories();
    for n in 1..=9 {
        let found = repository_pages(&registry, &format!("/v2/_catalog?n={n}"));
        assert_eq!(
            found.concat(),
            listed,
            "every page size lists the same, n={n}"
        );
        assert!(found.iter().all(|page| page.len() <= n), "n={n}: {found:?}");
    }
    listed.sort();
    assert_eq!(listed, names);
}

#[test]
fn the_catalog_takes_any_page_size() {
    let registry = Registry::with(json!({"catalog": {"maxentries": 2}}));
    for name in ["a", "b", "c"] {
        registry.push_image(name, "latest", &Image::seeded(1));
    }
    assert_eq!(
        repository_pages(&registry, "/v2/_catalog?n=1000"),
        [vec!["a", "b"], vec!["c"]]
    );
    assert_eq!(
        registry.get("/v2/_catalog?n=0").expect(200).json(),
        json!({"repositories": []})
    );
    let after = registry.get("/v2/_catalog?last=b").expect(200).json();
    assert_eq!(after, json!({"repositories": ["c"]}));
}

#[test]
fn an_empty_registry_has_an_empty_catalog() {
    let registry = Registry::start();
    assert_eq!(
        registry.get("/v2/_catalog").expect(200).json(),
        json!({"repositories": []})
    );
}

#[test]
fn a_repository_without_manifests_is_not_in_the_catalog() {
    let registry = Registry::start();
    registry.push_blob("only/blobs", b"content");
    let _ = registry.begin_upload("only/uploads");
    assert_eq!(registry.repositories(), Vec::<String>::new());
}

#[test]
fn a_repository_whose_last_manifest_is_deleted_leaves_the_catalog() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    for name in ["a", "a/b"] {
        registry.push_image(name, "latest", &image);
    }
    let _ = registry
        .delete(&format!("/v2/a/manifests/{}", image.digest()))
        .expect(202);
    assert_eq!(registry.repositories(), ["a/b"]);
    let _ = registry
        .delete(&format!("/v2/a/b/manifests/{}", image.digest()))
        .expect(202);
    assert_eq!(registry.repositories(), Vec::<String>::new());
}

fn referrers(registry: &Registry, subject: &str) -> Vec<Value> {
    let answer = registry
        .get(&format!("/v2/app/referrers/{subject}"))
        .expect(200);
    assert_eq!(answer.need("content-type"), OCI_INDEX);
    let index = answer.json();
    assert_eq!(
        (&index["schemaVersion"], &index["mediaType"]),
        (&json!(2), &json!(OCI_INDEX))
    );
    index["manifests"]
        .as_array()
        .expect("a list of descriptors")
        .clone()
}

fn digests(descriptors: &[Value]) -> Vec<&str> {
    let mut digests: Vec<_> = descriptors
        .iter()
        .filter_map(|descriptor| descriptor["digest"].as_str())
        .collect();
    digests.sort_unstable();
    digests
}

fn sorted(images: &[&Image]) -> Vec<String> {
    let mut digests: Vec<_> = images.iter().map(|image| image.digest()).collect();
    digests.sort_unstable();
    digests
}

#[test]
fn a_referrer_is_listed_with_its_type_and_annotations() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let signature = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.signature",
        b"signed",
    );
    registry.push_image("app", &signature.digest(), &signature);
    let expected = json!({
        "mediaType": OCI_MANIFEST,
        "digest": signature.digest(),
        "size": signature.manifest().len(),
        "artifactType": "application/vnd.example.signature",
        "annotations": { "org.example.note": "signed" },
    });
    assert_eq!(referrers(&registry, &image.digest()), [expected]);
}

#[test]
fn a_push_with_a_subject_says_that_it_was_understood() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    let signature = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.signature",
        b"signed",
    );
    for blob in signature.blobs() {
        registry.push_blob("app", blob);
    }
    for reference in ["by-tag", &signature.digest()] {
        let answer = registry
            .put_manifest("app", reference, OCI_MANIFEST, signature.manifest())
            .expect(201);
        assert_eq!(answer.need("oci-subject"), image.digest());
    }
    for blob in image.blobs() {
        registry.push_blob("app", blob);
    }
    let plain = registry
        .put_manifest("app", "latest", OCI_MANIFEST, image.manifest())
        .expect(201);
    assert_eq!(plain.header("oci-subject"), None);
}

#[test]
fn referrers_are_found_in_whichever_order_they_were_pushed() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    let early = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.sbom",
        b"early",
    );
    let late = Image::referrer(&image.descriptor(), "application/vnd.example.sbom", b"late");
    registry.push_image("app", &early.digest(), &early);
    registry.push_image("app", "latest", &image);
    registry.push_image("app", &late.digest(), &late);
    assert_eq!(
        digests(&referrers(&registry, &image.digest())),
        sorted(&[&early, &late])
    );
}

#[test]
fn an_index_refers_too() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let with_type = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": "application/vnd.example.set",
        "manifests": [], "subject": image.descriptor(), "annotations": {"a": "b"},
    });
    let without = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": image.descriptor(),
    });
    for manifest in [&with_type, &without] {
        registry.push_image(
            "app",
            &Image::of(OCI_INDEX, manifest, &[]).digest(),
            &Image::of(OCI_INDEX, manifest, &[]),
        );
    }
    let listed = referrers(&registry, &image.digest());
    assert_eq!(listed.len(), 2);
    for descriptor in listed {
        assert_eq!(descriptor["mediaType"], OCI_INDEX);
        if descriptor["digest"] == json!(Image::of(OCI_INDEX, &with_type, &[]).digest()) {
            assert_eq!(descriptor["artifactType"], "application/vnd.example.set");
            assert_eq!(descriptor["annotations"], json!({"a": "b"}));
        } else {
            assert_eq!(descriptor.get("artifactType"), None);
        }
    }
}

#[test]
fn the_type_of_an_artifact_without_one_is_that_of_its_configuration() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    for artifact_type in [None, Some("")] {
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": descriptor("application/vnd.example.config", b"{}"),
            "layers": [descriptor(EMPTY, b"{}")], "subject": image.descriptor(),
        });
        if let Some(artifact_type) = artifact_type {
            manifest["artifactType"] = json!(artifact_type);
        }
        let artifact = Image::of(OCI_MANIFEST, &manifest, &[b"{}"]);
        registry.push_image("app", &artifact.digest(), &artifact);
        let listed = referrers(&registry, &image.digest());
        let found = listed
            .iter()
            .find(|descriptor| descriptor["digest"] == json!(artifact.digest()));
        assert_eq!(
            found.expect("the artifact is listed")["artifactType"],
            "application/vnd.example.config"
        );
    }
}

#[test]
fn referrers_can_be_filtered_by_type() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    let sbom = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.sbom+json",
        b"sbom",
    );
    let signature = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.signature",
        b"signature",
    );
    for referrer in [&sbom, &signature] {
        registry.push_image("app", &referrer.digest(), referrer);
    }
    let filtered = |filter: &str| {
        let answer = registry
            .get(&format!(
                "/v2/app/referrers/{}?artifactType={filter}",
                image.digest()
            ))
            .expect(200);
        assert_eq!(answer.need("oci-filters-applied"), "artifactType");
        answer.json()["manifests"]
            .as_array()
            .expect("a list")
            .clone()
    };
    assert_eq!(
        digests(&filtered("application/vnd.example.sbom%2Bjson")),
        sorted(&[&sbom])
    );
    assert_eq!(
        digests(&filtered("application%2Fvnd.example.signature")),
        sorted(&[&signature])
    );
    assert_eq!(
        filtered("application/vnd.example.other"),
        Vec::<Value>::new()
    );
    let all = registry
        .get(&format!("/v2/app/referrers/{}", image.digest()))
        .expect(200);
    assert_eq!(all.header("oci-filters-applied"), None);
}

#[test]
fn a_filter_holds_across_pages() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    let kind = |number: u8| {
        ["application/vnd.example.a", "application/vnd.example.b"][usize::from(number % 2)]
    };
    let all: Vec<Image> = (0..6)
        .map(|number| Image::referrer(&image.descriptor(), kind(number), &[number]))
        .collect();
    for referrer in &all {
        registry.push_image("app", &referrer.digest(), referrer);
    }
    let list = |document: &Value| {
        digests(document["manifests"].as_array().expect("a list"))
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    for n in 1..=7 {
        let base = format!("/v2/app/referrers/{}?n={n}", image.digest());
        let mut everything = pages(&registry, &base, list).concat();
        everything.sort();
        assert_eq!(everything, sorted(&all.iter().collect::<Vec<_>>()), "n={n}");
        let mut filtered = pages(
            &registry,
            &format!("{base}&artifactType=application/vnd.example.a"),
            list,
        )
        .concat();
        filtered.sort();
        assert_eq!(filtered, sorted(&[&all[0], &all[2], &all[4]]), "n={n}");
    }
}

#[test]
fn a_manifest_that_nothing_refers_to_has_an_empty_list() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    assert_eq!(referrers(&registry, &absent('a')), Vec::<Value>::new());
    // The specification forbids 404 wherever the API exists; an unknown repository is no exception.
    let unknown = registry.get(&format!("/v2/nowhere/referrers/{}", absent('a')));
    assert!([200, 404].contains(&unknown.status), "{unknown:?}");
}

#[test]
fn referrers_of_no_digest_are_refused() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    for reference in [
        "latest",
        "sha256:abc",
        "sha256:",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "sha256",
    ] {
        let answer = registry.get(&format!("/v2/app/referrers/{reference}"));
        let _ = answer.expect_error(400, "DIGEST_INVALID");
    }
}

#[test]
fn a_deleted_referrer_leaves_the_list() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let [kept, gone] = [b"kept", b"gone"].map(|content| {
        let referrer =
            Image::referrer(&image.descriptor(), "application/vnd.example.sbom", content);
        registry.push_image("app", &referrer.digest(), &referrer);
        referrer
    });
    let _ = registry
        .delete(&format!("/v2/app/manifests/{}", gone.digest()))
        .expect(202);
    assert_eq!(
        digests(&referrers(&registry, &image.digest())),
        sorted(&[&kept])
    );
}

#[test]
fn referrers_outlive_their_subject() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let signature = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.signature",
        b"signed",
    );
    registry.push_image("app", &signature.digest(), &signature);
    let _ = registry
        .delete(&format!("/v2/app/manifests/{}", image.digest()))
        .expect(202);
    assert_eq!(
        digests(&referrers(&registry, &image.digest())),
        sorted(&[&signature])
    );
    registry.assert_pullable("app", &signature.digest(), &signature);
}

#[test]
fn referrers_belong_to_one_repository() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    let signature = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.signature",
        b"signed",
    );
    registry.push_image("elsewhere", &signature.digest(), &signature);
    registry.push_image("app", "latest", &image);
    assert_eq!(referrers(&registry, &image.digest()), Vec::<Value>::new());
}

#[test]
fn referrers_of_the_older_tag_schema_are_listed() {
    only_over!(Filesystem: "it looks at the files");
    // Pushed through a registry without the API: the client kept a list under a tag itself.
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let signature = Image::referrer(
        &image.descriptor(),
        "application/vnd.example.signature",
        b"signed",
    );
    registry.push_image("app", &signature.digest(), &signature);
    let store = registry.store().clone();
    forget_referrers(&store);
    let list = Image::index(&[&signature]);
    registry.push_image("app", &image.digest().replace(':', "-"), &list);
    let registry = Registry::over(roadstead_tests::Implementation::Roadstead, &registry.kill());
    assert_eq!(
        digests(&referrers(&registry, &image.digest())),
        sorted(&[&signature])
    );
}

/// Removes what CNCF Distribution does not write, as if it had taken the push.
fn forget_referrers(store: &roadstead_tests::Store) {
    for name in store
        .tree()
        .iter()
        .filter(|name| name.ends_with("/_roadstead"))
    {
        std::fs::remove_dir_all(store.root().join(name)).unwrap();
    }
}

#[test]
fn a_forged_fallback_tag_adds_no_referrer() {
    let registry = Registry::start();
    let (image, other) = (Image::seeded(1), Image::seeded(2));
    for (tag, pushed) in [("latest", &image), ("other", &other)] {
        registry.push_image("app", tag, pushed);
    }
    // `other` has no subject, whatever the tag's list says.
    let list = Image::index(&[&other]);
    registry.push_image("app", &image.digest().replace(':', "-"), &list);
    assert_eq!(referrers(&registry, &image.digest()), Vec::<Value>::new());
}
