//! Whole handshakes over real sockets.

use std::io;
use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use rcgen::{CertificateParams, KeyPair};
use roadstead_configuration::{Configuration, Source};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::listen::Listener;
use crate::serve::{self, Options};

/// Writes a new certificate for `localhost`, and its key, and gives the certificate in PEM.
fn renew(directory: &Path) -> String {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = parameters.self_signed(&key).unwrap().pem();
    for (name, text) in [("crt", &certificate), ("key", &key.serialize_pem())] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    certificate
}

fn settings(directory: &Path) -> Settings {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let text = format!(
        "{{version: 0.1, storage: {{inmemory: {{}}}}, http: {{tls: {{certificate: {}, key: {}}}}}}}",
        path("crt"),
        path("key")
    );
    let source = Source::File {
        path: "test".to_owned(),
        text,
    };
    let loaded = Configuration::load(&source, []).unwrap();
    Settings::of(&loaded.configuration.http).unwrap().unwrap()
}

/// A server of `app` with TLS by the files of `directory`; it ends with the sender.
async fn start(app: Router, directory: &Path) -> (String, oneshot::Sender<()>) {
    let listener = Listener::bind("tcp", "127.0.0.1:0").await.unwrap();
    let address = listener.to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let options = Options {
        tls: Some(Arc::new(Tls::start(settings(directory)).await.unwrap())),
        ..Options::default()
    };
    tokio::spawn(serve::serve(listener, app, options, stopped));
    (address, stop)
}

/// A connection to a server that has this certificate.
async fn connect(address: &str, certificate: &str) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

async fn ask(stream: &mut TlsStream<TcpStream>, until: &str) -> String {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read(stream, until).await
}

async fn read(stream: &mut TlsStream<TcpStream>, until: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(until.as_bytes()) {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_connection_outlives_the_certificate_that_it_began_with() {
    let go_on = Arc::new(Notify::new());
    let answer = {
        let go_on = go_on.clone();
        async move || {
            let first = stream::iter([Ok::<_, io::Error>(Bytes::from("first "))]);
            let second = stream::once(async move {
                go_on.notified().await;
                Ok(Bytes::from("second"))
            });
            Body::from_stream(futures_util::StreamExt::chain(first, second))
        }
    };
    let directory = tempfile::tempdir().unwrap();
    let old = renew(directory.path());
    let (address, _stop) = start(Router::new().route("/", get(answer)), directory.path()).await;
    let mut standing = connect(&address, &old).await.unwrap();
    ask(&mut standing, "first ").await;

    let new = renew(directory.path());
    while connect(&address, &new).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(connect(&address, &old).await.is_err());
    go_on.notify_one();
    read(&mut standing, "second\r\n0\r\n\r\n").await;
    go_on.notify_one();
    ask(&mut standing, "second\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn nobody_watches_when_nobody_serves() {
    let directory = tempfile::tempdir().unwrap();
    renew(directory.path());
    let tls = Tls::start(settings(directory.path())).await.unwrap();
    let current = Arc::downgrade(&tls.current);
    drop(tls);
    assert!(current.upgrade().is_none());
}
