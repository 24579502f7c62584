//! The table itself: for tests, and for whoever has no deployment that makes it.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    TableDescription, TableStatus, TimeToLiveSpecification, TimeToLiveStatus,
};
use roadstead_metadata::Error;

use crate::table::unavailable;

/// Whether [`create_table`] had to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// The table was created.
    Created,
    /// There is such a table.
    Existed,
}

/// There is a table of that name which is not one of ours.
#[derive(Debug, thiserror::Error)]
#[error("there is a table {0} with other keys than pk and sk, both of the type S")]
struct OtherTable(String);

/// The table was being deleted, or took too long to become active.
#[derive(Debug, thiserror::Error)]
#[error("the table {0} does not become active")]
struct NotActive(String);

/// Creates the table `name`, billed by request, with its keys and its time-to-live attribute, and
/// waits until it can be used. Done again, it does what is missing.
///
/// # Errors
///
/// [`Error::Unavailable`], also when there is a table of that name with other keys.
pub async fn create_table(client: &Client, name: &str) -> Result<Creation, Error> {
    let creation = create(client, name).await?;
    let table = active(client, name).await?;
    if !has_our_keys(&table) {
        return Err(Error::Unavailable(Box::new(OtherTable(name.to_owned()))));
    }
    expire(client, name).await?;
    Ok(creation)
}

async fn create(client: &Client, name: &str) -> Result<Creation, Error> {
    let mut create = client.create_table().table_name(name);
    for (name, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let key = KeySchemaElement::builder().attribute_name(name);
        create = create.key_schema(key.key_type(kind).build().map_err(incomplete)?);
        let attribute = AttributeDefinition::builder().attribute_name(name);
        let attribute = attribute.attribute_type(ScalarAttributeType::S).build();
        create = create.attribute_definitions(attribute.map_err(incomplete)?);
    }
    let created = create.billing_mode(BillingMode::PayPerRequest).send().await;
    match created {
        Ok(_) => Ok(Creation::Created),
        Err(error) if is_there(error.as_service_error()) => Ok(Creation::Existed),
        Err(error) => Err(unavailable(error)),
    }
}

fn is_there(error: Option<&CreateTableError>) -> bool {
    matches!(error, Some(CreateTableError::ResourceInUseException(_)))
}

async fn active(client: &Client, name: &str) -> Result<TableDescription, Error> {
    /// About two minutes; AWS takes some seconds.
    const LOOKS: u32 = 120;
    const PAUSE: Duration = Duration::from_secs(1);
    for _ in 0..LOOKS {
        let described = client.describe_table().table_name(name).send().await;
        let table = described.map_err(unavailable)?.table;
        match table.filter(|table| table.table_status() == Some(&TableStatus::Active)) {
            Some(table) => return Ok(table),
            None => tokio::time::sleep(PAUSE).await,
        }
    }
    Err(Error::Unavailable(Box::new(NotActive(name.to_owned()))))
}

fn has_our_keys(table: &TableDescription) -> bool {
    let mut keys: Vec<_> = table
        .key_schema()
        .iter()
        .map(|key| (key.attribute_name(), key.key_type().clone()))
        .collect();
    keys.sort_by_key(|(name, _)| name.to_owned());
    let is_text = |attribute: &AttributeDefinition| {
        let is_key = ["pk", "sk"].contains(&attribute.attribute_name());
        !is_key || *attribute.attribute_type() == ScalarAttributeType::S
    };
    keys == [("pk", KeyType::Hash), ("sk", KeyType::Range)]
        && table.attribute_definitions().iter().all(is_text)
}

/// Lets the table forget uploads long after they have expired.
async fn expire(client: &Client, name: &str) -> Result<(), Error> {
    let described = client.describe_time_to_live().table_name(name).send();
    let described = described.await.map_err(unavailable)?;
    let status = described.time_to_live_description;
    let status = status.and_then(|description| description.time_to_live_status);
    if matches!(
        status,
        Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)
    ) {
        return Ok(());
    }
    let ttl = TimeToLiveSpecification::builder().enabled(true);
    let ttl = ttl.attribute_name("ttl").build().map_err(incomplete)?;
    let update = client.update_time_to_live().table_name(name);
    let update = update.time_to_live_specification(ttl).send();
    update.await.map(drop).map_err(unavailable)
}

fn incomplete(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Unavailable(Box::new(error))
}
