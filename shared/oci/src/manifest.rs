//! Manifests: what a registry reads in them.

use std::collections::BTreeMap;

use serde::de::DeserializeSeed;
use serde::{Deserialize, Serialize};

use crate::keys::{Exact, Keys, Known, Nested};
use crate::object::{self, Object};
use crate::{Digest, media_type};

/// The largest manifest in bytes: Distribution's limit, and the least that the specification
/// lets a client count on (distribution-spec, "Pushing Manifests").
pub const MAX_MANIFEST_SIZE: u64 = 4 * 1024 * 1024;

/// A view on the bytes of a manifest. The bytes stay what they are; the view is never written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// What it has: layers, or manifests, or blobs.
    pub kind: Kind,
    /// What it is served as.
    pub media_type: String,
    /// The type of artifact that the manifest itself names.
    pub artifact_type: Option<String>,
    /// The config of an image.
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an artifact.
    pub layers: Vec<Descriptor>,
    /// The children of an index.
    pub manifests: Vec<Descriptor>,
    /// The manifest that this one refers to.
    pub subject: Option<Descriptor>,
    /// Annotations of the manifest itself.
    pub annotations: BTreeMap<String, String>,
}

/// The shapes that manifests have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A config and layers: OCI image manifest, Docker schema 2.
    Image,
    /// Manifests: OCI index, Docker manifest list.
    Index,
    /// Blobs without a config: OCI artifact manifest.
    Artifact,
}

/// As what a manifest references content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The config blob.
    Config,
    /// A layer or another blob.
    Layer,
    /// A manifest of an index.
    Child,
}

/// A descriptor (image specification, "Properties").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of the content; empty where a manifest leaves it out.
    #[serde(default)]
    pub media_type: String,
    /// The content's digest.
    pub digest: Digest,
    /// The content's size in bytes; 0 where a manifest leaves it out.
    #[serde(default)]
    pub size: u64,
    /// Other places to fetch the content from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// The content itself, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the content runs on.
    #[serde(
        default,
        deserialize_with = "object::optional",
        skip_serializing_if = "Option::is_none"
    )]
    pub platform: Option<Platform>,
    /// The type of artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What an image runs on, as far as an index says it and a registry asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// The processor, in Go's words.
    pub architecture: String,
    /// The operating system, in Go's words.
    pub os: String,
}

/// Why bytes are no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidManifest {
    /// They are not JSON, or a field has a wrong type.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// `schemaVersion` is not 2.
    #[error("unrecognized manifest schema version {0}")]
    SchemaVersion(i64),
    /// The `mediaType` field is not what the manifest was pushed as.
    #[error("the mediaType field {field:?} does not match the Content-Type {content_type:?}")]
    MediaType {
        /// What the manifest says.
        field: String,
        /// What the request says.
        content_type: String,
    },
    /// There is no `mediaType`, and the type it was pushed as is not the OCI type of its shape.
    #[error("a manifest of type {0:?} must have a mediaType field of that type")]
    NoMediaType(String),
    /// It has the fields of more than one kind.
    #[error("a manifest has either config and layers or manifests, not both")]
    Ambiguous,
    /// It has the fields of no kind.
    #[error("a manifest has config and layers, or manifests")]
    Shapeless,
    /// More descriptors than any real manifest has.
    #[error("a manifest has at most {} descriptors", Manifest::MAX_DESCRIPTORS)]
    TooMany,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    #[serde(default)]
    schema_version: i64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    #[serde(default, deserialize_with = "object::optional")]
    config: Option<Descriptor>,
    #[serde(default, deserialize_with = "object::list")]
    layers: Option<Vec<Descriptor>>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "object::list")]
    blobs: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "object::list")]
    manifests: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "object::optional")]
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

const DESCRIPTOR: Option<&Nested> = Some(&Nested(Descriptor::KEYS));

impl Known for Fields {
    const KEYS: Keys = &[
        ("schemaVersion", None),
        ("mediaType", None),
        ("artifactType", None),
        ("config", DESCRIPTOR),
        ("layers", DESCRIPTOR),
        ("fsLayers", None),
        ("blobs", DESCRIPTOR),
        ("manifests", DESCRIPTOR),
        ("subject", DESCRIPTOR),
        ("annotations", None),
    ];
}

impl Known for Descriptor {
    const KEYS: Keys = &[
        ("mediaType", None),
        ("digest", None),
        ("size", None),
        ("urls", None),
        ("data", None),
        ("platform", Some(&Nested(Platform::KEYS))),
        ("artifactType", None),
        ("annotations", None),
    ];
}

impl Known for Platform {
    const KEYS: Keys = &[("architecture", None), ("os", None)];
}

impl Manifest {
    /// The most descriptors that a manifest may have: a bound on the work that one push costs.
    pub const MAX_DESCRIPTORS: usize = 10_000;

    /// Reads `bytes` that are pushed as `content_type`, if that is known.
    ///
    /// Any media type is taken whose manifest has the shape of an image, an index or an
    /// artifact. Unknown fields are left alone; a known field that stands twice, or in another case, is
    /// an error, so that no two readers see different manifests in the same bytes.
    ///
    /// Bytes that are no UTF-8, which JSON has to be (RFC 8259, section 8.1), count as U+FFFD: as in
    /// Go.
    ///
    /// # Errors
    ///
    /// [`InvalidManifest`] says what is wrong.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, InvalidManifest> {
        let text = String::from_utf8_lossy(bytes);
        let manifest = Self::of(&text, content_type)?;
        Exact(Fields::KEYS).deserialize(&mut serde_json::Deserializer::from_str(&text))?;
        Ok(manifest)
    }

    /// Reads `bytes` that are stored, whoever took them: keys in another case are those that Go's
    /// `encoding/json` takes them for, by which CNCF Distribution reads.
    ///
    /// # Errors
    ///
    /// As [`Manifest::parse`], but for the case of keys; a field that stands in two is an error.
    pub fn read(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        Self::of(&String::from_utf8_lossy(bytes), None)
    }

    fn of(text: &str, content_type: Option<&str>) -> Result<Self, InvalidManifest> {
        let Object::<Fields>(fields) = serde_json::from_str(text)?;
        if fields.schema_version != 2 {
            return Err(InvalidManifest::SchemaVersion(fields.schema_version));
        }
        let kind = fields.kind()?;
        let media_type = fields.media_type(kind, content_type)?;
        let manifest = Self {
            kind,
            media_type,
            artifact_type: fields.artifact_type.filter(|text| !text.is_empty()),
            config: fields.config,
            layers: fields.layers.or(fields.blobs).unwrap_or_default(),
            manifests: fields.manifests.unwrap_or_default(),
            subject: fields.subject,
            annotations: fields.annotations.unwrap_or_default(),
        };
        if manifest.references().count() > Self::MAX_DESCRIPTORS {
            return Err(InvalidManifest::TooMany);
        }
        Ok(manifest)
    }

    /// All content that the manifest is made of, in the order of its fields; the subject is not
    /// part of it.
    pub fn references(&self) -> impl Iterator<Item = (Role, &Descriptor)> {
        let config = self.config.iter().map(|config| (Role::Config, config));
        let layers = self.layers.iter().map(|layer| (Role::Layer, layer));
        let children = self.manifests.iter().map(|child| (Role::Child, child));
        config.chain(layers).chain(children)
    }

    /// The artifact type under which the manifest is listed as a referrer: its own, else for an
    /// image its config's media type (specification, "Listing Referrers").
    pub fn referrer_type(&self) -> Option<&str> {
        let config = self
            .config
            .as_ref()
            .map(|config| config.media_type.as_str());
        self.artifact_type.as_deref().or(config)
    }
}

impl Fields {
    fn kind(&self) -> Result<Kind, InvalidManifest> {
        let image = self.config.is_some() || self.layers.is_some() || self.fs_layers.is_some();
        let index = self.manifests.is_some();
        let named = self.media_type.as_deref().unwrap_or_default();
        match (image, index) {
            (true, true) => Err(InvalidManifest::Ambiguous),
            (_, true) if self.blobs.is_some() => Err(InvalidManifest::Ambiguous),
            (_, true) => Ok(Kind::Index),
            (true, _) if self.config.is_some() && self.fs_layers.is_none() => Ok(Kind::Image),
            (true, _) => Err(InvalidManifest::Shapeless),
            _ if self.blobs.is_some() || named == media_type::OCI_ARTIFACT => Ok(Kind::Artifact),
            _ if named == media_type::OCI_INDEX || named == media_type::DOCKER_LIST => {
                Ok(Kind::Index)
            }
            _ => Err(InvalidManifest::Shapeless),
        }
    }

    fn media_type(&self, kind: Kind, pushed: Option<&str>) -> Result<String, InvalidManifest> {
        let pushed = pushed
            .map(media_type::essence)
            .filter(|text| !text.is_empty());
        let field = self.media_type.as_deref().filter(|text| !text.is_empty());
        match (field, pushed) {
            (Some(field), Some(pushed)) if field.eq_ignore_ascii_case(&pushed) => Ok(field.into()),
            (Some(field), Some(content_type)) => Err(InvalidManifest::MediaType {
                field: field.to_owned(),
                content_type,
            }),
            (Some(field), None) => Ok(field.to_owned()),
            (None, pushed) => match pushed {
                Some(pushed) if pushed != kind.default_media_type() => {
                    Err(InvalidManifest::NoMediaType(pushed))
                }
                _ => Ok(kind.default_media_type().to_owned()),
            },
        }
    }
}

impl Kind {
    /// The type of a manifest of this shape that does not say its type.
    fn default_media_type(self) -> &'static str {
        match self {
            Kind::Image => media_type::OCI_MANIFEST,
            Kind::Index => media_type::OCI_INDEX,
            Kind::Artifact => media_type::OCI_ARTIFACT,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn parse(json: &str, content_type: Option<&str>) -> Result<Manifest, InvalidManifest> {
        Manifest::parse(json.replace('$', DIGEST).as_bytes(), content_type)
    }

    #[test]
    fn the_shape_decides_the_kind() {
        for (json, kind, media_type) in [
            (
                r#"{"schemaVersion":2,"config":{"digest":"$","size":2},"layers":[]}"#,
                Kind::Image,
                media_type::OCI_MANIFEST,
            ),
            (
                r#"{"schemaVersion":2,"config":{"digest":"$","size":2},"layers":null}"#,
                Kind::Image,
                media_type::OCI_MANIFEST,
            ),
            (
                r#"{"schemaVersion":2,"manifests":[]}"#,
                Kind::Index,
                media_type::OCI_INDEX,
            ),
            (
                r#"{"schemaVersion":2,"blobs":[],"artifactType":"a/b"}"#,
                Kind::Artifact,
                media_type::OCI_ARTIFACT,
            ),
            (
                r#"{"schemaVersion":2,"mediaType":"a/own","manifests":[]}"#,
                Kind::Index,
                "a/own",
            ),
        ] {
            let manifest = parse(json, None).unwrap();
            assert_eq!(
                (manifest.kind, manifest.media_type.as_str()),
                (kind, media_type),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let deep = format!(
            r#"{{"schemaVersion":2,"config":{}{}}}"#,
            "[".repeat(10_000),
            "]".repeat(10_000)
        );
        for json in [
            "",
            "null",
            "[]",
            "{}",
            "\u{feff}{}",
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":2,"layers":[]}"#,
            r#"{"schemaVersion":1,"manifests":[]}"#,
            r#"{"schemaVersion":3,"manifests":[]}"#,
            r#"{"schemaVersion":"2","manifests":[]}"#,
            r#"{"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#,
            r#"{"schemaVersion":2,"manifests":[],"config":{"digest":"$","size":2}}"#,
            r#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#,
            r#"{"schemaVersion":2,"manifests":[]} trailing"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"$","size":-1}]}"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"$","size":1.5}]}"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"sha256:abc","size":1}]}"#,
            r#"{"schemaVersion":2,"manifests":[{"size":1}]}"#,
            r#"{"schemaVersion":2,"manifests":[null]}"#,
            r#"[2,null,null,null,null,null,null,[],null,null]"#,
            r#"{"schemaVersion":2,"config":["a/b","$",2]}"#,
            r#"{"schemaVersion":2,"config":{"digest":"$"},"layers":[["a/b","$",2]]}"#,
            r#"{"schemaVersion":2,"blobs":[["a/b","$",2]]}"#,
            r#"{"schemaVersion":2,"manifests":[["a/b","$",2]]}"#,
            r#"{"schemaVersion":2,"manifests":[],"subject":["a/b","$",2]}"#,
            r#"{"schemaVersion":2,"manifests":[{"digest":"$","platform":["amd64","linux"]}]}"#,
            &deep,
        ] {
            assert!(parse(json, None).is_err(), "{json}");
        }
    }

    #[test]
    fn a_key_in_another_case_is_refused_and_read_as_go_reads_it() {
        let exact = r#"{"schemaVersion":2,"mediaType":"a/b","config":{"digest":"$","size":2},
            "layers":[{"digest":"$","size":3,"platform":{"os":"linux"}}],"subject":{"digest":"$"}}"#;
        let read = |json: &str| Manifest::read(json.replace('$', DIGEST).as_bytes());
        let manifest = parse(exact, None).unwrap();
        for (key, other) in [
            ("schemaVersion", "SCHEMAVERSION"),
            ("mediaType", "MediaType"),
            ("config", "Config"),
            ("config", r"\u0043onfig"),
            ("layers", "LAYERS"),
            ("layers", "layer\u{17f}"),
            ("digest", "Digest"),
            ("size", "Size"),
            ("platform", "Platform"),
            ("os", "OS"),
            ("subject", "Subject"),
        ] {
            let json = exact.replace(&format!("\"{key}\":"), &format!("\"{other}\":"));
            assert!(parse(&json, None).is_err(), "{json}");
            assert_eq!(read(&json).unwrap(), manifest, "{json}");
            let both = exact.replacen(
                &format!("\"{key}\":"),
                &format!("\"{other}\":null,\"{key}\":"),
                1,
            );
            assert!(parse(&both, None).is_err(), "{both}");
            assert!(read(&both).is_err(), "{both}");
        }
        let unknown = exact.replacen('{', r#"{"Layer":[],"annotations":{"Layers":"x"},"#, 1);
        assert!(parse(&unknown, None).is_ok());
    }

    #[test]
    fn what_is_no_utf_8_counts_as_in_go() {
        let json = r#"{"schemaVersion":2,"manifests":[],"@":"@","annotations":{"a":"@"}}"#;
        let bytes: Vec<u8> = json
            .bytes()
            .map(|byte| if byte == b'@' { 0xff } else { byte })
            .collect();
        let manifest = Manifest::parse(&bytes, None).unwrap();
        assert_eq!(manifest.annotations["a"], "\u{fffd}");
        assert_eq!(Manifest::read(&bytes).unwrap(), manifest);
    }

    #[test]
    fn the_media_type_is_the_one_it_was_pushed_as() {
        let own = r#"{"schemaVersion":2,"mediaType":"a/own","manifests":[]}"#;
        assert!(parse(own, Some("a/own; charset=utf-8")).is_ok());
        assert!(parse(own, Some("a/other")).is_err());
        let none = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert!(parse(none, Some(media_type::OCI_INDEX)).is_ok());
        assert!(parse(none, Some(media_type::DOCKER_LIST)).is_err());
        assert!(parse(none, Some(media_type::OCI_MANIFEST)).is_err());
    }

    #[test]
    fn a_referrer_is_listed_under_its_own_type_or_its_configs() {
        let image = r#"{"schemaVersion":2,"config":{"mediaType":"c/t","digest":"$","size":2}}"#;
        assert_eq!(parse(image, None).unwrap().referrer_type(), Some("c/t"));
        let typed = image.replace("\"config\"", r#""artifactType":"a/t","config""#);
        assert_eq!(parse(&typed, None).unwrap().referrer_type(), Some("a/t"));
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(parse(index, None).unwrap().referrer_type(), None);
    }
}
