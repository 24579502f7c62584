//! The server binary `roadstead`.

use std::sync::Arc;

use roadstead::{listen, serve};
use roadstead_api::{Api, ApiOptions, Secret, UrlOptions};
use roadstead_metadata_layout::Layout;
use roadstead_registry::{Policy, Registry};
use roadstead_storage_filesystem::{Config, FilesystemDriver};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let root = args.next().unwrap_or("/tmp/reg".into());
    let addr = args.next().unwrap_or("127.0.0.1:5000".into());
    let config = Config { root: root.into(), ..Config::default() };
    let driver = Arc::new(FilesystemDriver::new(config)?);
    let layout = Arc::new(Layout::new(driver.clone(), Default::default()));
    let policy = Policy { delete: true, ..Policy::default() };
    let registry = Registry::new(layout, driver, policy);
    let api = Api::new(registry, ApiOptions {
        urls: UrlOptions { host: None, relative: false, prefix: "/".into() },
        secret: Secret::new(b"asecret"),
        max_catalog_entries: 1000,
        max_tags: 1000,
    });
    let app = roadstead::router::router(&api, Default::default());
    let listener = listen::Listener::bind("tcp", &addr).await?;
    serve::serve(listener, app, Default::default(), std::future::pending::<()>()).await;
    Ok(())
}
