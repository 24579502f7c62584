//! Images made from a seed: real enough for real clients, small, and the same on every run.

use std::path::Path;

use serde_json::{Value, json};

use crate::digest::sha256;

/// An OCI image manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An OCI image index.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An OCI image configuration.
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A compressed OCI layer.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// The configuration of an artifact that has none.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A Docker image manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// A Docker manifest list.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// The manifest types that clients accept.
pub const MANIFEST_TYPES: [&str; 4] = [OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST];

/// A manifest and the blobs it names.
#[derive(Clone, Debug)]
pub struct Image {
    media_type: &'static str,
    manifest: Vec<u8>,
    blobs: Vec<Vec<u8>>,
}

impl Image {
    /// An OCI image of two layers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::build(seed, OCI_MANIFEST, [OCI_CONFIG, OCI_LAYER])
    }

    /// The same as Docker's older types.
    #[must_use]
    pub fn docker(seed: u64) -> Self {
        let config = "application/vnd.docker.container.image.v1+json";
        Self::build(
            seed,
            DOCKER_MANIFEST,
            [config, "application/vnd.docker.image.rootfs.diff.tar.gzip"],
        )
    }

    fn build(seed: u64, media_type: &'static str, [config_type, layer_type]: [&str; 2]) -> Self {
        let tars = [layer(seed, 0, 3000), layer(seed, 1, 3000)];
        Self::of_layers(seed, media_type, [config_type, layer_type], &tars)
    }

    /// An OCI image with a layer of about so many bytes, which no compression makes smaller.
    #[must_use]
    pub fn large(seed: u64, length: usize) -> Self {
        let tars = [layer(seed, 0, length), layer(seed, 1, 3000)];
        Self::of_layers(seed, OCI_MANIFEST, [OCI_CONFIG, OCI_LAYER], &tars)
    }

    fn of_layers(
        seed: u64,
        media_type: &'static str,
        [config_type, layer_type]: [&str; 2],
        tars: &[Vec<u8>; 2],
    ) -> Self {
        let layers = tars.each_ref().map(|tar| gzip(tar));
        let config = json!({
            "architecture": "amd64",
            "os": "linux",
            "config": { "Labels": { "seed": seed.to_string() } },
            "rootfs": { "type": "layers", "diff_ids": tars.each_ref().map(|tar| sha256(tar)) },
        });
        let config = config.to_string().into_bytes();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": descriptor(config_type, &config),
            "layers": layers.each_ref().map(|layer| descriptor(layer_type, layer)),
        });
        let [first, second] = layers;
        Self {
            media_type,
            manifest: pretty(&manifest),
            blobs: vec![config, first, second],
        }
    }

    /// An artifact that refers to a subject, such as a signature.
    #[must_use]
    pub fn referrer(subject: &Value, artifact_type: &str, content: &[u8]) -> Self {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": descriptor(EMPTY, b"{}"),
            "layers": [descriptor("application/octet-stream", content)],
            "subject": subject,
            "annotations": { "org.example.note": String::from_utf8_lossy(content) },
        });
        Self {
            media_type: OCI_MANIFEST,
            manifest: pretty(&manifest),
            blobs: vec![b"{}".to_vec(), content.to_vec()],
        }
    }

    /// A manifest as given, with blobs as given.
    #[must_use]
    pub fn of(media_type: &'static str, manifest: &Value, blobs: &[&[u8]]) -> Self {
        let blobs = blobs.iter().map(|blob| blob.to_vec()).collect();
        Self {
            media_type,
            manifest: pretty(manifest),
            blobs,
        }
    }

    /// An index over images. It has no blobs of its own.
    #[must_use]
    pub fn index(children: &[&Image]) -> Self {
        let descriptors = |(position, child): (usize, &&Image)| {
            let mut descriptor = child.descriptor();
            let architecture = ["amd64", "arm64", "riscv64", "s390x"][position % 4];
            descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
            descriptor
        };
        let manifests: Vec<Value> = children.iter().enumerate().map(descriptors).collect();
        Self::of(
            OCI_INDEX,
            &json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests }),
            &[],
        )
    }

    /// The manifest's media type.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        self.media_type
    }

    /// The manifest's bytes.
    #[must_use]
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// The manifest's digest.
    #[must_use]
    pub fn digest(&self) -> String {
        sha256(&self.manifest)
    }

    /// The configuration and the layers, in this order.
    #[must_use]
    pub fn blobs(&self) -> &[Vec<u8>] {
        &self.blobs
    }

    /// The descriptor by which others name this image.
    #[must_use]
    pub fn descriptor(&self) -> Value {
        descriptor(self.media_type, &self.manifest)
    }

    /// Writes the image as an OCI layout directory with one tag.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write_layout(&self, directory: &Path, tag: &str) {
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("the layout's directory");
        for blob in self.blobs.iter().chain([&self.manifest]) {
            let digest = sha256(blob);
            let name = digest.strip_prefix("sha256:").expect("a sha256 digest");
            std::fs::write(blobs.join(name), blob).expect("a blob of the layout");
        }
        let mut entry = self.descriptor();
        entry["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({ "schemaVersion": 2, "manifests": [entry] }).to_string();
        std::fs::write(directory.join("index.json"), index).expect("the layout's index");
        std::fs::write(
            directory.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("the layout's mark");
    }
}

/// A descriptor of content.
#[must_use]
pub fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(content), "size": content.len() })
}

/// Bytes that look random and are the same for the same seed (splitmix64).
#[must_use]
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend((word ^ (word >> 31)).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Manifests come out indented: whoever re-serialises them changes their digest, and is caught.
fn pretty(manifest: &Value) -> Vec<u8> {
    serde_json::to_vec_pretty(manifest).expect("JSON can be written")
}

/// A tar archive with one file.
fn layer(seed: u64, position: u64, length: usize) -> Vec<u8> {
    let content = noise(seed.wrapping_mul(31).wrapping_add(position), length);
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, &format!("file-{seed}-{position}"));
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut tar = header.to_vec();
    tar.extend(&content);
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    tar
}

/// A gzip file that stores its content without compressing it.
fn gzip(content: &[u8]) -> Vec<u8> {
    const BLOCK: usize = u16::MAX as usize;
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let last = content.len().div_ceil(BLOCK).saturating_sub(1);
    for (index, block) in content.chunks(BLOCK).enumerate() {
        let length = u16::try_from(block.len()).expect("a block");
        file.push(u8::from(index == last));
        file.extend(length.to_le_bytes());
        file.extend((!length).to_le_bytes());
        file.extend(block);
    }
    file.extend(crc32(content).to_le_bytes());
    let length = u32::try_from(content.len()).expect("a layer of less than 4 GiB");
    file.extend(length.to_le_bytes());
    file
}

fn crc32(content: &[u8]) -> u32 {
    !content.iter().fold(!0_u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_seed_always_makes_the_same_image() {
        assert_eq!(Image::seeded(7).digest(), Image::seeded(7).digest());
        assert_ne!(Image::seeded(7).digest(), Image::seeded(8).digest());
    }
}
