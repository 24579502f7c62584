#![no_main]

use http::header::{HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use libfuzzer_sys::fuzz_target;
use roadstead_api::conditional::{Wanted, precondition, wanted};
use roadstead_oci::Digest;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fuzz_target!(|input: (u64, &[u8], Option<&[u8]>, Option<&[u8]>)| {
    let (size, range, if_range, if_match) = input;
    let digest: Digest = DIGEST.parse().expect("a digest");
    let mut headers = HeaderMap::new();
    let values = [(RANGE, Some(range)), (IF_RANGE, if_range), (IF_MATCH, if_match), (IF_NONE_MATCH, if_match)];
    for (name, value) in values {
        let value = value.and_then(|value| HeaderValue::from_bytes(value).ok());
        headers.extend(value.map(|value| (name, value)));
    }
    precondition(&headers, &digest);
    if let Wanted::Part { offset, length } = wanted(&headers, &digest, size) {
        assert!(length > 0);
        assert!(offset.checked_add(length).is_some_and(|end| end <= size));
    }
});
