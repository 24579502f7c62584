//! One collection at a time, where the store has no locks.
//!
//! Two at once would be safe for what is younger than the grace age alone: one brings a link back,
//! on which a push relies, and the other has looked at its repository before and deletes the bytes.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use roadstead_storage::{ByteRange, ContentStat, Driver, Error, Key, Write, WriteMode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where it lies.
const PLACE: &str = "roadstead/garbage-collection.lease";

/// Longer than whoever calls can live without renewing it: Lambda ends a function after 15 minutes.
/// The clocks of two processes may differ by the rest.
const LIFE: Duration = Duration::from_secs(20 * 60);

/// It is a few bytes.
const MOST: u64 = 1000;

/// The right to collect, until it ends or is released. A process that is killed keeps it until it ends.
#[derive(Debug)]
pub(super) struct Lease {
    driver: Arc<dyn Driver>,
    key: Key,
    written: Written,
    /// What can be deleted only if it still is this one.
    stat: ContentStat,
}

/// What lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    holder: String,
    until: SystemTime,
}

impl Lease {
    /// `None` when another process has it.
    pub(super) async fn take(driver: &Arc<dyn Driver>) -> Result<Option<Self>, Error> {
        let key = Key::new(PLACE)?;
        if let Some(lease) = Self::create(driver, &key).await? {
            return Ok(Some(lease));
        }
        if let Some((written, stat)) = read(driver, &key).await? {
            if SystemTime::now() < written.until {
                tracing::info!(until = ?written.until, "another process collects garbage");
                return Ok(None);
            }
            driver.delete_if(&key, &stat).await?;
        }
        Self::create(driver, &key).await
    }

    /// Makes it last longer, if it is about to end; `false` when another process has it by now.
    pub(super) async fn renew(&mut self) -> Result<bool, Error> {
        let left = self.written.until.duration_since(SystemTime::now());
        if left.is_ok_and(|left| left > LIFE / 2) {
            return Ok(true);
        }
        // Who comes between these two has it.
        if self.driver.delete_if(&self.key, &self.stat).await?
            && let Some(lease) = Self::create(&self.driver, &self.key).await?
        {
            *self = lease;
            return Ok(true);
        }
        tracing::warn!(
            "the garbage collection took too long in one place: another process goes on"
        );
        Ok(false)
    }

    /// Another process may have it.
    pub(super) async fn release(self) {
        if let Err(error) = self.driver.delete_if(&self.key, &self.stat).await {
            let until = self.written.until;
            tracing::warn!(%error, ?until, "the lease of the garbage collection stays until it ends");
        }
    }

    /// `None` when there is one.
    async fn create(driver: &Arc<dyn Driver>, key: &Key) -> Result<Option<Self>, Error> {
        let written = Written {
            holder: Uuid::new_v4().to_string(),
            until: SystemTime::now() + LIFE,
        };
        let content = serde_json::to_vec(&written);
        let write = Write {
            key: key.clone(),
            content: Bytes::from(content.map_err(|error| Error::Unavailable(error.into()))?),
            mode: WriteMode::CreateNew,
        };
        match driver.write(&[write]).await {
            Ok(()) => {}
            Err(Error::Exists(_) | Error::Busy(_)) => return Ok(None),
            Err(error) => return Err(error),
        }
        // Also for a store that wrote over another one.
        let found = read(driver, key).await?;
        let found = found.filter(|(found, _)| *found == written);
        Ok(found.map(|(written, stat)| Self {
            driver: Arc::clone(driver),
            key: key.clone(),
            written,
            stat,
        }))
    }
}

/// What lies at `key`; what is damaged is a lease that was taken
/// when it was written.
async fn read(
    driver: &Arc<dyn Driver>,
    key: &Key,
) -> Result<Option<(Written, ContentStat)>, Error> {
    let object = match driver.read(key, ByteRange::ALL).await {
        Ok(object) => object,
        Err(Error::NotFound(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let stat = object.stat;
    let content = object.collect(key, MOST).await?;
    let damaged = || Written {
        holder: String::new(),
        until: stat.modified + LIFE,
    };
    let written = serde_json::from_slice(&content).unwrap_or_else(|_| damaged());
    Ok(Some((written, stat)))
}

#[cfg(test)]
mod tests {
    use roadstead_storage::{DriverExt, MemoryDriver};

    use super::*;

    fn store() -> Arc<dyn Driver> {
        Arc::new(MemoryDriver::new())
    }

    async fn take(driver: &Arc<dyn Driver>) -> Option<Lease> {
        Lease::take(driver).await.unwrap()
    }

    /// Lets a lease end so long from now, as if it had been taken long ago.
    async fn shorten(lease: &mut Lease, left: Duration) {
        lease.written.until = SystemTime::now() + left;
        let content = serde_json::to_vec(&lease.written).unwrap();
        let Lease { driver, key, .. } = &lease;
        driver.put(key, content.into()).await.unwrap();
        lease.stat = driver.try_stat(key).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn one_has_it_until_it_is_released_or_ends() {
        let driver = store();
        let one = take(&driver).await.unwrap();
        assert!(take(&driver).await.is_none());
        one.release().await;
        let mut other = take(&driver).await.unwrap();
        assert!(take(&driver).await.is_none());
        shorten(&mut other, Duration::ZERO).await;
        assert!(take(&driver).await.is_some());
    }

    #[tokio::test]
    async fn it_is_renewed_before_it_ends_and_after_that_unless_another_has_it() {
        let driver = store();
        let mut one = take(&driver).await.unwrap();
        for left in [LIFE / 2, Duration::ZERO] {
            shorten(&mut one, left).await;
            assert!(one.renew().await.unwrap());
            let left = one.written.until.duration_since(SystemTime::now());
            assert!(left.unwrap() > LIFE / 2);
            assert!(take(&driver).await.is_none());
        }
        shorten(&mut one, Duration::ZERO).await;
        let mut other = take(&driver).await.unwrap();
        assert!(!one.renew().await.unwrap());
        one.release().await;
        assert!(take(&driver).await.is_none());
        assert!(other.renew().await.unwrap());
    }

    #[tokio::test]
    async fn what_is_damaged_is_a_lease_as_long_as_one_lasts() {
        let driver = store();
        let key = Key::new(PLACE).unwrap();
        driver.put(&key, Bytes::from("{")).await.unwrap();
        assert!(take(&driver).await.is_none());
        let (written, stat) = read(&driver, &key).await.unwrap().unwrap();
        assert_eq!(written.until, stat.modified + LIFE);
    }
}
