//! Queries: what a client put in comes out, and limits hold.

use axum::extract::FromRequestParts;
use futures_util::FutureExt;
use http::{Request, Uri};
use proptest::prelude::*;
use roadstead_api::extract::Query;
use roadstead_oci::Digest;

fn query(text: &str) -> Option<Query> {
    let uri = Uri::try_from(format!("/v2/?{text}")).ok()?;
    let request = Request::builder().uri(uri).body(()).unwrap();
    let (mut parts, ()) = request.into_parts();
    let query = Query::from_request_parts(&mut parts, &()).now_or_never();
    let Ok(query) = query.unwrap();
    Some(query)
}

fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
    let key = prop_oneof!["(n|last|digest|from)", ".{0,4}"];
    prop::collection::vec((key, ".{0,12}"), 0..6)
}

proptest! {
    #[test]
    fn what_a_client_encodes_is_what_is_read(pairs in pairs()) {
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        let query = query(&text).unwrap();
        for (key, _) in &pairs {
            let values: Vec<&str> =
                pairs.iter().filter(|(other, _)| other == key).map(|(_, value)| value.as_str()).collect();
            prop_assert_eq!(query.get(key), values.first().copied());
            prop_assert_eq!(query.all(key).collect::<Vec<_>>(), values);
        }
        prop_assert_eq!(query.get("never given"), None);
    }

    #[test]
    fn a_page_is_never_larger_than_the_limit(n in prop_oneof!["[0-9]{0,25}", "[-+0-9. a-z]{0,5}"], most in 0..2000_usize) {
        let text = form_urlencoded::Serializer::new(String::new()).append_pair("n", &n).finish();
        let is_number = !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
        match query(&text).unwrap().page_size(most) {
            Ok(Some(size)) => {
                let asked = n.parse::<u128>().unwrap();
                prop_assert_eq!(size as u128, asked.min(most as u128));
            }
            Ok(None) => prop_assert!(false, "n was given"),
            Err(_) => prop_assert!(!is_number),
        }
    }

    #[test]
    fn a_digest_that_stands_there_twice_must_be_the_same(hexes in prop::collection::vec("[0a]{64}", 0..3)) {
        let pairs = hexes.iter().map(|hex| ("digest", format!("sha256:{hex}")));
        let text = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let digest = query(&text).unwrap().digest("digest");
        let all_same = hexes.windows(2).all(|two| two[0] == two[1]);
        match digest {
            Ok(digest) => {
                let first = hexes.first().map(|hex| format!("sha256:{hex}"));
                prop_assert!(all_same);
                prop_assert_eq!(digest.as_ref().map(Digest::as_str), first.as_deref());
            }
            Err(_) => prop_assert!(!all_same),
        }
    }

    #[test]
    fn any_query_is_read_without_a_panic(text in prop_oneof!["[ -~]{0,40}", "[%&=;+a-f0-9]{0,40}", any::<String>()]) {
        if let Some(query) = query(&text) {
            query.digest("digest").ok();
            query.page_size(10).ok();
            query.last();
        }
    }
}
