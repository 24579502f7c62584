//! The SDK's client, made of the driver's parameters.

use aws_sdk_s3::Client;
use aws_sdk_s3::config::interceptors::{
    BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Builder, ConfigBag, Intercept, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, RuntimeComponents,
};
use aws_sdk_s3::error::{BoxError, DisplayErrorContext};

use crate::{Config, insecure};

/// What a store is signed for when it has no region of its own.
const NO_REGION: &str = "us-east-1";

pub(crate) fn client(config: &Config) -> Client {
    let region = config.region.as_deref().unwrap_or(NO_REGION);
    let region = Region::new(region.to_owned());
    let patience = config.patience;
    let retries = RetryConfig::standard()
        .with_max_attempts(patience.attempts)
        .with_initial_backoff(patience.pause);
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(patience.connect)
        .read_timeout(patience.answer);
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .retry_config(retries)
        .retry_partition(own_retries())
        .timeout_config(timeouts.build())
        .force_path_style(config.force_path_style)
        .use_dual_stack(config.dual_stack)
        .use_fips(config.fips)
        .accelerate(config.accelerate);
    builder.set_credentials_provider(config.credentials.clone());
    if let Some(url) = config.endpoint_url() {
        // The SDK puts the bucket right behind it, also where it has a path.
        builder = builder.endpoint_url(format!("{}/", url.trim_end_matches('/')));
    }
    if config.endpoint.is_some() {
        // Other stores may not know the checksums that AWS made a default in 2024.
        builder = builder
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    }
    if config.skip_verify {
        builder = builder.http_client(insecure::client());
    }
    if let Some(user_agent) = &config.user_agent {
        builder = builder.interceptor(UserAgent(user_agent.clone()));
    }
    if config.log_requests {
        builder = builder.interceptor(Log);
    }
    Client::from_conf(builder.build())
}

/// A quota of retries that no other client spends: the SDK's own is one for all stores of a
/// region in the process, and an outage of one would keep the others from being asked again.
fn own_retries() -> RetryPartition {
    RetryPartition::custom("roadstead")
        .token_bucket(TokenBucket::default())
        .build()
}

/// For calls that take long by their nature.
pub(crate) fn patient(config: &Config) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.patience.connect)
        .read_timeout(config.patience.work);
    Builder::new().timeout_config(timeouts.build())
}

/// Sends another `User-Agent`; it is no part of what is signed.
#[derive(Debug)]
struct UserAgent(String);

impl Intercept for UserAgent {
    fn name(&self) -> &'static str {
        "UserAgent"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let headers = context.request_mut().headers_mut();
        headers.try_insert("user-agent", self.0.clone())?;
        Ok(())
    }
}

/// Logs each attempt of each request: its method and address, never a header.
#[derive(Debug)]
struct Log;

impl Intercept for Log {
    fn name(&self) -> &'static str {
        "Log"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let method = request.map(|request| request.method().to_owned());
        let url = request.map(|request| request.uri().to_owned());
        let status = context.response().map(|answer| answer.status().as_u16());
        let error = context.output_or_error().and_then(|outcome| match outcome {
            Ok(_) => None,
            Err(error) => error.as_connector_error(),
        });
        let error = error.map(|error| DisplayErrorContext(error).to_string());
        tracing::info!(method, url, status, error, "asked the store");
        Ok(())
    }
}

#[cfg(test)]
mod hosts;
