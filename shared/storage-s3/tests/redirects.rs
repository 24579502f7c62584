//! Signed URLs, fetched by curl from the emulator, which checks their signatures.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::process::Command;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use roadstead_storage::{Driver, DriverExt, Key, Recipient};
use roadstead_storage_s3::{Config, S3Driver};
use support::{BUCKET, Folder};

const CONTENT: &str = "0123456789";

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

async fn signed(driver: &S3Driver, path: &str) -> String {
    signed_for(driver, path, Recipient::default()).await
}

async fn signed_for(driver: &S3Driver, path: &str, recipient: Recipient) -> String {
    let signed = driver.signer().unwrap().sign(&key(path), &recipient).await;
    signed.unwrap().unwrap()
}

/// The status, the headers in small letters, and the body.
fn curl(arguments: &[&str]) -> (u16, String, String) {
    let done = Command::new("curl")
        .args(["--silent", "--include"])
        .args(arguments)
        .output()
        .unwrap();
    let answer = String::from_utf8(done.stdout).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// A driver with content at `p/a`, or a skip.
macro_rules! stored {
    () => {{
        if Command::new("curl").arg("--version").output().is_err() {
            roadstead_tests::skip!("curl is not installed");
        }
        let Some(folder) = Folder::new().await else {
            return;
        };
        let driver = folder.driver();
        driver.put(&key("p/a"), Bytes::from(CONTENT)).await.unwrap();
        (folder, driver)
    }};
}

#[tokio::test]
async fn a_signed_url_gives_the_content_and_its_ranges() {
    let (_folder, driver) = stored!();
    let url = signed(&driver, "p/a").await;
    assert!(url.contains("X-Amz-Expires=1200&"), "{url}");
    // Nothing of a range or a type is part of what is signed, so that clients may ask for ranges
    // and nobody else can choose a type.
    assert!(url.contains("X-Amz-SignedHeaders=host&"), "{url}");
    assert!(!url.contains("response-"), "{url}");
    let (status, head, body) = curl(&[&url]);
    assert_eq!((status, &*body), (200, CONTENT));
    assert!(
        head.contains("content-type: application/octet-stream"),
        "{head}"
    );
    let (status, head, body) = curl(&["--range", "2-4", &url]);
    assert_eq!((status, &*body), (206, "234"));
    assert!(head.contains("content-range: bytes 2-4/10"), "{head}");
    let (status, _, body) = curl(&["--range", "7-", &url]);
    assert_eq!((status, &*body), (206, "789"));
    assert_eq!(curl(&["--range", "10-", &url]).0, 416);
}

#[tokio::test]
async fn a_signed_url_is_good_for_one_object_and_for_reading() {
    let (_folder, driver) = stored!();
    driver.put(&key("p/b"), Bytes::from("other")).await.unwrap();
    let url = signed(&driver, "p/a").await;
    assert_eq!(curl(&[&url.replace("/p/a?", "/p/b?")]).0, 403);
    assert_eq!(
        curl(&[&url.replace("X-Amz-Expires=1200", "X-Amz-Expires=9999")]).0,
        403
    );
    assert_eq!(curl(&["--request", "PUT", "--data", "x", &url]).0, 403);
    assert_eq!(curl(&["--request", "DELETE", &url]).0, 403);
    assert_eq!(driver.get(&key("p/a"), 99).await.unwrap(), CONTENT);
}

#[tokio::test]
async fn a_url_signed_for_head_tells_the_size_and_no_more() {
    let (_folder, driver) = stored!();
    let by_head = Recipient {
        by_head: true,
        ..Recipient::default()
    };
    let url = signed_for(&driver, "p/a", by_head).await;
    let (status, head, _) = curl(&["--head", &url]);
    assert_eq!(status, 200);
    assert!(head.contains("content-length: 10"), "{head}");
    assert_eq!(curl(&[&url]).0, 403);
    // Which is why there are two kinds.
    assert_eq!(curl(&["--head", &signed(&driver, "p/a").await]).0, 403);
}

#[tokio::test]
async fn the_host_is_part_of_what_is_signed() {
    let (folder, driver) = stored!();
    let url = signed(&driver, "p/a").await;
    assert_eq!(curl(&[&url.replace("127.0.0.1", "localhost")]).0, 403);
    let elsewhere = Config {
        redirect_endpoint: Some("https://cdn.example:8443".to_owned()),
        ..folder.config()
    };
    let elsewhere = signed(&S3Driver::new(elsewhere).unwrap(), "p/a").await;
    let start = format!("https://cdn.example:8443/{BUCKET}/{}/p/a?", folder.name);
    assert!(elsewhere.starts_with(&start), "{elsewhere}");
    // Signed for that host, it is good there: what is before the store may keep the name.
    let there = elsewhere.replace("https://cdn.example:8443", folder.url);
    assert_eq!(curl(&[&there]).0, 403);
    let (status, _, body) = curl(&["--header", "Host: cdn.example:8443", &there]);
    assert_eq!((status, &*body), (200, CONTENT));
}

#[tokio::test]
async fn an_object_is_named_as_others_see_it() {
    let (folder, driver) = stored!();
    let named = driver.signer().unwrap().object(&key("p/a")).unwrap();
    assert_eq!(named, format!("{}/p/a", folder.name));
    let object = folder.client().get_object().bucket(BUCKET).key(named);
    let object = object.send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(object.into_bytes(), CONTENT);
}

#[tokio::test]
async fn no_secret_is_in_a_signed_url() {
    let config = Config {
        region: Some("eu-west-1".to_owned()),
        credentials: Some(SharedCredentialsProvider::new(Credentials::new(
            "AKIAEXAMPLE",
            "hush/hush",
            None,
            None,
            "test",
        ))),
        ..Config::new(BUCKET)
    };
    let url = signed(&S3Driver::new(config).unwrap(), "p/a").await;
    assert!(
        url.starts_with("https://registry.s3.eu-west-1.amazonaws.com/p/a?"),
        "{url}"
    );
    assert!(
        url.contains("AKIAEXAMPLE") && !url.contains("hush"),
        "{url}"
    );
}
