//! A table of its own for each test, with the bytes in memory.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use roadstead_metadata::{Metadata, testkit};
use roadstead_metadata_dynamodb::sdk::config::retry::RetryConfig;
use roadstead_metadata_dynamodb::sdk::config::timeout::TimeoutConfig;
use roadstead_metadata_dynamodb::sdk::config::{BehaviorVersion, Credentials, Region};
use roadstead_metadata_dynamodb::sdk::{Client, Config};
use roadstead_metadata_dynamodb::{
    Contents, ContentsError, Creation, DynamoDb, Options, create_table,
};
use roadstead_storage::{Driver, DriverExt, Key, ListOptions, MemoryDriver, Write, WriteMode};

use roadstead_tests::{ministack, skip};
use uuid::Uuid;

pub(crate) struct Table {
    pub(crate) address: SocketAddr,
    pub(crate) driver: MemoryDriver,
    pub(crate) options: Options,
}

impl Table {
    /// An empty table, or `None` where there is no server.
    pub(crate) async fn new() -> Option<Self> {
        let address = tokio::task::spawn_blocking(ministack::address)
            .await
            .unwrap();
        let table = Self {
            address: address.inspect_err(|reason| skip::record(reason)).ok()?,
            driver: MemoryDriver::new(),
            options: Options::new(format!("table-{}", Uuid::new_v4())),
        };
        let created = create_table(&table.client(), &table.options.table).await;
        assert_eq!(created.unwrap(), Creation::Created);
        Some(table)
    }

    /// Another client of the server.
    pub(crate) fn client(&self) -> Client {
        client(self.address, RetryConfig::standard())
    }

    /// Another back end, as another process would have it.
    pub(crate) fn back_end(&self) -> DynamoDb {
        self.back_end_over(self.client())
    }

    /// One for which everything is old enough to be cleared away.
    pub(crate) fn impatient_back_end(&self) -> DynamoDb {
        let options = Options {
            orphan_age: Duration::ZERO,
            ..self.options.clone()
        };
        let contents = Arc::new(InMemory(self.driver.clone()));
        DynamoDb::new(self.client(), contents, options)
    }

    pub(crate) fn back_end_over(&self, client: Client) -> DynamoDb {
        let contents = Arc::new(InMemory(self.driver.clone()));
        DynamoDb::new(client, contents, self.options.clone())
    }

    /// The keys of all rows.
    pub(crate) async fn rows(&self) -> BTreeSet<(String, String)> {
        let scan = self.client().scan().table_name(&self.options.table);
        let scan = scan.consistent_read(true).into_paginator().items().send();
        let rows = scan.collect::<Result<Vec<_>, _>>().await.unwrap();
        let text = |value: &roadstead_metadata_dynamodb::sdk::types::AttributeValue| {
            value.as_s().unwrap().clone()
        };
        rows.iter()
            .map(|row| (text(&row["pk"]), text(&row["sk"])))
            .collect()
    }

    /// All that is in memory, finished or not.
    pub(crate) async fn contents(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut prefixes = vec![Key::root()];
        while let Some(prefix) = prefixes.pop() {
            let entries = self
                .driver
                .list(&prefix, roadstead_storage::ListOptions::ALL);
            for entry in entries.await.unwrap() {
                let key = prefix.join(&entry.name).unwrap();
                match entry.kind {
                    roadstead_storage::EntryKind::Prefix => prefixes.push(key),
                    roadstead_storage::EntryKind::Content => found.push(key.to_string()),
                }
            }
        }
        found
    }
}

pub(crate) fn client(address: SocketAddr, retries: RetryConfig) -> Client {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(20));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(format!("http://{address}"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(retries)
        .timeout_config(timeouts.build())
        .build();
    Client::from_conf(config)
}

#[async_trait]
impl testkit::Store for Table {
    fn metadata(&self) -> Arc<dyn Metadata> {
        Arc::new(self.back_end())
    }

    async fn put(&self, key: &str, content: Bytes) {
        put(&self.driver, key, content).await.unwrap();
    }

    async fn get(&self, key: &str) -> Option<Bytes> {
        self.driver
            .try_get(&Key::new(key).unwrap(), u64::MAX)
            .await
            .unwrap()
    }

    /// Rows but those that say that there was a repository, and content but that of which the
    /// table remembers to delete it later.
    async fn leftovers(&self) -> Vec<String> {
        let rows = self.rows().await;
        let is_orphan = |key: &String| rows.contains(&("orphan".to_owned(), key.clone()));
        let mut found = self.contents().await;
        found.retain(|key| !is_orphan(key));
        let rows = rows
            .iter()
            .filter(|(pk, _)| !pk.starts_with("catalog#") && pk != "orphan");
        found.extend(rows.map(|(pk, sk)| format!("{pk} {sk}")));
        found
    }
}

async fn put(
    driver: &MemoryDriver,
    key: &str,
    content: Bytes,
) -> Result<(), roadstead_storage::Error> {
    let write = Write {
        key: Key::new(key)?,
        content,
        mode: WriteMode::Overwrite,
    };
    driver.write(&[write]).await
}

/// Bytes in memory.
#[derive(Debug)]
struct InMemory(MemoryDriver);

#[async_trait]
impl Contents for InMemory {
    async fn read(&self, key: &str) -> Result<Option<Bytes>, ContentsError> {
        Ok(self.0.try_get(&Key::new(key)?, u64::MAX).await?)
    }

    async fn write(&self, key: &str, content: Bytes) -> Result<(), ContentsError> {
        Ok(put(&self.0, key, content).await?)
    }

    async fn delete(&self, key: &str) -> Result<(), ContentsError> {
        self.0.try_delete(&Key::new(key)?).await?;
        Ok(())
    }

    async fn delete_others(&self, prefix: &str, kept: &str) -> Result<(), ContentsError> {
        let prefix = Key::new(prefix)?;
        let entries = match self.0.list(&prefix, ListOptions::ALL).await {
            Err(roadstead_storage::Error::NotFound(_)) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let key = prefix.join(&entry.name)?;
            if key.as_str() != kept {
                self.0.try_delete(&key).await?;
            }
        }
        Ok(())
    }
}
