//! What the tests of this crate share: an emulator of S3, and a proxy that counts and harms.

#![allow(
    dead_code,
    unused_imports,
    unused_macros,
    reason = "not every test needs all of it"
)]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use roadstead_storage::{Driver, Key};
use roadstead_storage_s3::{Config, S3Driver};
use roadstead_tests::{ministack, skip, swift};
use uuid::Uuid;

pub(crate) mod proxied;
pub(crate) mod proxy;

pub(crate) use roadstead_tests::ministack::BUCKET;

/// What a process does once, at the first upload in parts that it begins or ends.
pub(crate) async fn read_what_signs_memos(driver: &dyn Driver) {
    let (key, nobodys) = (Key::new("first").unwrap(), "0".repeat(64));
    let recalled = driver.noted_uploads().unwrap().recall(&key, &nobodys);
    assert!(recalled.await.is_none());
}

/// A folder in a bucket that no other test uses.
pub(crate) struct Folder {
    pub(crate) url: &'static str,
    keys: [&'static str; 2],
    pub(crate) name: String,
}

impl Folder {
    /// `None` when there is no emulator, which has been said then.
    pub(crate) async fn new() -> Option<Self> {
        let url = tokio::task::spawn_blocking(ministack::url).await.unwrap();
        Some(Self {
            url: url.inspect_err(|reason| skip::record(reason)).ok()?,
            keys: [ministack::KEY; 2],
            name: format!("tests/{}", Uuid::new_v4()),
        })
    }

    /// In a store that was written by others, and refuses what S3 refuses.
    pub(crate) async fn in_swift() -> Option<Self> {
        let url = tokio::task::spawn_blocking(swift::url).await.unwrap();
        Some(Self {
            url: url.inspect_err(|reason| skip::record(reason)).ok()?,
            keys: [swift::KEY, swift::SECRET],
            name: format!("tests/{}", Uuid::new_v4()),
        })
    }

    pub(crate) fn is_in_swift(&self) -> bool {
        self.keys[0] == swift::KEY
    }

    fn credentials(&self) -> Credentials {
        let [key, secret] = self.keys;
        Credentials::new(key, secret, None, None, "test")
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            endpoint: Some(self.url.to_owned()),
            force_path_style: true,
            credentials: Some(SharedCredentialsProvider::new(self.credentials())),
            root: format!("/{}/", self.name),
            ..Config::new(BUCKET)
        }
    }

    pub(crate) fn driver(&self) -> S3Driver {
        S3Driver::new(self.config()).unwrap()
    }

    /// The bucket as others see it.
    pub(crate) fn client(&self) -> Client {
        use aws_sdk_s3::config::{BehaviorVersion, Builder, Region};
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.url)
            .force_path_style(true)
            .credentials_provider(self.credentials());
        Client::from_conf(config.build())
    }

    /// The names of all objects in the folder, without that of the folder.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let prefix = format!("{}/", self.name);
        let mut pages = self
            .client()
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix(&prefix)
            .into_paginator()
            .send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.unwrap();
            let keys = page.contents().iter().filter_map(|object| object.key());
            names.extend(keys.map(|key| key[prefix.len()..].to_owned()));
        }
        names
    }

    /// The objects whose multipart uploads are under way.
    pub(crate) async fn multiparts(&self) -> Vec<String> {
        let answer = self.client().list_multipart_uploads().bucket(BUCKET);
        let answer = answer.prefix(&self.name).send().await.unwrap();
        let uploads = answer.uploads().iter().filter_map(|upload| upload.key());
        uploads.map(str::to_owned).collect()
    }
}
