//! Serves one file at every path, for measuring: `pull <address> <file> [copy]`.
//!
//! With `copy` the bytes pass through user space, as they do over TLS.

use std::fs::File;
use std::sync::Arc;

use axum::{Extension, Router, body::Body};
use roadstead::{listen::Listener, serve, shutdown};
use roadstead_api::body::{FileSender, file_body};
use roadstead_storage::FileRange;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, address, path, mode @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: pull <address> <file> [copy]");
    };
    let file = Arc::new(File::open(path)?);
    let length = file.metadata()?.len();
    let range = FileRange {
        file,
        offset: 0,
        length,
    };
    let copies = mode.first().is_some_and(|mode| mode == "copy");
    let pull = async move |sender: Option<Extension<FileSender>>| -> Body {
        match sender {
            Some(Extension(sender)) if !copies => sender.body(range),
            _ => file_body(range),
        }
    };
    let app = Router::new().fallback(pull);
    let listener = Listener::open("tcp", address).await?;
    let options = serve::Options {
        h2c: true,
        ..serve::Options::default()
    };
    serve::serve(listener, app, options, shutdown::requested()?).await;
    Ok(())
}
