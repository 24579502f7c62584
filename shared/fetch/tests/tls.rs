//! Whom a fetch believes, and how much it takes.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to fail")]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use roadstead_fetch::{Failure, Options, fetch};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// A server that gives this answer to whoever asks.
async fn server(authority: &Authority, answer: &'static str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, authority).unwrap();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut head = vec![0; 4096];
            let _ = stream.read(&mut head).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

async fn fetched(address: SocketAddr, authorities: PathBuf) -> Result<String, Failure> {
    let options = Options {
        patience: Duration::from_secs(30),
        largest: 8,
        authorities: Some(authorities),
    };
    let uri = format!("https://{address}/").parse().unwrap();
    let body = fetch(&uri, &options).await?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_server_is_believed_for_its_authority_only() {
    let folder = tempfile::tempdir().unwrap();
    let [own, other, none] = ["own", "other", "none"].map(|name| folder.path().join(name));
    let authority = authority();
    std::fs::write(&own, authority.pem()).unwrap();
    std::fs::write(&other, self::authority().pem()).unwrap();
    std::fs::write(&none, "").unwrap();
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\nconnection: close\r\n\r\n12345678";
    let address = server(&authority, answer).await;
    assert_eq!(fetched(address, own).await.unwrap(), "12345678");
    let refused = fetched(address, other).await;
    assert!(matches!(refused, Err(Failure::Request(_))), "{refused:?}");
    let nobody = fetched(address, none).await;
    assert!(matches!(nobody, Err(Failure::Authorities(_))), "{nobody:?}");
}

#[tokio::test]
async fn what_is_too_much_or_elsewhere_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    let authority = authority();
    std::fs::write(&own, authority.pem()).unwrap();
    let long = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\nconnection: close\r\n\r\n123456789";
    let refused = fetched(server(&authority, long).await, own.clone()).await;
    assert!(matches!(refused, Err(Failure::Body(8, _))), "{refused:?}");
    let moved =
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let refused = fetched(server(&authority, moved).await, own).await;
    let is_moved = matches!(refused, Err(Failure::Status(StatusCode::FOUND)));
    assert!(is_moved, "{refused:?}");
}
