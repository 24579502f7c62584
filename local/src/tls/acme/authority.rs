//! The ACME server, and the account with it.

use std::path::PathBuf;
use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::Request;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{Account, BodyWrapper, BytesResponse, HttpClient, Key};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::AcmeSettings;
use super::cache::Cache;
use crate::tls::error::Error;
use crate::tls::pem;

const ACCOUNT: &str = "acme_account+key";

/// What the first versions of `autocert` called it.
const FORMER_ACCOUNT: &str = "acme_account.key";

/// Why something could not be had of the ACME server.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where certificates come from.
#[derive(Debug)]
pub(super) struct Authority {
    client: Https,
    directory: String,
    contact: Option<String>,
}

impl Authority {
    pub(super) fn new(
        settings: &AcmeSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Self, Error> {
        let roots = roots(&settings.authorities)?;
        let config = ClientConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let email = settings.email.as_ref();
        Ok(Self {
            client: Https(client),
            directory: settings.directory.clone(),
            contact: email.map(|email| format!("mailto:{email}")),
        })
    }

    /// The account of the key in the folder, which are made if they are not there.
    pub(super) async fn account(&self, cache: &Cache) -> Result<Account, Failure> {
        let kept = match cache.find(ACCOUNT.to_owned()).await {
            Some(text) => Some(text),
            None => cache.find(FORMER_ACCOUNT.to_owned()).await,
        };
        let (key, is_new) = match kept {
            Some(text) => (account_key(&text)?, false),
            None => (new_account_key(cache).await?, true),
        };
        let pair = (
            Key::from_pkcs8_der(key.clone_key())?,
            PrivateKeyDer::from(key),
        );
        let builder = Account::builder_with_http(Box::new(self.client.clone()));
        let (account, _) = builder
            .create_from_key(pair, self.directory.clone())
            .await?;
        if let (true, Some(contact)) = (is_new, &self.contact) {
            account.update_contacts(&[contact]).await?;
        }
        Ok(account)
    }
}

/// The system's authorities, without which there may be some of one's own, and those.
fn roots(files: &[PathBuf]) -> Result<RootCertStore, Error> {
    let (mut roots, _) = pem::authorities("http.tls.letsencrypt.rootcas", files)?;
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(roots)
}

async fn new_account_key(cache: &Cache) -> Result<PrivatePkcs8KeyDer<'static>, Failure> {
    let key = rcgen::KeyPair::generate()?;
    cache.keep(ACCOUNT.to_owned(), key.serialize_pem()).await?;
    Ok(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

/// A key in PKCS#8, or in SEC1 as `autocert` writes it.
fn account_key(text: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, Failure> {
    match PrivateKeyDer::from_pem_slice(text)? {
        PrivateKeyDer::Pkcs8(key) => Ok(key),
        PrivateKeyDer::Sec1(key) => {
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let key = EcdsaKeyPair::from_private_key_der(algorithm, key.secret_sec1_der())?;
            Ok(PrivatePkcs8KeyDer::from(
                key.to_pkcs8v1()?.as_ref().to_vec(),
            ))
        }
        _ => Err("the account's key is none that ACME is used with here: ECDSA, P-256".into()),
    }
}

/// Requests to the ACME server.
#[derive(Clone, Debug)]
struct Https(Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>);

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> BoxFuture<'static, Result<BytesResponse, instant_acme::Error>> {
        let answer = self.0.request(request);
        Box::pin(async move {
            let failed = |error| instant_acme::Error::Other(Box::new(error));
            Ok(BytesResponse::from(answer.await.map_err(failed)?))
        })
    }
}
