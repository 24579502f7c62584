//! Preconditions and ranges of requests for content that a digest names (RFC 9110, sections 13
//! and 14). The entity tag is the digest, in quotes, and always a strong one.

use http::header::{IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName};
use roadstead_oci::Digest;

/// What a request's preconditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// Answer as if there were none.
    Holds,
    /// 304: the client has it.
    NotModified,
    /// 412: the client wanted something else.
    Failed,
}

/// Which bytes a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All of them.
    Whole,
    /// `length` bytes from `offset` on.
    Part {
        /// The first byte.
        offset: u64,
        /// How many; at least one.
        length: u64,
    },
    /// 416: none that there are.
    Unsatisfiable,
}

/// Evaluates `If-Match` and `If-None-Match` for content named by `digest`.
pub fn precondition(headers: &HeaderMap, digest: &Digest) -> Precondition {
    let is_same = |tag: &str| tag == "*" || is_strong(tag, digest);
    if headers.contains_key(IF_MATCH) && !tags(headers, IF_MATCH).any(is_same) {
        return Precondition::Failed;
    }
    let is_same = |tag: &str| is_same(tag.strip_prefix("W/").unwrap_or(tag));
    if tags(headers, IF_NONE_MATCH).any(is_same) {
        return Precondition::NotModified;
    }
    Precondition::Holds
}

/// The part of `size` bytes that `Range` asks for, if `If-Range` permits one. Several ranges at
/// once are answered with the whole, as section 14.2 permits; so are units other than bytes.
pub fn wanted(headers: &HeaderMap, digest: &Digest, size: u64) -> Wanted {
    let Some(range) = headers.get(RANGE) else {
        return Wanted::Whole;
    };
    let if_range = headers.get(IF_RANGE).map(|tag| tag.to_str());
    if if_range.is_some_and(|tag| !tag.is_ok_and(|tag| is_strong(tag.trim(), digest))) {
        return Wanted::Whole;
    }
    let Some(range) = range.to_str().ok().and_then(|range| range.split_once('=')) else {
        return Wanted::Unsatisfiable;
    };
    match range {
        (unit, _) if !unit.trim().eq_ignore_ascii_case("bytes") => Wanted::Whole,
        (_, ranges) if ranges.contains(',') => Wanted::Whole,
        (_, range) => part(range.trim(), size).unwrap_or(Wanted::Unsatisfiable),
    }
}

fn part(range: &str, size: u64) -> Option<Wanted> {
    let (first, last) = range.split_once('-')?;
    let (offset, end) = match (first, last) {
        ("", suffix) => (size.saturating_sub(number(suffix)?), size),
        (first, "") => (number(first)?, size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return None;
            }
            (first, last.saturating_add(1).min(size))
        }
    };
    (offset < end).then(|| Wanted::Part {
        offset,
        length: end - offset,
    })
}

/// A number of any length; more than fits is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// The entity tags of a header, as they are written.
fn tags(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// Whether a tag is the digest, quoted or bare. A weak one is not: whoever weakened it may have
/// changed the bytes, and their parts are not ours (RFC 9110, section 8.8.3.2).
fn is_strong(tag: &str, digest: &Digest) -> bool {
    tag.trim_matches('"') == digest.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let value = value.replace('$', DIGEST);
            (HeaderName::from_static(name), value.parse().unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn entity_tags_are_found_in_every_form() {
        let digest: Digest = DIGEST.parse().unwrap();
        use Precondition::{Failed, Holds, NotModified};
        for (pairs, expected) in [
            (&[][..], Holds),
            (&[("if-none-match", "\"$\"")], NotModified),
            (&[("if-none-match", "$")], NotModified),
            (&[("if-none-match", "W/\"$\"")], NotModified),
            (&[("if-none-match", "\"x\", W/\"$\"")], NotModified),
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "\"x\"")], Holds),
            (&[("if-match", "\"$\"")], Holds),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-match", "W/\"$\"")], Failed),
            (&[("if-match", "W/\"$\", \"$\"")], Holds),
            (&[("if-match", "\"x\""), ("if-none-match", "*")], Failed),
        ] {
            assert_eq!(
                precondition(&headers(pairs), &digest),
                expected,
                "{pairs:?}"
            );
        }
    }

    #[test]
    fn ranges_are_read_as_rfc_9110_says() {
        let digest: Digest = DIGEST.parse().unwrap();
        use Wanted::{Part, Unsatisfiable, Whole};
        let part = |offset, length| Part { offset, length };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 10)),
            ("bytes=3-5", part(3, 3)),
            ("bytes=3-99999999999999999999999", part(3, 7)),
            ("bytes=-4", part(6, 4)),
            ("bytes=-40", part(0, 10)),
            ("bytes=9-9", part(9, 1)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=5-3", Unsatisfiable),
            ("bytes=a-b", Unsatisfiable),
            ("bytes=--1", Unsatisfiable),
            ("bytes=", Unsatisfiable),
            ("bytes", Unsatisfiable),
            ("bytes=0-1,3-4", Whole),
            ("lines=0-1", Whole),
        ] {
            let wanted = wanted(&headers(&[("range", range)]), &digest, 10);
            assert_eq!(wanted, expected, "{range}");
        }
        let none = wanted(&headers(&[("range", "bytes=0-")]), &digest, 0);
        assert_eq!(none, Unsatisfiable);
    }

    #[test]
    fn if_range_permits_a_part_only_of_the_same_content() {
        let digest: Digest = DIGEST.parse().unwrap();
        for (if_range, is_part) in [
            ("\"$\"", true),
            ("\"x\"", false),
            ("W/\"$\"", false),
            ("\"x\", \"$\"", false),
            ("*", false),
            ("Sat, 21 Nov 2026 00:00:00 GMT", false),
        ] {
            let headers = headers(&[("range", "bytes=0-0"), ("if-range", if_range)]);
            assert_eq!(
                wanted(&headers, &digest, 10) != Wanted::Whole,
                is_part,
                "{if_range}"
            );
        }
    }
}
