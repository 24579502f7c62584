//! Paths whose repository names have slashes, for a router that has wildcards only at the end.
//!
//! The tail of a path says what it asks for, so it is read from the right, and what precedes it
//! is the name: `/v2/a/b/manifests/latest` becomes `/v2/a%2Fb/manifests/latest`, which a route
//! `/v2/{name}/manifests/{reference}` takes. Names made of path words (`blobs`, `tags`) are legal
//! and are settled by the same rule.

use std::borrow::Cow;

/// `path` below `prefix` with the slashes of the repository name folded away; borrowed when
/// there is nothing to change. A path that is not below the prefix is `None`.
///
/// `prefix` begins and ends with a slash. Nothing is decoded or judged here: a name that cannot
/// be is refused by whoever extracts it.
pub fn fold<'a>(path: &'a str, prefix: &str) -> Option<Cow<'a, str>> {
    if !path.starts_with(prefix) {
        return (path == "/").then_some(Cow::Borrowed(path));
    }
    let below = path.get(prefix.len().checked_sub(1)?..)?;
    let Some(rest) = below.strip_prefix("/v2/") else {
        return Some(Cow::Borrowed(below));
    };
    let segments: Vec<&str> = rest.split('/').collect();
    let name_length = segments.len().saturating_sub(tail_length(&segments));
    if name_length == 0 || tail_length(&segments) == 0 {
        return Some(Cow::Borrowed(below));
    }
    let name = segments[..name_length].join("%2F");
    let tail = segments[name_length..].join("/");
    let slash = if tail == "blobs/uploads" { "/" } else { "" };
    Some(Cow::Owned(format!("/v2/{name}/{tail}{slash}")))
}

/// How many segments at the end are the route and not the name.
fn tail_length(segments: &[&str]) -> usize {
    match segments {
        [.., "tags", "list"] | [.., "blobs" | "manifests" | "referrers", _] => 2,
        [.., "blobs", "uploads", _] => 3,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_read_from_the_right() {
        for (path, folded) in [
            ("/", "/"),
            ("/v2", "/v2"),
            ("/v2/", "/v2/"),
            ("/v2/_catalog", "/v2/_catalog"),
            ("/v2/a/tags/list", "/v2/a/tags/list"),
            ("/v2/a/b/c/tags/list", "/v2/a%2Fb%2Fc/tags/list"),
            ("/v2/a/b/manifests/latest", "/v2/a%2Fb/manifests/latest"),
            ("/v2/a/b/blobs/sha256:0", "/v2/a%2Fb/blobs/sha256:0"),
            ("/v2/a/b/referrers/sha256:0", "/v2/a%2Fb/referrers/sha256:0"),
            ("/v2/a/b/blobs/uploads/", "/v2/a%2Fb/blobs/uploads/"),
            ("/v2/a/b/blobs/uploads", "/v2/a%2Fb/blobs/uploads/"),
            ("/v2/a/b/blobs/uploads/id", "/v2/a%2Fb/blobs/uploads/id"),
            (
                "/v2/blobs/uploads/blobs/uploads/id",
                "/v2/blobs%2Fuploads/blobs/uploads/id",
            ),
            (
                "/v2/a/blobs/uploads/manifests/t",
                "/v2/a%2Fblobs%2Fuploads/manifests/t",
            ),
            (
                "/v2/manifests/manifests/manifests",
                "/v2/manifests/manifests/manifests",
            ),
            ("/v2/tags/list/tags/list", "/v2/tags%2Flist/tags/list"),
            ("/v2/a//b/tags/list", "/v2/a%2F%2Fb/tags/list"),
            ("/v2/../tags/list", "/v2/../tags/list"),
            ("/v2/tags/list", "/v2/tags/list"),
            ("/v2/a/b", "/v2/a/b"),
            ("/other", "/other"),
        ] {
            assert_eq!(fold(path, "/").as_deref(), Some(folded), "{path}");
        }
    }

    #[test]
    fn a_prefix_is_stripped_and_nothing_outside_it_is_served_but_the_root() {
        for (path, folded) in [
            ("/", Some("/")),
            ("/my/v2/", Some("/v2/")),
            ("/my/v2/a/b/tags/list", Some("/v2/a%2Fb/tags/list")),
            ("/v2/", None),
            ("/m", None),
            ("/myv2/", None),
            ("/m\u{e9}", None),
        ] {
            assert_eq!(fold(path, "/my/").as_deref(), folded, "{path}");
        }
    }
}
