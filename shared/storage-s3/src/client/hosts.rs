//! Where requests and signed URLs go, by the parameters that have a say in it.

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_runtime_api::shared::IntoShared;
use roadstead_storage::{Key, Recipient, UrlSigner};

use super::*;
use crate::bucket::{Bucket, Condition, Metadata};
use crate::signer::Signer;

/// Sends nothing, and keeps where it would have gone.
#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn client(&self) -> SharedHttpClient {
        self.clone().into_shared()
    }
}

impl HttpClient for Recorder {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.clone().into_shared()
    }
}

impl HttpConnector for Recorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.lock().unwrap().push(request.uri().to_owned());
        let status = StatusCode::try_from(200).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::empty())))
    }
}

/// The URL of an object in the bucket `bucket`, without a query: the same for requests and for
/// URLs that are signed.
async fn url(change: impl FnOnce(&mut Config)) -> String {
    let mut config = Config {
        region: Some("eu-west-1".to_owned()),
        credentials: Some(SharedCredentialsProvider::new(Credentials::new(
            "key", "secret", None, None, "test",
        ))),
        ..Config::new("bucket")
    };
    change(&mut config);
    config.check().unwrap();
    let recorder = Recorder::default();
    let mut bucket = Bucket::new(config);
    let settings = bucket.client.config().to_builder();
    bucket.client = Client::from_conf(settings.http_client(recorder.client()).build());
    let (any, none) = (Condition::Any, Metadata::default());
    bucket.put("a/b", "c".into(), &any, &none).await.unwrap();
    let signer = Signer {
        bucket: Arc::new(bucket),
        redirect: None,
    };
    let key = Key::new("a/b").unwrap();
    let signed = signer.sign(&key, &Recipient::default()).await.unwrap();
    let sent = std::mem::take(&mut *recorder.0.lock().unwrap());
    let [sent] = &sent[..] else {
        panic!("{sent:?}")
    };
    let without_query = |url: &str| url.split('?').next().unwrap_or(url).to_owned();
    let (sent, signed) = (without_query(sent), without_query(&signed.unwrap()));
    assert_eq!(sent, signed);
    sent
}

#[tokio::test]
async fn of_aws_the_bucket_is_in_the_host_name() {
    assert_eq!(
        url(|_| {}).await,
        "https://bucket.s3.eu-west-1.amazonaws.com/a/b"
    );
    let china = |config: &mut Config| config.region = Some("cn-north-1".to_owned());
    assert_eq!(
        url(china).await,
        "https://bucket.s3.cn-north-1.amazonaws.com.cn/a/b"
    );
    let plain = |config: &mut Config| config.secure = false;
    assert_eq!(
        url(plain).await,
        "http://bucket.s3.eu-west-1.amazonaws.com/a/b"
    );
}

#[tokio::test]
async fn path_style_puts_the_bucket_into_the_path() {
    let path_style = |config: &mut Config| config.force_path_style = true;
    assert_eq!(
        url(path_style).await,
        "https://s3.eu-west-1.amazonaws.com/bucket/a/b"
    );
    // A certificate for *.s3.eu-west-1.amazonaws.com is none for this name.
    let dotted = |config: &mut Config| config.bucket = "my.bucket".to_owned();
    assert_eq!(
        url(dotted).await,
        "https://s3.eu-west-1.amazonaws.com/my.bucket/a/b"
    );
}

#[tokio::test]
async fn dual_stack_fips_and_acceleration_have_endpoints_of_their_own() {
    let dual_stack = |config: &mut Config| config.dual_stack = true;
    assert_eq!(
        url(dual_stack).await,
        "https://bucket.s3.dualstack.eu-west-1.amazonaws.com/a/b"
    );
    let accelerate = |config: &mut Config| config.accelerate = true;
    assert_eq!(
        url(accelerate).await,
        "https://bucket.s3-accelerate.amazonaws.com/a/b"
    );
    let fips = |config: &mut Config| {
        config.fips = true;
        config.region = Some("us-gov-west-1".to_owned());
    };
    assert_eq!(
        url(fips).await,
        "https://bucket.s3-fips.us-gov-west-1.amazonaws.com/a/b"
    );
    let both = |config: &mut Config| {
        config.dual_stack = true;
        config.accelerate = true;
    };
    assert_eq!(
        url(both).await,
        "https://bucket.s3-accelerate.dualstack.amazonaws.com/a/b"
    );
    let both = |config: &mut Config| {
        fips(config);
        config.dual_stack = true;
    };
    assert_eq!(
        url(both).await,
        "https://bucket.s3-fips.dualstack.us-gov-west-1.amazonaws.com/a/b"
    );
}

#[tokio::test]
async fn another_store_has_the_bucket_where_it_is_told() {
    for (endpoint, path_style, expected) in [
        ("minio:9000", false, "https://bucket.minio:9000/a/b"),
        ("minio:9000", true, "https://minio:9000/bucket/a/b"),
        ("http://minio", false, "http://bucket.minio/a/b"),
        (
            "https://h.example/s3",
            true,
            "https://h.example/s3/bucket/a/b",
        ),
        // No name can be put before an address.
        ("http://127.0.0.1:9", false, "http://127.0.0.1:9/bucket/a/b"),
        ("http://[::1]:9", true, "http://[::1]:9/bucket/a/b"),
    ] {
        let change = |config: &mut Config| {
            config.endpoint = Some(endpoint.to_owned());
            config.force_path_style = path_style;
            config.region = None;
        };
        assert_eq!(url(change).await, expected, "{endpoint}");
    }
}
