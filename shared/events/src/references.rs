//! What a manifest consists of, as events list it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A descriptor in a manifest, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    /// The media type.
    #[serde(default)]
    pub media_type: String,
    /// The digest.
    pub digest: String,
    /// Bytes.
    #[serde(default)]
    pub size: u64,
    /// Other places to fetch it from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Value>,
    /// The type of artifact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    config: Option<Reference>,
    #[serde(default)]
    layers: Option<Vec<Reference>>,
    #[serde(default)]
    manifests: Option<Vec<Reference>>,
}

impl Reference {
    /// The config and the layers of an image, or the children of an index; none of what is neither.
    pub fn listed_in(manifest: &[u8]) -> Vec<Self> {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(manifest) else {
            return Vec::new();
        };
        let lists = [manifest.layers, manifest.manifests];
        let lists = lists.into_iter().flatten().flatten();
        manifest.config.into_iter().chain(lists).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_those_of_the_manifest_in_their_order_and_whole() {
        let config = json!({"mediaType": "c", "digest": "sha256:1", "size": 1});
        let layer = json!({"mediaType": "l", "digest": "sha256:2", "size": 2,
            "urls": ["https://a/"], "annotations": {"a": "b"}});
        let child = json!({"mediaType": "m", "digest": "sha256:3", "size": 3,
            "platform": {"architecture": "arm", "os": "linux", "os.version": "1", "variant": "v7"}});
        for (manifest, expected) in [
            (
                json!({"config": config, "layers": [layer]}),
                vec![config, layer],
            ),
            (json!({"manifests": [child]}), vec![child]),
            (json!({"layers": null, "other": [1]}), vec![]),
            (json!([]), vec![]),
        ] {
            let listed = Reference::listed_in(manifest.to_string().as_bytes());
            assert_eq!(serde_json::to_value(listed).unwrap(), json!(expected));
        }
    }
}
