//! `storage.s3`.

use std::sync::Arc;

use anyhow::bail;
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use roadstead_configuration::storage;
use roadstead_storage::Driver;
use roadstead_storage_s3::{Config, Encryption, S3Driver};

pub(super) fn driver(
    parameters: &storage::S3,
    credentials: SharedCredentialsProvider,
) -> anyhow::Result<Arc<dyn Driver>> {
    Ok(Arc::new(S3Driver::new(config(parameters, credentials)?)?))
}

fn config(
    parameters: &storage::S3,
    credentials: SharedCredentialsProvider,
) -> anyhow::Result<Config> {
    if !parameters.v4auth {
        bail!("storage.s3.v4auth: false is not offered: there is only signature version 4");
    }
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let secret_key = parameters.secretkey.as_ref().map(|secret| secret.expose());
    let credentials = match (text(&parameters.accesskey), secret_key) {
        (Some(access_key), Some(secret_key)) if !secret_key.is_empty() => {
            let keys = Credentials::new(access_key, secret_key, None, None, "configuration");
            SharedCredentialsProvider::new(keys)
        }
        _ => credentials,
    };
    Ok(Config {
        region: text(&parameters.region),
        endpoint: text(&parameters.regionendpoint),
        force_path_style: parameters.forcepathstyle,
        credentials: Some(credentials),
        encryption: Encryption::new(parameters.encrypt, parameters.keyid.clone()),
        secure: parameters.secure,
        skip_verify: parameters.skipverify,
        chunk_size: parameters.chunksize,
        copy_chunk_size: parameters.multipartcopychunksize,
        copy_concurrency: crate::size(parameters.multipartcopymaxconcurrency),
        copy_threshold: parameters.multipartcopythresholdsize,
        root: parameters.rootdirectory.clone().unwrap_or_default(),
        storage_class: parameters.storageclass.parse()?,
        acl: parameters.objectacl.parse()?,
        user_agent: text(&parameters.useragent),
        dual_stack: parameters.usedualstack,
        accelerate: parameters.accelerate,
        fips: parameters.usefipsendpoint,
        log_requests: parameters.loglevel.to_lowercase().starts_with("debug"),
        redirect_endpoint: text(&parameters.redirectendpoint),
        ..Config::new(parameters.bucket.clone().unwrap_or_default())
    })
}
