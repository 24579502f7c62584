//! Names, tags, digests and references beside the specification's own regular expressions.

use std::sync::LazyLock;

use proptest::prelude::*;
use regex::Regex;
use roadstead_oci::{Digest, Reference, RepositoryName, Tag};

/// Specification, "Pulling manifests".
const NAME: &str = r"^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$";
/// Specification, "Pulling manifests".
const TAG: &str = r"^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$";
/// Image specification, "Registered algorithms", and Distribution's sha384.
const DIGEST: &str = r"^(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})$";

static NAMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(NAME).unwrap());
static TAGS: LazyLock<Regex> = LazyLock::new(|| Regex::new(TAG).unwrap());
static DIGESTS: LazyLock<Regex> = LazyLock::new(|| Regex::new(DIGEST).unwrap());

/// Texts that are names, tags or digests, nearly so, or not at all.
fn text() -> impl Strategy<Value = String> {
    let name = r"[a-z0-9]{1,3}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,3}(/[a-z0-9]{1,3}){0,3}";
    let almost_name = r"[a-bA0._/-]{0,12}";
    let long_name = r"[a-b]{120,130}/[a-b]{120,130}";
    let tag = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}";
    let almost_tag = r"[a-zA-Z0-9._-]{126,130}";
    let digest = r"(sha256:[a-f0-9]{64}|sha384:[a-f0-9]{96}|sha512:[a-f0-9]{128})";
    let almost_digest = r"(sha256|sha384|sha512|SHA256|md5|)[:+]{0,2}[a-fA-F0-9g]{62,66}";
    let newline = r"[a-z]{1,4}\n";
    prop_oneof![
        name,
        almost_name,
        long_name,
        tag,
        almost_tag,
        digest,
        almost_digest,
        newline,
        ".{0,40}",
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn a_name_is_what_the_specification_says_and_at_most_255_bytes(text in text()) {
        let is_name = NAMES.is_match(&text) && text.len() <= RepositoryName::MAX_LENGTH;
        prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), is_name);
    }

    #[test]
    fn a_tag_is_what_the_specification_says(text in text()) {
        prop_assert_eq!(text.parse::<Tag>().is_ok(), TAGS.is_match(&text));
    }

    #[test]
    fn a_digest_is_a_known_algorithm_with_all_of_its_lower_case_digits(text in text()) {
        prop_assert_eq!(text.parse::<Digest>().is_ok(), DIGESTS.is_match(&text));
    }

    #[test]
    fn a_reference_is_a_tag_or_a_digest_and_never_both(text in text()) {
        let (tag, digest) = (TAGS.is_match(&text), DIGESTS.is_match(&text));
        prop_assert!(!(tag && digest));
        match text.parse::<Reference>() {
            Ok(Reference::Tag(_)) => prop_assert!(tag),
            Ok(Reference::Digest(_)) => prop_assert!(digest),
            Err(_) => prop_assert!(!tag && !digest),
        }
    }

    #[test]
    fn what_was_parsed_is_written_as_it_was_read(text in text()) {
        if let Ok(name) = text.parse::<RepositoryName>() {
            prop_assert_eq!(name.to_string(), text.as_str());
            prop_assert_eq!(name.as_str(), text.as_str());
        }
        if let Ok(tag) = text.parse::<Tag>() {
            prop_assert_eq!(tag.to_string(), text.as_str());
            prop_assert_eq!(tag.as_str(), text.as_str());
        }
        if let Ok(reference) = text.parse::<Reference>() {
            prop_assert_eq!(reference.to_string(), text.as_str());
        }
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.to_string(), text.as_str());
            let parts = format!("{}:{}", digest.algorithm(), digest.hex());
            prop_assert_eq!(parts, text.as_str());
            prop_assert!(digest.referrers_tag().parse::<Tag>().is_ok());
        }
    }

    #[test]
    fn a_name_is_safe_as_a_path_and_in_a_url_as_it_stands(text in text()) {
        if text.parse::<RepositoryName>().is_ok() {
            for component in text.split('/') {
                prop_assert!(!component.is_empty() && !component.starts_with(['.', '_']));
            }
            let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
            prop_assert!(text.bytes().all(plain));
        }
    }
}
