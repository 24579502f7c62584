//! What the tests of this crate share: an emulator of S3, and a proxy that counts and harms.

#![allow(dead_code, reason = "not every test needs all of it")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stderr, reason = "a skip must be seen")]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use aws_sdk_s3::Client;
use roadstead_storage_s3::{Config, Credentials, S3Driver};
use uuid::Uuid;

pub(crate) mod proxy;

pub(crate) const BUCKET: &str = "registry";
const KEY: &str = "test";

/// MiniStack, which ends when this process does, as its standard input is closed then.
struct Emulator {
    _launcher: Child,
    url: String,
}

/// The emulator of this process: started by the first test that needs it.
fn emulator() -> Option<&'static str> {
    static EMULATOR: OnceLock<Result<Emulator, String>> = OnceLock::new();
    match EMULATOR.get_or_init(start) {
        Ok(emulator) => Some(&emulator.url),
        Err(reason) => {
            skipped(reason);
            None
        }
    }
}

fn start() -> Result<Emulator, String> {
    if std::env::var_os("ROADSTEAD_EMULATORS").is_none() {
        return Err("emulated AWS is used when ROADSTEAD_EMULATORS is set".to_owned());
    }
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/emulators/ministack.py");
    let mut launcher = Command::new("python3")
        .arg(launcher)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("there is no python3: {error}"))?;
    let mut line = String::new();
    let mut output = BufReader::new(launcher.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    match line.trim().split_once(' ') {
        Some(("READY", port)) => Ok(Emulator {
            _launcher: launcher,
            url: format!("http://127.0.0.1:{port}"),
        }),
        Some(("SKIP", reason)) => Err(reason.to_owned()),
        _ => Err(format!("the launcher says {line:?}")),
    }
}

pub(crate) fn skipped(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("ROADSTEAD_TESTS_SKIPPED") {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(path).unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }
}

/// A folder in a bucket that no other test uses.
pub(crate) struct Folder {
    pub(crate) url: &'static str,
    pub(crate) name: String,
}

impl Folder {
    /// `None` when there is no emulator, which has been said then.
    pub(crate) async fn new() -> Option<Self> {
        let url = emulator()?;
        let folder = Self {
            url,
            name: format!("tests/{}", Uuid::new_v4()),
        };
        // Whoever comes first makes it.
        let _ = folder.client().create_bucket().bucket(BUCKET).send().await;
        Some(folder)
    }

    pub(crate) fn config(&self) -> Config {
        Config {
            endpoint: Some(self.url.to_owned()),
            force_path_style: true,
            credentials: Some(Credentials {
                access_key: KEY.to_owned(),
                secret_key: KEY.to_owned(),
            }),
            root: format!("/{}/", self.name),
            ..Config::new(BUCKET)
        }
    }

    pub(crate) fn driver(&self) -> S3Driver {
        S3Driver::new(self.config()).unwrap()
    }

    /// The bucket as others see it.
    pub(crate) fn client(&self) -> Client {
        use aws_sdk_s3::config::{BehaviorVersion, Builder, Credentials, Region};
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.url)
            .force_path_style(true)
            .credentials_provider(Credentials::new(KEY, KEY, None, None, "test"));
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
