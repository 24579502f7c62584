//! The decorator: which client is sent where.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_cache::sync::Cache;
use roadstead_storage::{Error, Key, Recipient, UrlSigner};

use crate::config::{self, Config, ConfigError};
use crate::feed::Feed;
use crate::policy::{Policy, expiry};

/// How many URLs are remembered, of about a kilobyte each.
const REMEMBERED: usize = 4096;

/// What stands in the path of a URL as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Signs URLs of one distribution. What the store has no name for goes where it would go without.
#[derive(Debug)]
pub struct CloudFront {
    store: Arc<dyn UrlSigner>,
    config: Config,
    /// With a slash at its end.
    base_url: String,
    feed: Option<Feed>,
    signed: Cache<Signed, Arc<str>>,
}

/// What makes one URL another one. An ECDSA signature is another one each time, so that URLs are
/// only the same when they are remembered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Signed {
    key: Key,
    expires: u64,
    address: Option<Ipv4Addr>,
}

impl CloudFront {
    /// A signer for the distribution in front of `store`. Within a runtime, the addresses of AWS begin to be fetched
    /// where they are needed.
    ///
    /// # Errors
    ///
    /// When a parameter is not what it has to be.
    pub fn new(config: Config, store: Arc<dyn UrlSigner>) -> Result<Self, ConfigError> {
        let base_url = config::base_url(&config.base_url)?;
        config::key_pair_id(&config.key_pair_id)?;
        if config.duration.as_secs() == 0 {
            return Err(ConfigError::Duration);
        }
        let feed = config.filter.as_ref().map(Feed::new).transpose()?;
        if let (Some(feed), Ok(_)) = (&feed, tokio::runtime::Handle::try_current()) {
            feed.known();
        }
        Ok(Self {
            store,
            config,
            base_url,
            feed,
            signed: Cache::new(REMEMBERED),
        })
    }

    /// Whether this client is one of AWS that is left to the store.
    fn leaves_to_store(&self, recipient: &Recipient) -> bool {
        let known = self.feed.as_ref().and_then(Feed::known);
        known
            .zip(recipient.address)
            .is_some_and(|(known, address)| known.contain(address))
    }

    fn url(&self, object: &str, signed: &Signed) -> Result<Arc<str>, Error> {
        let sign = || {
            let url = format!("{}{}", self.base_url, utf8_percent_encode(object, PATH));
            let policy = Policy {
                url: &url,
                expires: signed.expires,
                address: signed.address,
            };
            let Config {
                key,
                hash,
                key_pair_id,
                ..
            } = &self.config;
            let url = policy.signed(key, *hash, key_pair_id);
            let url = url.ok_or_else(|| Error::Unavailable("the key does not sign".into()))?;
            Ok(Arc::from(url))
        };
        self.signed.get_or_insert_with(signed, sign)
    }
}

#[warn(clippy::missing_trait_methods)]
#[async_trait]
impl UrlSigner for CloudFront {
    async fn sign(&self, key: &Key, recipient: &Recipient) -> Result<Option<String>, Error> {
        let object = match self.store.object(key) {
            Some(object) if !self.leaves_to_store(recipient) => object,
            _ => return self.store.sign(key, recipient).await,
        };
        let address = match (self.config.restrict_address, v4(recipient)) {
            (false, _) => None,
            (true, Some(address)) => Some(address),
            (true, None) => return Ok(None),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.unwrap_or_default().as_secs();
        let signed = Signed {
            key: key.clone(),
            expires: expiry(now, self.config.duration.as_secs()),
            address,
        };
        let url = self.url(&object, &signed)?;
        Ok(Some(url.as_ref().to_owned()))
    }

    fn object(&self, key: &Key) -> Option<String> {
        self.store.object(key)
    }
}

fn v4(recipient: &Recipient) -> Option<Ipv4Addr> {
    match recipient.address?.to_canonical() {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
