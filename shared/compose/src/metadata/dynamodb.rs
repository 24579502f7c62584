//! `metadata.dynamodb`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use roadstead_configuration::Configuration;
use roadstead_configuration::metadata::{Dynamodb, Store};
use roadstead_metadata_dynamodb::sdk::Client;
use roadstead_metadata_dynamodb::sdk::config::retry::RetryConfig;
use roadstead_metadata_dynamodb::sdk::config::timeout::TimeoutConfig;
use roadstead_metadata_dynamodb::sdk::config::{BehaviorVersion, Builder, Region};
use roadstead_metadata_dynamodb::{Creation, DynamoDb, Options};
use roadstead_storage::Driver;

use super::contents::Stored;
use crate::Shared;
use crate::aws::{self, NO_REGION};

pub(super) fn back_end(
    parameters: &Dynamodb,
    grace: Duration,
    driver: &Arc<dyn Driver>,
    shared: &Shared,
) -> anyhow::Result<DynamoDb> {
    let options = Options {
        session_lifetime: parameters.uploadlifetime,
        orphan_age: grace,
        ..Options::new(table(parameters)?)
    };
    let contents = Arc::new(Stored(Arc::clone(driver)));
    Ok(DynamoDb::new(client(parameters, shared), contents, options))
}

/// Creates the table that the configuration names, and gives its name; `false` when it was there.
/// Done again, it does what is missing.
///
/// # Errors
///
/// Another store of metadata, or a table that cannot be created.
pub async fn create_table(configuration: &Configuration) -> anyhow::Result<(String, bool)> {
    let Some(Store::Dynamodb(parameters)) = &configuration.metadata.store else {
        bail!("there is nothing to create: the configuration has no metadata.dynamodb");
    };
    let table = table(parameters)?;
    let client = client(parameters, &Shared::new(configuration));
    let creation = roadstead_metadata_dynamodb::create_table(&client, table).await;
    let creation = creation.with_context(|| format!("the table {table} cannot be created"))?;
    Ok((table.to_owned(), creation == Creation::Created))
}

fn table(parameters: &Dynamodb) -> anyhow::Result<&str> {
    let table = parameters.table.as_deref();
    table.context("metadata.dynamodb.table: no table is named")
}

fn client(parameters: &Dynamodb, shared: &Shared) -> Client {
    const CONNECTING: Duration = Duration::from_secs(5);
    const ANSWERING: Duration = Duration::from_secs(10);
    const ATTEMPTS: u32 = 5;
    let region = parameters.region.as_deref().unwrap_or(NO_REGION);
    let region = Region::new(region.to_owned());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECTING)
        .operation_attempt_timeout(ANSWERING);
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(timeouts.build())
        .use_dual_stack(parameters.usedualstack)
        .use_fips(parameters.usefipsendpoint);
    builder.set_endpoint_url(parameters.endpoint.clone());
    let (access_key, secret_key) = (&parameters.accesskey, &parameters.secretkey);
    let keys = aws::keys(access_key.as_deref(), secret_key.as_ref());
    let credentials = keys.unwrap_or_else(|| shared.credentials.clone());
    Client::from_conf(builder.credentials_provider(credentials).build())
}
