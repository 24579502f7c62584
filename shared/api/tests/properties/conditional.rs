//! Ranges and preconditions beside implementations that are slow and plain.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use roadstead_api::conditional::{Precondition, Wanted, precondition, wanted};
use roadstead_oci::Digest;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn digest() -> Digest {
    DIGEST.parse().unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), value.parse().unwrap())
    };
    pairs.iter().map(pair).collect()
}

/// One range as RFC 9110 knows them, and the bytes of `size` that it stands for: found by asking
/// of each whether it is meant.
#[derive(Clone, Debug)]
enum Spec {
    FromTo(u64, u64),
    From(u64),
    Last(u64),
}

impl Spec {
    fn text(&self) -> String {
        match self {
            Self::FromTo(first, last) => format!("{first}-{last}"),
            Self::From(first) => format!("{first}-"),
            Self::Last(count) => format!("-{count}"),
        }
    }

    fn bytes(&self, size: u64) -> Vec<u64> {
        let is_meant = |byte: &u64| match self {
            Self::FromTo(first, last) => first <= byte && byte <= last,
            Self::From(first) => first <= byte,
            Self::Last(count) => size - byte <= *count,
        };
        (0..size).filter(is_meant).collect()
    }
}

fn spec() -> impl Strategy<Value = Spec> {
    let number = || prop_oneof![9 => 0..30_u64, 1 => Just(u64::MAX), 1 => any::<u64>()];
    prop_oneof![
        (number(), number()).prop_map(|(first, last)| Spec::FromTo(first, last)),
        number().prop_map(Spec::From),
        number().prop_map(Spec::Last),
    ]
}

/// A header value, mostly one that begins like a range.
fn value() -> impl Strategy<Value = HeaderValue> {
    let text = prop_oneof![
        "bytes=[0-9]{0,22}-[0-9]{0,22}",
        "(bytes|BYTES|lines| bytes )=[ 0-9,-]{0,12}",
        "[ -~]{0,20}",
    ];
    let bytes = prop::collection::vec(prop_oneof![32..127_u8, 128..=255_u8], 0..20);
    prop_oneof![
        text.prop_map(|text| text.parse().unwrap()),
        bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap()),
    ]
}

proptest! {
    #[test]
    fn a_range_is_answered_with_the_bytes_it_stands_for(spec in spec(), size in 0..25_u64) {
        let range = format!("bytes={}", spec.text());
        let answered = match wanted(&headers(&[("range", &range)]), &digest(), size) {
            Wanted::Whole => (0..size).collect(),
            Wanted::Part { offset, length } => (offset..offset + length).collect(),
            Wanted::Unsatisfiable => Vec::new(),
        };
        prop_assert_eq!(answered, spec.bytes(size), "{}", range);
    }

    #[test]
    fn a_part_is_never_empty_and_always_within_the_content(
        range in value(),
        if_range in prop::option::of(value()),
        size in prop_oneof![0..25_u64, any::<u64>()],
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("range", range);
        headers.extend(if_range.map(|value| (http::header::IF_RANGE, value)));
        if let Wanted::Part { offset, length } = wanted(&headers, &digest(), size) {
            prop_assert!(length > 0);
            prop_assert!(offset.checked_add(length).is_some_and(|end| end <= size));
        }
    }

    #[test]
    fn several_ranges_get_the_whole(specs in prop::collection::vec(spec(), 2..20), size in 0..25_u64) {
        let ranges: Vec<_> = specs.iter().map(Spec::text).collect();
        let range = format!("bytes={}", ranges.join(", "));
        prop_assert_eq!(wanted(&headers(&[("range", &range)]), &digest(), size), Wanted::Whole);
    }

    #[test]
    fn a_client_that_has_the_content_is_told_so_and_no_other(
        etags in prop::collection::vec(prop::sample::select(vec!["*", "same", "weak", "other", ""]), 0..4),
        split in any::<bool>(),
    ) {
        let same = format!("\"{DIGEST}\"");
        let weak = format!("W/{same}");
        let written = |etag: &&str| match *etag {
            "same" => same.clone(),
            "weak" => weak.clone(),
            "other" => format!("\"{}\"", DIGEST.replace('4', "5")),
            etag => etag.to_owned(),
        };
        let written: Vec<String> = etags.iter().map(written).collect();
        let lines = if split { written.clone() } else { vec![written.join(", ")] };
        let of = |name: &'static str| -> HeaderMap {
            let line = |line: &String| (HeaderName::from_static(name), line.parse().unwrap());
            lines.iter().map(line).collect()
        };
        let has = etags.iter().any(|etag| ["*", "same", "weak"].contains(etag));
        let none_match = precondition(&of("if-none-match"), &digest());
        prop_assert_eq!(none_match == Precondition::NotModified, has);
        prop_assert!(none_match != Precondition::Failed);
        let is_named = etags.iter().any(|etag| ["*", "same"].contains(etag));
        let if_match = precondition(&of("if-match"), &digest());
        prop_assert_eq!(if_match == Precondition::Failed, !is_named && !lines.is_empty());
        prop_assert!(if_match != Precondition::NotModified);
    }

    #[test]
    fn any_header_is_looked_at_without_a_panic(values in prop::collection::vec(value(), 0..4), size in any::<u64>()) {
        let names = [http::header::IF_MATCH, http::header::IF_NONE_MATCH, http::header::IF_RANGE, http::header::RANGE];
        let headers: HeaderMap = names.into_iter().zip(values).collect();
        precondition(&headers, &digest());
        wanted(&headers, &digest(), size);
    }
}
