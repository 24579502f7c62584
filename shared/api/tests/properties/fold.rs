//! Folding: every name on every route, and every path there is.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use roadstead_api::fold::fold;

use crate::names::name;

const HEX: &str = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// What may follow a name, and what the router then sees after it.
fn tail() -> impl Strategy<Value = (String, String)> {
    let word = prop_oneof![
        Just("list".to_owned()),
        Just("uploads".to_owned()),
        Just("manifests".to_owned()),
        "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,8}",
        Just(format!("sha256:{HEX}")),
    ];
    let route = prop::sample::select(vec!["manifests", "blobs", "referrers", "blobs/uploads"]);
    let open = (route, word).prop_map(|(route, last)| format!("{route}/{last}"));
    let fixed = prop::sample::select(vec!["tags/list", "blobs/uploads/"]).prop_map(str::to_owned);
    let tail = prop_oneof![open, fixed];
    tail.prop_map(|tail| match tail.as_str() {
        "blobs/uploads" => (tail.clone(), format!("{tail}/")),
        _ => (tail.clone(), tail),
    })
}

fn prefix() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["/", "/my/", "/a/b/", "/v2/", "/é/"])
}

/// Paths of all kinds: with pieces of routes, with anything at all.
fn path() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "",
            "/",
            "v2",
            "my",
            "a",
            "tags",
            "list",
            "blobs",
            "uploads",
            "manifests",
            "é",
            "%2F",
            "..",
            "_catalog",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ];
    let pieces = prop::collection::vec(piece, 0..10);
    prop_oneof![
        pieces
            .clone()
            .prop_map(|pieces| format!("/{}", pieces.join("/"))),
        pieces.prop_map(|pieces| pieces.concat()),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn every_name_arrives_whole_at_every_route((name, (tail, seen)) in (name(), tail()), prefix in prefix()) {
        let folded = fold(&format!("{prefix}v2/{name}/{tail}"), prefix).unwrap().into_owned();
        let rest = folded.strip_prefix("/v2/").unwrap();
        let (segment, rest) = rest.split_once('/').unwrap();
        prop_assert_eq!(percent_decode_str(segment).decode_utf8().unwrap(), name.as_str());
        prop_assert_eq!(rest, seen);
    }

    #[test]
    fn a_folded_path_stays_as_it_is(path in path()) {
        if let Some(once) = fold(&path, "/") {
            let twice = fold(&once, "/");
            prop_assert_eq!(twice.as_deref(), Some(&*once));
        }
    }

    #[test]
    fn what_is_served_is_the_root_or_lies_below_the_prefix(path in path(), prefix in prefix()) {
        match fold(&path, prefix) {
            Some(folded) => {
                prop_assert!(path == "/" || path.starts_with(prefix), "{path} as {folded}");
                prop_assert!(folded.starts_with('/'));
            }
            None => prop_assert!(path != "/" && !path.starts_with(prefix)),
        }
    }

    #[test]
    fn nothing_is_decoded_or_lost_on_the_way(path in path()) {
        if let Some(folded) = fold(&path, "/") {
            let unfolded = folded.replace("%2F", "/");
            let path = path.replace("%2F", "/");
            let without_slash = unfolded.strip_suffix('/').unwrap_or(&unfolded);
            prop_assert!(unfolded == path || without_slash == path);
        }
    }

    #[test]
    fn any_text_is_folded_below_any_prefix_without_a_panic(path in path(), prefix in ".{0,6}") {
        let folded = fold(&path, &prefix);
        prop_assert!(folded.is_none_or(|folded: Cow<'_, str>| folded.len() <= 3 * path.len() + 3));
    }
}
