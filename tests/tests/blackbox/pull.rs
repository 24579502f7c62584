//! Pulling: manifests and blobs (end-2, end-3), and the probe before them (end-1).

use roadstead_tests::{Image, Registry};

#[test]
fn an_image_comes_back_byte_for_byte() {
    let registry = Registry::start();
    for (tag, image) in [("oci", Image::seeded(1)), ("docker", Image::docker(2))] {
        registry.push_image("library/app", tag, &image);
        registry.assert_pullable("library/app", tag, &image);
        registry.assert_pullable("library/app", &image.digest(), &image);
    }
}
