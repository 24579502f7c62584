//! With what a request to AWS is signed.

use std::sync::Arc;

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use roadstead_configuration::Secret;
use tokio::sync::OnceCell;

/// What a service other than AWS's is signed for when it has no region.
pub(crate) const NO_REGION: &str = "us-east-1";

/// The two keys of a configuration, or without both of them the SDK's default chain.
pub(crate) fn provider(
    access_key: Option<&str>,
    secret_key: Option<&Secret>,
    region: Region,
) -> SharedCredentialsProvider {
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => SharedCredentialsProvider::new(Credentials::new(
            access_key,
            secret_key.expose(),
            None,
            None,
            "configuration",
        )),
        _ => SharedCredentialsProvider::new(Chain {
            region,
            chain: OnceCell::new(),
        }),
    }
}

/// The SDK's default chain, put together when it is first asked: that takes a runtime.
#[derive(Debug)]
struct Chain {
    region: Region,
    chain: OnceCell<Arc<DefaultCredentialsChain>>,
}

impl ProvideCredentials for Chain {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let make = || async {
                let chain = DefaultCredentialsChain::builder().region(self.region.clone());
                Arc::new(chain.build().await)
            };
            let chain = self.chain.get_or_init(make).await;
            chain.provide_credentials().await
        })
    }
}
