//! Which manifest a client gets that does not accept the one that is stored.
//!
//! The stored one, but for one case that old clients live by: asked by tag for an image, a
//! registry that has a Docker manifest list serves the list's image for linux on amd64. Any
//! other refusal would only turn away clients that send no or a sloppy `Accept`.

use http::HeaderMap;
use http::header::ACCEPT;
use roadstead_metadata::ManifestRecord;
use roadstead_oci::media_type::{DOCKER_LIST, DOCKER_MANIFEST, essence};
use roadstead_oci::{Descriptor, Digest, Manifest, Reference};

/// The child to serve in place of `record`, if this is the case for one.
pub(crate) fn substitute(
    record: &ManifestRecord,
    reference: &Reference,
    headers: &HeaderMap,
) -> Option<Digest> {
    let by_tag = matches!(reference, Reference::Tag(_));
    let wants_image = accepts(headers, DOCKER_MANIFEST) && !accepts(headers, DOCKER_LIST);
    if !by_tag || record.media_type != DOCKER_LIST || !wants_image {
        return None;
    }
    let list = Manifest::read(&record.bytes).ok()?;
    let child = list.manifests.into_iter().find(is_linux_amd64)?;
    Some(child.digest)
}

fn is_linux_amd64(child: &Descriptor) -> bool {
    let platform = child.platform.as_ref();
    platform.is_some_and(|platform| platform.os == "linux" && platform.architecture == "amd64")
}

/// Whether `Accept` names the type itself, or everything.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let values = headers
        .get_all(ACCEPT)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let mut types = values.flat_map(|value| value.split(',')).map(essence);
    types.any(|accepted| accepted == media_type || accepted == "*/*" || accepted == "application/*")
}
