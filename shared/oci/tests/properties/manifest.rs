//! Manifests: what was generated is what is read, and nothing that is sent can do harm.

use std::collections::BTreeMap;

use proptest::prelude::*;
use roadstead_oci::{
    Algorithm, Descriptor, Digest, Digester, Kind, Manifest, Platform, media_type,
};
use serde_json::{Value, json};

fn digest() -> impl Strategy<Value = Digest> {
    let algorithm = prop_oneof![
        4 => Just(Algorithm::Sha256),
        1 => Just(Algorithm::Sha384),
        1 => Just(Algorithm::Sha512),
    ];
    (algorithm, any::<u64>())
        .prop_map(|(algorithm, seed)| Digester::digest(algorithm, &seed.to_be_bytes()))
}

fn annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(".{0,8}", ".{0,8}", 0..3)
}

fn descriptor() -> impl Strategy<Value = Descriptor> {
    let platform = ("[a-z0-9]{0,6}", "[a-z]{0,6}");
    let platform = platform.prop_map(|(architecture, os)| Platform { architecture, os });
    (
        prop_oneof![Just(String::new()), "[a-z]{1,5}/[a-z.+]{1,8}"],
        digest(),
        any::<u64>(),
        prop::option::of(prop::collection::vec(".{0,8}", 0..2)),
        prop::option::of("[A-Za-z0-9+/=]{0,8}"),
        prop::option::of(platform),
        prop::option::of(".{0,8}"),
        prop::option::of(annotations()),
    )
        .prop_map(
            |(media_type, digest, size, urls, data, platform, artifact_type, annotations)| {
                Descriptor {
                    media_type,
                    digest,
                    size,
                    urls,
                    data,
                    platform,
                    artifact_type,
                    annotations,
                }
            },
        )
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Image), Just(Kind::Index), Just(Kind::Artifact)]
}

fn oci_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => media_type::OCI_MANIFEST,
        Kind::Index => media_type::OCI_INDEX,
        Kind::Artifact => media_type::OCI_ARTIFACT,
    }
}

fn manifest() -> impl Strategy<Value = Manifest> {
    (
        kind(),
        prop::option::of("[a-z]{1,5}/[a-z.+]{1,8}"),
        prop::option::of("[a-z]{1,5}/[a-z.+]{1,8}"),
        descriptor(),
        prop::collection::vec(descriptor(), 0..4),
        prop::option::of(descriptor()),
        annotations(),
    )
        .prop_map(
            |(kind, own_type, artifact_type, config, parts, subject, annotations)| {
                let (layers, manifests) = match kind {
                    Kind::Index => (Vec::new(), parts),
                    Kind::Image | Kind::Artifact => (parts, Vec::new()),
                };
                Manifest {
                    kind,
                    media_type: own_type.unwrap_or_else(|| oci_type(kind).to_owned()),
                    artifact_type,
                    config: (kind == Kind::Image).then_some(config),
                    layers,
                    manifests,
                    subject,
                    annotations,
                }
            },
        )
}

/// The fields of a manifest, with one that nobody knows; what is absent may also be `null`.
fn fields(manifest: &Manifest, nulls: bool, extra: &str) -> Vec<(String, Value)> {
    let parts = match manifest.kind {
        Kind::Image => ("layers", json!(manifest.layers)),
        Kind::Index => ("manifests", json!(manifest.manifests)),
        Kind::Artifact => ("blobs", json!(manifest.layers)),
    };
    let mut fields = vec![
        ("schemaVersion", json!(2)),
        parts,
        ("artifactType", json!(manifest.artifact_type)),
        ("config", json!(manifest.config)),
        ("subject", json!(manifest.subject)),
        ("annotations", json!(manifest.annotations)),
        ("x-nobody-knows", json!({ "a": [extra, null, 1.5] })),
    ];
    if nulls || manifest.media_type != oci_type(manifest.kind) {
        fields.push(("mediaType", json!(manifest.media_type)));
    }
    fields.retain(|(_, value)| nulls || !value.is_null());
    fields
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn text(fields: &[(String, Value)]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{}:{value}", json!(name)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// A manifest and one of the texts that stand for it: fields in any order.
fn written() -> impl Strategy<Value = (Manifest, String)> {
    (manifest(), any::<bool>(), ".{0,8}").prop_flat_map(|(manifest, nulls, extra)| {
        let fields = fields(&manifest, nulls, &extra);
        (Just(manifest), Just(fields).prop_shuffle())
            .prop_map(|(manifest, fields)| (manifest, text(&fields)))
    })
}

proptest! {
    #[test]
    fn a_manifest_is_read_as_it_was_written((manifest, text) in written()) {
        let read = Manifest::parse(text.as_bytes(), None).unwrap();
        prop_assert_eq!(read, manifest);
    }

    #[test]
    fn a_manifest_is_taken_as_what_it_says_it_is_and_as_nothing_else((manifest, text) in written()) {
        let pushed_as = format!("{}; charset=utf-8", manifest.media_type);
        let read = Manifest::parse(text.as_bytes(), Some(&pushed_as)).unwrap();
        prop_assert_eq!(&read.media_type, &manifest.media_type);
        prop_assert!(Manifest::parse(text.as_bytes(), Some("some/thing.else")).is_err());
    }

    #[test]
    fn everything_that_an_image_is_made_of_is_named_once_and_in_order((manifest, text) in written()) {
        let read = Manifest::parse(text.as_bytes(), None).unwrap();
        let named: Vec<_> = read.references().map(|(_, part)| part.digest.clone()).collect();
        let parts = manifest.config.iter().chain(&manifest.layers).chain(&manifest.manifests);
        prop_assert_eq!(named, parts.map(|part| part.digest.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn a_known_field_that_stands_twice_is_an_error(
        manifest in manifest(),
        nulls in any::<bool>(),
        twice in any::<prop::sample::Index>(),
    ) {
        let mut fields = fields(&manifest, nulls, "");
        let known: Vec<_> = fields.iter().filter(|(name, _)| !name.starts_with("x-")).cloned().collect();
        fields.push(twice.get(&known).clone());
        prop_assert!(Manifest::parse(text(&fields).as_bytes(), None).is_err());
    }

    #[test]
    fn bytes_that_are_no_manifest_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::parse(&bytes, None).is_err());
    }

    #[test]
    fn a_damaged_manifest_is_read_or_refused_without_a_panic(
        (_, text) in written(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        content_type in ".{0,12}",
    ) {
        let mut bytes = text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        Manifest::parse(&bytes, Some(&content_type)).ok();
        bytes.truncate(at);
        prop_assert!(Manifest::parse(&bytes, None).is_err());
    }
}

#[test]
fn a_manifest_with_more_descriptors_than_any_real_one_is_refused() {
    let digest = Digester::digest(Algorithm::Sha256, b"");
    let child = json!({ "mediaType": "a/b", "digest": digest, "size": 0 });
    let index = |count| json!({ "schemaVersion": 2, "manifests": vec![child.clone(); count] });
    let parse = |count| Manifest::parse(index(count).to_string().as_bytes(), None);
    assert!(parse(Manifest::MAX_DESCRIPTORS).is_ok());
    assert!(parse(Manifest::MAX_DESCRIPTORS + 1).is_err());
}
