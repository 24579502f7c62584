//! `middleware.storage`: `cloudfront`.

use std::sync::Arc;

use anyhow::Context;
use roadstead_configuration::Secret;
use roadstead_configuration::middleware::{Cloudfront, IpFilter, UrlHash};
use roadstead_storage::{Key, UrlSigner};
use roadstead_storage_cloudfront::{AddressFilter, CloudFront, Config, Hash, PrivateKey};

pub(super) fn signer(
    options: &Cloudfront,
    store: Arc<dyn UrlSigner>,
) -> anyhow::Result<Arc<dyn UrlSigner>> {
    if store.object(&Key::root()).is_none() {
        tracing::warn!(
            "the storage middleware cloudfront has no effect: this storage driver has no bucket that CloudFront could serve"
        );
    }
    Ok(Arc::new(CloudFront::new(config(options)?, store)?))
}

fn config(options: &Cloudfront) -> anyhow::Result<Config> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    Ok(Config {
        base_url: text(&options.baseurl),
        key: key(options.privatekey.as_ref().map_or("", Secret::expose))?,
        key_pair_id: text(&options.keypairid),
        hash: match options.hashalgorithm {
            UrlHash::Sha1 => Hash::Sha1,
            UrlHash::Sha256 => Hash::Sha256,
        },
        duration: options.duration,
        restrict_address: options.restrictaddress,
        filter: filter(options),
    })
}

/// `privatekey` is a file, or the key itself: functions have secrets in variables and not in files.
fn key(privatekey: &str) -> anyhow::Result<PrivateKey> {
    if privatekey.starts_with("-----BEGIN ") {
        return PrivateKey::from_pem(privatekey.as_bytes()).context("privatekey");
    }
    let context = || format!("privatekey: {privatekey}");
    let pem = std::fs::read(privatekey).with_context(context)?;
    PrivateKey::from_pem(&pem).with_context(context)
}

fn filter(options: &Cloudfront) -> Option<AddressFilter> {
    let regions = match options.ipfilteredby {
        IpFilter::None => return None,
        IpFilter::Aws => Vec::new(),
        IpFilter::AwsRegion => {
            let regions = options.awsregion.as_deref().unwrap_or_default().split(',');
            let regions = regions.map(str::trim).filter(|region| !region.is_empty());
            regions.map(str::to_owned).collect()
        }
    };
    Some(AddressFilter {
        regions,
        url: options.iprangesurl.clone(),
        update_frequency: options.updatefrequency,
    })
}
