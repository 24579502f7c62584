#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_oci::Manifest;

fuzz_target!(|input: (&str, &[u8])| {
    let (content_type, bytes) = input;
    let Ok(manifest) = Manifest::parse(bytes, None) else {
        assert!(Manifest::parse(bytes, Some(content_type)).is_err());
        return;
    };
    assert!(manifest.references().count() <= Manifest::MAX_DESCRIPTORS);
    assert_eq!(Manifest::read(bytes).ok().as_ref(), Some(&manifest));
    let itself = Manifest::parse(bytes, Some(&manifest.media_type));
    assert_eq!(itself.ok().as_ref(), Some(&manifest));
    if let Ok(pushed) = Manifest::parse(bytes, Some(content_type)) {
        assert_eq!(pushed, manifest);
    }
});
