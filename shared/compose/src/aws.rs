//! What all clients of AWS share: whom they ask for credentials.

use std::sync::Arc;

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use roadstead_configuration::metadata::Store;
use roadstead_configuration::storage::Driver;
use roadstead_configuration::{Configuration, Secret};
use tokio::sync::OnceCell;

/// Where credentials are asked for, and what a service other than AWS's is signed for, when the
/// configuration names no region.
pub(crate) const NO_REGION: &str = "us-east-1";

/// The SDK's whole chain, for every client without keys of its own: environment, profiles, SSO, web
/// identity, containers, instance metadata. Nobody is asked yet.
pub(crate) fn credentials(configuration: &Configuration) -> SharedCredentialsProvider {
    let of_storage = match &configuration.storage.driver {
        Driver::S3(parameters) => parameters.region.as_deref(),
        _ => None,
    };
    let of_metadata = match &configuration.metadata.store {
        Some(Store::Dynamodb(parameters)) => parameters.region.as_deref(),
        _ => None,
    };
    let of_events = configuration.notifications.eventbridge.as_ref();
    let of_events = of_events.and_then(|bus| bus.region.as_deref());
    let named = of_storage.filter(|region| !region.is_empty());
    let region = named.or(of_metadata).or(of_events).unwrap_or(NO_REGION);
    SharedCredentialsProvider::new(Chain {
        region: Region::new(region.to_owned()),
        chain: OnceCell::new(),
    })
}

/// The two keys of a configuration, if it has both.
#[cfg(any(feature = "dynamodb", feature = "eventbridge"))]
pub(crate) fn keys(
    access_key: Option<&str>,
    secret_key: Option<&Secret>,
) -> Option<SharedCredentialsProvider> {
    let (access_key, secret_key) = (access_key?, secret_key?.expose());
    let keys = Credentials::new(access_key, secret_key, None, None, "configuration");
    Some(SharedCredentialsProvider::new(keys))
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
