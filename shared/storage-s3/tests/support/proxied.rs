//! A driver that reaches its folder through a proxy, and what tests say with it.

use std::time::Duration;

use bytes::Bytes;
use roadstead_storage::{Driver, Error, Key, Upload, Write, WriteMode};
use roadstead_storage_s3::{Config, Patience, S3Driver};

use super::Folder;
use super::proxy::Proxy;

pub(crate) const MIB: usize = 1024 * 1024;

pub(crate) struct Proxied {
    pub(crate) folder: Folder,
    pub(crate) proxy: Proxy,
    pub(crate) driver: S3Driver,
    pub(crate) config: Config,
}

impl Proxied {
    /// A driver that has made no request yet; `None` when there is no emulator, which has been
    /// said then.
    pub(crate) async fn new(change: impl FnOnce(&mut Config)) -> Option<Self> {
        let folder = Folder::new().await?;
        let proxy = Proxy::new(folder.url).await;
        let mut config = Config {
            endpoint: Some(proxy.url.clone()),
            ..folder.config()
        };
        change(&mut config);
        let driver = S3Driver::new(config.clone()).unwrap();
        Some(Self {
            folder,
            proxy,
            driver,
            config,
        })
    }

    /// The same once it has found out what conditions are worth.
    pub(crate) async fn probed(self) -> Self {
        self.create("probed", "").await.unwrap();
        self
    }

    /// Another process, which nothing stands before.
    pub(crate) fn other(&self) -> S3Driver {
        self.folder.driver()
    }

    pub(crate) async fn create(&self, path: &str, content: &'static str) -> Result<(), Error> {
        let create = write(path, content, WriteMode::CreateNew);
        self.driver.write(&[create]).await
    }

    /// An upload of so many more bytes that is synced and held.
    pub(crate) async fn uploaded(&self, path: &str, size: usize) -> Box<dyn Upload> {
        let mut upload = self.driver.upload(&key(path)).await.unwrap();
        upload.append(&[bytes(size)]).await.unwrap();
        upload.sync().await.unwrap();
        upload
    }

    /// The last request of this name had a header.
    pub(crate) fn last_had(&self, request: &str, header: &str) -> bool {
        let heads = self.proxy.heads();
        let last = heads.iter().rfind(|head| head.name == request);
        last.unwrap().header(header).is_some()
    }
}

/// As many attempts as by default, without a pause to speak of.
pub(crate) fn quick() -> Patience {
    Patience {
        attempts: 3,
        pause: Duration::from_millis(5),
        ..Patience::default()
    }
}

pub(crate) fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

pub(crate) fn bytes(size: usize) -> Bytes {
    Bytes::from(vec![7; size])
}

pub(crate) fn write(path: &str, content: &'static str, mode: WriteMode) -> Write {
    let content = Bytes::from_static(content.as_bytes());
    Write {
        key: key(path),
        content,
        mode,
    }
}

pub(crate) fn is_outage<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Unavailable(_)))
}

/// Runs something to its end while everything else on this thread stands still.
pub(crate) fn aside(future: impl Future<Output = ()> + Send + 'static) {
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(future);
    };
    std::thread::spawn(run).join().unwrap();
}

/// What the expression gives, or the end of the test when there is no emulator.
macro_rules! or_skip {
    ($proxied:expr) => {
        match $proxied {
            Some(proxied) => proxied,
            None => return,
        }
    };
}

pub(crate) use or_skip;
