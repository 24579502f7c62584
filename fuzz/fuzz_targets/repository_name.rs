#![no_main]

use libfuzzer_sys::fuzz_target;
use roadstead_oci::{RepositoryName, Tag};

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<RepositoryName>() {
        assert_eq!(name.as_str(), text);
        assert!(text.split('/').all(|part| !part.is_empty() && !part.starts_with(['.', '_'])));
    }
    if let Ok(tag) = text.parse::<Tag>() {
        assert_eq!(tag.as_str(), text);
        assert!(!text.contains(['/', ':']) && !text.starts_with('.'));
    }
});
