//! Reading under strain: ranges, conditions, paging (list D of the attacks).

use roadstead_tests::image::noise;
use roadstead_tests::{Image, Registry};

const SIZE: usize = 1000;

fn registry_with_blob() -> (Registry, String, Vec<u8>) {
    let registry = Registry::start();
    let content = noise(1, SIZE);
    let target = format!("/v2/app/blobs/{}", registry.push_blob("app", &content));
    (registry, target, content)
}

#[test]
fn one_range_is_served_as_that_part() {
    let (registry, target, content) = registry_with_blob();
    for (range, first, last) in [
        ("bytes=0-9", 0, 9),
        ("bytes=0-0", 0, 0),
        ("bytes=10-", 10, 999),
        ("bytes=999-", 999, 999),
        ("bytes=-1", 999, 999),
        ("bytes=-10", 990, 999),
        ("bytes=-5000", 0, 999),
        ("bytes=500-5000", 500, 999),
        ("bytes=0-999", 0, 999),
        ("bytes=0-18446744073709551615", 0, 999),
    ] {
        let answer = registry
            .request("GET", &target)
            .header("Range", range)
            .send()
            .expect(206);
        assert_eq!(
            answer.need("content-range"),
            format!("bytes {first}-{last}/{SIZE}"),
            "{range}"
        );
        assert_eq!(answer.body, content[first..=last], "{range}");
        assert_eq!(
            answer.need("content-length"),
            (last - first + 1).to_string(),
            "{range}"
        );
    }
}

#[test]
fn a_range_beyond_the_end_is_refused_with_the_size() {
    let (registry, target, _) = registry_with_blob();
    for range in [
        "bytes=1000-",
        "bytes=1000-1000",
        "bytes=5000-6000",
        "bytes=-0",
        "bytes=99999999999999999-",
    ] {
        let answer = registry
            .request("GET", &target)
            .header("Range", range)
            .send()
            .expect(416);
        assert_eq!(
            answer.need("content-range"),
            format!("bytes */{SIZE}"),
            "{range}"
        );
    }
}

#[test]
fn a_range_that_makes_no_sense_is_refused_or_ignored() {
    let (registry, target, content) = registry_with_blob();
    for range in [
        "bytes=9-0",
        "bytes=a-b",
        "bytes=",
        "bytes=-",
        "bytes",
        "bytes=--1",
        "lines=1-2",
        "bytes=1-2x",
        "bytes= ",
    ] {
        let answer = registry
            .request("GET", &target)
            .header("Range", range)
            .send();
        match answer.status {
            200 => assert_eq!(answer.body, content, "{range}"),
            status => assert_eq!(status, 416, "{range}: {answer:?}"),
        }
    }
}

#[test]
fn several_ranges_are_answered_with_the_whole_blob() {
    let (registry, target, content) = registry_with_blob();
    let many = format!(
        "bytes={}",
        (0..300)
            .map(|at| format!("{at}-{at}"))
            .collect::<Vec<_>>()
            .join(",")
    );
    for range in [
        "bytes=0-1,5-6",
        "bytes=0-99,50-149",
        "bytes=0-, 0-, 0-",
        "bytes=0-1,-1",
        &many,
    ] {
        let answer = registry
            .request("GET", &target)
            .header("Range", range)
            .send()
            .expect(200);
        assert_eq!(answer.body, content, "{range}");
    }
}

#[test]
fn a_head_with_a_range_has_no_body_and_a_fitting_length() {
    let (registry, target, _) = registry_with_blob();
    let answer = registry
        .request("HEAD", &target)
        .header("Range", "bytes=0-9")
        .send();
    let length = answer.need("content-length");
    match answer.status {
        200 => assert_eq!(length, "1000"),
        status => assert_eq!((status, length), (206, "10")),
    }
}

#[test]
fn a_range_holds_only_while_the_validator_does() {
    let (registry, target, content) = registry_with_blob();
    let etag = registry.head(&target).need("etag").to_owned();
    let ask = |validator: &str| {
        registry
            .request("GET", &target)
            .header("Range", "bytes=0-9")
            .header("If-Range", validator)
            .send()
    };
    assert_eq!(ask(&etag).expect(206).body, content[..10]);
    assert_eq!(ask("\"something else\"").expect(200).body, content);
}

#[test]
fn a_client_that_has_it_already_gets_no_body() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "latest", &image);
    let layer = registry.push_blob("app", b"layer");
    for (target, digest) in [
        ("/v2/app/manifests/latest".to_owned(), image.digest()),
        (
            format!("/v2/app/manifests/{}", image.digest()),
            image.digest(),
        ),
        (format!("/v2/app/blobs/{layer}"), layer.clone()),
    ] {
        for (condition, status) in [
            (format!("\"{digest}\""), 304),
            (format!("W/\"{digest}\""), 304),
            (format!("\"other\", \"{digest}\""), 304),
            (format!("\"{digest}\",\"other\""), 304),
            ("*".to_owned(), 304),
            ("\"other\"".to_owned(), 200),
            ("\"a\", \"b\"".to_owned(), 200),
            (format!("\"x{digest}\""), 200),
            ("\"".to_owned(), 200),
            (String::new(), 200),
        ] {
            for method in ["GET", "HEAD"] {
                let request = registry.request(method, &target).header("Accept", "*/*");
                let answer = request
                    .header("If-None-Match", &*condition)
                    .send()
                    .expect(status);
                assert_eq!(answer.need("docker-content-digest"), digest, "{condition}");
                assert_eq!(answer.need("etag"), format!("\"{digest}\""), "{condition}");
            }
        }
    }
}

#[test]
fn a_condition_does_not_conjure_up_what_is_missing() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    let absent = Image::seeded(2).digest();
    for (target, code) in [
        (format!("/v2/app/manifests/{absent}"), "MANIFEST_UNKNOWN"),
        (format!("/v2/app/blobs/{absent}"), "BLOB_UNKNOWN"),
    ] {
        for condition in [format!("\"{absent}\""), "*".to_owned()] {
            let answer = registry
                .request("GET", &target)
                .header("If-None-Match", condition)
                .send();
            let _ = answer.expect_error(404, code);
        }
    }
}

#[test]
fn a_failed_precondition_is_a_complete_answer() {
    let (registry, target, _) = registry_with_blob();
    let etag = registry.head(&target).need("etag").to_owned();
    let ask = |condition: &str| {
        registry
            .request("GET", &target)
            .header("If-Match", condition)
            .send()
    };
    let _ = ask(&etag).expect(200);
    let answer = ask("\"something else\"");
    let answer = answer.expect_error(412, "UNSUPPORTED");
    assert_eq!(answer.need("etag"), etag);
    assert_eq!(answer.need("cache-control"), "no-store");
}

#[test]
fn blobs_are_never_compressed_on_the_way() {
    let registry = Registry::start();
    let content = vec![b'a'; 100_000];
    let digest = registry.push_blob("app", &content);
    let request = registry.request("GET", &format!("/v2/app/blobs/{digest}"));
    let answer = request
        .header("Accept-Encoding", "gzip, br, zstd, deflate")
        .send()
        .expect(200);
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.body, content);
}

#[test]
fn a_page_size_that_is_no_count_is_refused() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    for list in ["/v2/app/tags/list", "/v2/_catalog"] {
        for n in [
            "-1",
            "NaN",
            "1.5",
            "1e3",
            "0x10",
            "one",
            "%00",
            "-99999999999999999999",
        ] {
            let answer = registry.get(&format!("{list}?n={n}"));
            let _ = answer.expect_error(400, "PAGINATION_NUMBER_INVALID");
        }
    }
}

#[test]
fn a_page_size_that_is_strange_still_gets_an_answer() {
    let registry = Registry::start();
    registry.push_image("app", "latest", &Image::seeded(1));
    for list in ["/v2/app/tags/list", "/v2/_catalog"] {
        for query in [
            "n=",
            "n=1&n=2",
            "n=1000000000000000000",
            "n=99999999999999999999999",
            "last=",
            "n&last",
            "&&&=",
        ] {
            let answer = registry.get(&format!("{list}?{query}"));
            assert!(
                [200, 400].contains(&answer.status),
                "{list}?{query}: {answer:?}"
            );
        }
    }
}

#[test]
fn listing_after_anything_is_a_list() {
    let registry = Registry::start();
    let image = Image::seeded(1);
    registry.push_image("app", "b", &image);
    for (last, tags) in [
        ("a", vec!["b"]),
        ("b", vec![]),
        ("zzz", vec![]),
        ("..%2F..%2Fetc%2Fpasswd", vec!["b"]),
        ("%00", vec!["b"]),
        ("%22%3E%0d%0aSet-Cookie:x=y", vec!["b"]),
        ("%FF%FE", vec![]),
    ] {
        let answer = registry.get(&format!("/v2/app/tags/list?last={last}"));
        if answer.status == 400 {
            continue; // to refuse a `last` that can be no tag is fine as well
        }
        let answer = answer.expect(200);
        assert_eq!(answer.json()["tags"], serde_json::json!(tags), "{last}");
        assert_eq!(answer.header("set-cookie"), None);
    }
}
