//! Where clients are sent for blobs: to S3, to CloudFront, to another host, or nowhere.

mod edge;
mod tls;

use std::net::SocketAddr;
use std::path::Path;

use roadstead_tests::ministack::{BUCKET, KEY};
use roadstead_tests::registry::Setup;
use roadstead_tests::store::{Kind, Store};
use roadstead_tests::{
    Address, Image, Implementation, Registry, Request, Response, require, require_ministack,
    sha256, tool, wait,
};
use serde_json::{Value, json};

use self::edge::{Edge, Keys, Origin};
use self::tls::TlsServer;

/// Functions are deployed without the driver for directories; those of a build of the whole workspace
/// happen to have it, as the server does.
const NO_DIRECTORY: &str = "a function has no driver for directories";

fn setup() -> Setup {
    Setup::new(Implementation::Roadstead).store(&Store::of(Kind::Filesystem))
}

/// The parameters of the driver, with a folder of the bucket that no other test uses.
fn s3(url: &str, folder: &Path) -> Value {
    json!({
        "filesystem": null,
        "s3": {
            "region": "us-east-1",
            "regionendpoint": url,
            "forcepathstyle": true,
            "bucket": BUCKET,
            "accesskey": KEY,
            "secretkey": KEY,
            "rootdirectory": format!("/redirects/{}", folder.file_name().unwrap().display()),
        },
    })
}

/// Roadstead over a folder of the emulated bucket.
fn over_s3(url: &str, overrides: Value) -> Registry {
    let store = Store::of(Kind::Filesystem);
    let storage = json!({ "storage": s3(url, store.scratch()) });
    setup()
        .store(&store)
        .config(storage)
        .config(overrides)
        .start()
}

fn blob(registry: &Registry, method: &str, digest: &str) -> Request {
    registry.request(method, &format!("/v2/app/blobs/{digest}"))
}

/// The answer to `HEAD`: the registry's own, as a URL that is signed for `GET` would refuse it; a function's
/// would lose its length, so clients are sent to a URL that is signed for `HEAD`.
#[track_caller]
fn told_by_head(registry: &Registry, digest: &str) -> Response {
    let head = blob(registry, "HEAD", digest).send();
    if roadstead_tests::lambda::is_front() {
        let url = head.expect(307).need("location").to_owned();
        return elsewhere("HEAD", &url).send().expect(200);
    }
    assert_eq!(head.header("location"), None);
    assert_eq!(head.need("docker-content-digest"), digest);
    head.expect(200)
}

/// Where a client is sent for a blob.
#[track_caller]
fn sent(registry: &Registry, digest: &str) -> String {
    let answer = blob(registry, "GET", digest).send().expect(307);
    answer.need("location").to_owned()
}

/// Fetches a URL from where it says.
fn fetch(url: &str, range: Option<&str>) -> Response {
    let request = elsewhere("GET", url);
    match range {
        Some(range) => request.header("Range", range).send(),
        None => request.send(),
    }
}

fn elsewhere(method: &str, url: &str) -> Request {
    let host = url
        .strip_prefix("http://")
        .unwrap()
        .split('/')
        .next()
        .unwrap();
    let address: SocketAddr = host.parse().unwrap();
    Request::new(Address::Tcp(address), method, url)
}

/// An image that has been pushed as `app:v1`.
fn pushed(registry: &Registry) -> Image {
    let image = Image::seeded(1);
    registry.push_image("app", "v1", &image);
    image
}

/// Copies `app:v1` out with skopeo, which follows redirects.
#[track_caller]
fn pull_with(skopeo: &Path, registry: &Registry, image: &Image) {
    let out = registry.store().scratch().join("out");
    let source = format!("docker://{}/app:v1", registry.host());
    let target = format!("dir:{}", out.display());
    let copy = [
        "--insecure-policy",
        "copy",
        "--src-tls-verify=false",
        &source,
        &target,
    ];
    tool::run(skopeo, copy).success();
    assert_eq!(
        std::fs::read(out.join("manifest.json")).unwrap(),
        image.manifest()
    );
    for blob in image.blobs() {
        let digest = sha256(blob);
        let file = out.join(digest.strip_prefix("sha256:").unwrap());
        assert!(
            std::fs::read(file).unwrap() == *blob,
            "{digest} came back changed"
        );
    }
}

#[test]
fn a_client_is_sent_to_the_bucket() {
    let url = require_ministack!();
    let skopeo = require!("skopeo");
    let registry = over_s3(url, json!({}));
    let image = pushed(&registry);
    for content in image.blobs() {
        let digest = sha256(content);
        let answer = blob(&registry, "GET", &digest).send().expect(307);
        let location = answer.need("location");
        assert!(
            location.starts_with(&format!("{url}/{BUCKET}/redirects/")),
            "{location}"
        );
        // The next client must not get what is for this one.
        assert_eq!(answer.need("cache-control"), "private, no-store");
        assert!(answer.body.is_empty());
        assert!(fetch(location, None).expect(200).body == *content);
        let part = fetch(location, Some("bytes=1-3")).expect(206);
        assert_eq!(part.body, content[1..=3]);
    }
    pull_with(&skopeo, &registry, &image);
}

#[test]
fn what_is_no_plain_get_is_answered_by_the_registry() {
    let url = require_ministack!();
    let registry = over_s3(url, json!({}));
    let image = pushed(&registry);
    let content = &image.blobs()[0];
    let digest = sha256(content);
    let head = told_by_head(&registry, &digest);
    assert_eq!(head.need("content-length"), content.len().to_string());
    let known = blob(&registry, "GET", &digest).header("If-None-Match", format!("\"{digest}\""));
    assert_eq!(known.send().expect(304).header("location"), None);
    let beyond = blob(&registry, "GET", &digest).header("Range", "bytes=99999999-");
    let _ = beyond.send().expect_error(416, "RANGE_INVALID");
    let part = blob(&registry, "GET", &digest).header("Range", "bytes=0-3");
    let part = part.send().expect(307);
    let part = fetch(part.need("location"), Some("bytes=0-3")).expect(206);
    assert_eq!(part.body, content[..4]);
    let unknown = blob(&registry, "GET", &sha256(b"not there")).send();
    assert_eq!(
        unknown.expect_error(404, "BLOB_UNKNOWN").header("location"),
        None
    );
    let elsewhere = registry.get(&format!("/v2/other/blobs/{digest}"));
    let _ = elsewhere.expect_error(404, "BLOB_UNKNOWN");
}

#[test]
fn redirects_can_be_switched_off() {
    let url = require_ministack!();
    let to = json!([{ "name": "redirect", "options": { "baseurl": "https://cdn.example" } }]);
    for middleware in [json!([]), to] {
        let registry = over_s3(
            url,
            json!({
                "storage": { "redirect": { "disable": true } },
                "middleware": { "storage": middleware },
            }),
        );
        let image = pushed(&registry);
        registry.assert_pullable("app", "v1", &image);
        let part = blob(&registry, "GET", &sha256(&image.blobs()[0]));
        let part = part.header("Range", "bytes=2-3").send().expect(206);
        assert_eq!(part.body, image.blobs()[0][2..=3]);
    }
}

/// The middleware that signs with `keys` for `edge`.
fn cloudfront(edge: &Edge, key: &Path, options: Value) -> Value {
    let mut entry = json!({
        "name": "cloudfront",
        "options": { "baseurl": edge.url(), "privatekey": key, "keypairid": Keys::ID },
    });
    for (name, value) in options.as_object().unwrap() {
        entry["options"][name] = value.clone();
    }
    json!({ "middleware": { "storage": [entry] } })
}

/// The origin of a distribution in front of the emulated bucket.
fn bucket(url: &str) -> Origin {
    Origin::Bucket(format!("{url}/{BUCKET}"))
}

#[test]
fn a_client_is_sent_to_cloudfront_which_takes_the_signature() {
    let url = require_ministack!();
    let skopeo = require!("skopeo");
    let _ = (require!("openssl"), require!("curl"));
    for (keys, options) in [
        (Keys::rsa(), json!({})),
        (
            Keys::rsa(),
            json!({ "hashalgorithm": "sha256", "duration": "60s" }),
        ),
        (Keys::p256(), json!({})),
        (Keys::p256(), json!({ "hashalgorithm": "SHA256" })),
        (Keys::rsa(), json!({ "restrictaddress": true })),
    ] {
        let key = keys.private();
        let edge = Edge::start(bucket(url), Some(keys));
        let registry = over_s3(url, cloudfront(&edge, &key, options));
        let image = pushed(&registry);
        pull_with(&skopeo, &registry, &image);
        let seen = edge.seen();
        assert_eq!(seen.len(), image.blobs().len(), "{seen:?}");
        assert!(seen.iter().all(|seen| seen.status == 200), "{seen:?}");
        let content = &image.blobs()[0];
        let location = sent(&registry, &sha256(content));
        let part = fetch(&location, Some("bytes=1-2")).expect(206);
        assert_eq!(part.body, content[1..=2]);
        // What is signed is one object, until some time.
        let other = sha256(&image.blobs()[1]);
        let other = other.strip_prefix("sha256:").unwrap();
        let hex = sha256(content)["sha256:".len()..].to_owned();
        let moved = location.replace(
            &format!("/{}/{hex}/", &hex[..2]),
            &format!("/{}/{other}/", &other[..2]),
        );
        assert_ne!(moved, location);
        let _ = fetch(&moved, None).expect(403);
        let _ = fetch(location.split('?').next().unwrap(), None).expect(403);
        let _ = fetch(
            &location
                .replace("Expires=1", "Expires=2")
                .replace("Policy=", "Policy=X"),
            None,
        )
        .expect(403);
        let head = told_by_head(&registry, &sha256(content));
        assert_eq!(head.need("content-length"), content.len().to_string());
    }
}

#[test]
fn the_key_that_signs_may_be_in_the_configuration_itself() {
    let url = require_ministack!();
    let _ = require!("openssl");
    let keys = Keys::p256();
    let key = keys.private();
    let pem = std::fs::read_to_string(&key).unwrap();
    let edge = Edge::start(bucket(url), Some(keys));
    let registry = over_s3(url, cloudfront(&edge, &key, json!({ "privatekey": pem })));
    let image = pushed(&registry);
    let content = &image.blobs()[0];
    let pulled = fetch(&sent(&registry, &sha256(content)), None).expect(200);
    assert_eq!(pulled.body, *content);
}

#[test]
fn clients_within_aws_are_sent_to_the_bucket() {
    roadstead_tests::only_by_socket!(
        "each instance of a function fetches the addresses for itself"
    );
    let url = require_ministack!();
    let _ = require!("openssl");
    let keys = Keys::p256();
    let key = keys.private();
    let edge = Edge::start(bucket(url), Some(keys));
    edge.publish(
        r#"{"prefixes": [{"ip_prefix": "127.0.0.0/8", "region": "eu-west-1", "service": "EC2"}]}"#,
    );
    let ranges = format!("{}/ip-ranges.json", edge.url());
    let filtered = |filter: Value| {
        let mut options = json!({ "iprangesurl": ranges, "updatefrenquency": "1h" });
        for (name, value) in filter.as_object().unwrap() {
            options[name] = value.clone();
        }
        let registry = over_s3(url, cloudfront(&edge, &key, options));
        let digest = registry.push_blob("app", b"content");
        (registry, digest)
    };
    for filter in [
        json!({ "ipfilteredby": "aws" }),
        json!({ "ipfilteredby": "AWSRegion", "awsregion": "us-east-1, EU-West-1" }),
    ] {
        let (registry, digest) = filtered(filter);
        // Until the addresses are there, all go to CloudFront.
        wait::until("the addresses", || {
            let location = sent(&registry, &digest);
            assert!(location.starts_with(&edge.url()) || location.starts_with(url));
            location.starts_with(url).then_some(())
        });
        assert_eq!(
            fetch(&sent(&registry, &digest), None).expect(200).text(),
            "content"
        );
        // The proxy is within AWS, its client is not.
        let proxied = blob(&registry, "GET", &digest).header("X-Forwarded-For", "192.0.2.1");
        let proxied = proxied.send().expect(307);
        assert!(proxied.need("location").starts_with(&edge.url()));
    }
    let fetched = || {
        edge.seen()
            .iter()
            .filter(|seen| seen.path == "/ip-ranges.json")
            .count()
    };
    assert_eq!(fetched(), 2);
    let (registry, digest) =
        filtered(json!({ "ipfilteredby": "awsregion", "awsregion": "us-east-1" }));
    wait::until("the addresses", || (fetched() == 3).then_some(()));
    assert!(sent(&registry, &digest).starts_with(&edge.url()));
    let (registry, digest) = filtered(json!({ "ipfilteredby": "none" }));
    assert!(sent(&registry, &digest).starts_with(&edge.url()));
    assert_eq!(fetched(), 3);
}

#[test]
fn addresses_are_believed_from_a_server_with_a_good_certificate() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let url = require_ministack!();
    let _ = (require!("openssl"), require!("python3"));
    let keys = Keys::p256();
    let key = keys.private();
    let edge = Edge::start(bucket(url), Some(keys));
    let server = TlsServer::start(
        r#"{"prefixes": [{"ip_prefix": "127.0.0.1/32", "region": "a", "service": "EC2"}]}"#,
    );
    let options = json!({ "ipfilteredby": "aws", "iprangesurl": server.url() });
    let start = |authorities: &Path| {
        let store = Store::of(Kind::Filesystem);
        let storage = json!({ "storage": s3(url, store.scratch()) });
        let setup = setup().store(&store).config(storage);
        let setup = setup.config(cloudfront(&edge, &key, options.clone()));
        let setup = setup.env("SSL_CERT_FILE", authorities.to_str().unwrap());
        setup.env("SSL_CERT_DIR", "/nowhere").start()
    };
    let registry = start(&server.authority());
    let digest = registry.push_blob("app", b"content");
    wait::until("the addresses", || {
        sent(&registry, &digest).starts_with(url).then_some(())
    });
    let other = TlsServer::start("");
    let registry = start(&other.authority());
    let digest = registry.push_blob("app", b"content");
    assert!(sent(&registry, &digest).starts_with(&edge.url()));
    wait::until("the refusal", || {
        let log = registry.log();
        log.contains("the addresses of AWS cannot be fetched")
            .then_some(())
    });
    assert!(sent(&registry, &digest).starts_with(&edge.url()));
}

#[test]
fn a_collection_needs_no_key() {
    roadstead_tests::only_by_socket!(NO_DIRECTORY);
    let store = Store::of(Kind::Filesystem);
    let registry = setup().store(&store).start();
    let image = pushed(&registry);
    drop(registry);
    let options = json!({ "baseurl": "cdn.example", "privatekey": "/nowhere", "keypairid": "K1" });
    let setup = setup().store(&store).config(json!({
        "middleware": { "storage": [{ "name": "cloudfront", "options": options }] },
    }));
    let config = setup.write_config(&roadstead_tests::registry::free_address());
    let collect = setup.command(&["garbage-collect", config.to_str().unwrap()]);
    let said = tool::finish(collect).success();
    assert!(said.contains(&image.digest()), "{said}");
}

#[test]
fn cloudfront_over_a_directory_changes_nothing_and_says_so() {
    roadstead_tests::only_by_socket!("functions log in their own way");
    let _ = require!("openssl");
    let keys = Keys::rsa();
    let key = keys.private();
    let registry = setup();
    let edge = Edge::start(Origin::Directory("/nowhere".into()), Some(keys));
    let registry = registry.config(cloudfront(&edge, &key, json!({}))).start();
    let image = pushed(&registry);
    registry.assert_pullable("app", "v1", &image);
    assert!(
        registry.log().contains("cloudfront has no effect"),
        "{}",
        registry.log()
    );
}

#[test]
fn a_client_is_sent_to_another_host() {
    roadstead_tests::only_by_socket!(NO_DIRECTORY);
    let skopeo = require!("skopeo");
    let store = Store::of(Kind::Filesystem);
    let edge = Edge::start(Origin::Directory(store.root()), None);
    let base = format!("{}/", edge.url());
    let middleware = json!({ "storage": [{ "name": "redirect", "options": { "baseurl": base } }] });
    let registry = setup()
        .store(&store)
        .config(json!({ "middleware": middleware }))
        .start();
    let image = pushed(&registry);
    let digest = sha256(&image.blobs()[0]);
    let hex = digest.strip_prefix("sha256:").unwrap();
    let path = format!("docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    assert_eq!(sent(&registry, &digest), format!("{base}{path}"));
    pull_with(&skopeo, &registry, &image);
    let head = blob(&registry, "HEAD", &digest).send().expect(200);
    assert_eq!(head.header("location"), None);
    let unknown = blob(&registry, "GET", &sha256(b"not there")).send();
    let _ = unknown.expect_error(404, "BLOB_UNKNOWN");
    assert!(edge.seen().iter().all(|seen| seen.status == 200));
    let _ = Request::new(edge.address(), "GET", "/nothing")
        .send()
        .expect(404);
}

#[test]
fn middleware_is_applied_in_its_order() {
    roadstead_tests::only_by_socket!(NO_DIRECTORY);
    let redirect = |base: &str| json!({ "name": "redirect", "options": { "baseurl": base } });
    let rewrite = |options: Value| json!({ "name": "rewrite", "options": options });
    let (one, two) = (
        redirect("http://one.example/a/b"),
        redirect("http://two.example"),
    );
    let other =
        rewrite(json!({ "scheme": "https", "host": "cdn.example:8443", "trimpathprefix": "/a" }));
    let mut switched_off = two.clone();
    switched_off["disabled"] = json!(true);
    for (entries, start) in [
        (json!([one, two]), "http://two.example/docker/registry/"),
        (json!([two, one]), "http://one.example/a/b/docker/registry/"),
        (
            json!([one, other]),
            "https://cdn.example:8443/b/docker/registry/",
        ),
        (
            json!([other, one]),
            "http://one.example/a/b/docker/registry/",
        ),
        (
            json!([one, switched_off]),
            "http://one.example/a/b/docker/registry/",
        ),
    ] {
        let registry = setup()
            .config(json!({ "middleware": { "storage": entries } }))
            .start();
        let digest = registry.push_blob("app", b"content");
        let location = sent(&registry, &digest);
        assert!(location.starts_with(start), "{location} {entries}");
    }
    // Nothing to rewrite, nothing left on.
    for entries in [json!([other]), json!([switched_off]), json!([])] {
        let registry = setup()
            .config(json!({ "middleware": { "storage": entries } }))
            .start();
        let digest = registry.push_blob("app", b"content");
        assert_eq!(
            blob(&registry, "GET", &digest).send().expect(200).text(),
            "content"
        );
    }
}

#[test]
fn the_buckets_urls_can_be_rewritten() {
    let url = require_ministack!();
    let options = json!({ "host": "cdn.example", "trimpathprefix": format!("/{BUCKET}") });
    let middleware = json!({ "storage": [{ "name": "rewrite", "options": options }] });
    let registry = over_s3(url, json!({ "middleware": middleware }));
    let digest = registry.push_blob("app", b"content");
    let location = sent(&registry, &digest);
    assert!(
        location.starts_with("http://cdn.example/redirects/"),
        "{location}"
    );
    assert!(location.contains("X-Amz-Signature="), "{location}");
}

#[test]
fn what_cannot_be_built_does_not_start() {
    let storage = |name: &str, options: Value| json!({ "middleware": { "storage": [{ "name": name, "options": options }] } });
    let no_key = tempfile::NamedTempFile::new().unwrap();
    let key = |path: &Path| {
        storage(
            "cloudfront",
            json!({ "baseurl": "cdn.example", "privatekey": path, "keypairid": "K1" }),
        )
    };
    for (config, said) in [
        (
            storage("cloudflare", json!({})),
            "there is no storage middleware \"cloudflare\"; one of cloudfront, redirect, rewrite",
        ),
        (
            storage("redirect", json!({})),
            "middleware.storage[0].options.baseurl",
        ),
        (
            storage("redirect", json!({ "baseurl": "cdn.example" })),
            "scheme://host",
        ),
        (
            storage("rewrite", json!({ "host": "http://h" })),
            "host[:port]",
        ),
        (key(Path::new("/nowhere/key.pem")), "/nowhere/key.pem"),
        (key(no_key.path()), "there is no unencrypted private key"),
        (
            json!({ "middleware": { "registry": [{ "name": "blocklist" }] } }),
            "there is no registry middleware \"blocklist\"; one of allowlist",
        ),
        (
            json!({ "middleware": { "repository": [{ "options": {} }] } }),
            "the repository middleware has no name; one of immutabletags, readonly",
        ),
    ] {
        let setup = Setup::new(Implementation::Roadstead);
        match setup.config(config.clone()).try_start() {
            Ok(_) => panic!("it starts with {config}"),
            Err(stderr) => assert!(stderr.contains(said), "{config}: {stderr}"),
        }
    }
}
