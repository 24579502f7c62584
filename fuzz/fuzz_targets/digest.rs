#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_oci::{Digest, Tag};

fuzz_target!(|text: &str| {
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.as_str(), text);
        assert_eq!(format!("{}:{}", digest.algorithm(), digest.hex()), text);
        assert!(digest.referrers_tag().parse::<Tag>().is_ok());
    }
});
