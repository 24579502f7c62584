//! From configuration to registry: the one place of the server that names concrete back ends.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use regex::RegexSet;
use roadstead_api::{Api, ApiOptions, Secret, UrlOptions};
use roadstead_configuration::http::Http;
use roadstead_configuration::storage::{self, Storage};
use roadstead_configuration::validation::{Platforms, Validation};
use roadstead_configuration::{Configuration, GoRegexp};
use roadstead_metadata_layout::{Layout, Options};
use roadstead_oci::Platform;
use roadstead_registry::{PlatformPolicy, Policy, Registry, UrlPolicy};
use roadstead_storage::Driver;
use roadstead_storage::MemoryDriver;
use roadstead_storage_filesystem::{self as filesystem, FilesystemDriver};
use roadstead_storage_s3::{self as s3, S3Driver};

/// The registry that a configuration describes.
///
/// # Errors
///
/// A driver or a parameter that cannot be had.
pub fn registry(configuration: &Configuration) -> anyhow::Result<Registry> {
    let storage = &configuration.storage;
    let driver = driver(&storage.driver)?;
    let layout = Layout::new(Arc::clone(&driver), layout_options(storage));
    let registry = Registry::new(Arc::new(layout), driver, policy(configuration)?);
    Ok(match storage.redirect.disable {
        true => registry.without_redirects(),
        false => registry,
    })
}

/// How the registry appears over HTTP.
pub fn api(configuration: &Configuration, registry: Registry) -> Api {
    let http = &configuration.http;
    let options = ApiOptions {
        urls: urls(http),
        secret: secret(http),
        max_catalog_entries: size(configuration.catalog.maxentries),
        max_tags: size(configuration.tags.maxtags),
    };
    Api::new(registry, options)
}

/// `http.headers`.
///
/// # Errors
///
/// A name or a value that no header can have.
pub fn headers(http: &Http) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (name, values) in &http.headers {
        let context = || format!("http.headers: {name}");
        let name: HeaderName = name.parse().with_context(context)?;
        for value in values {
            let value: HeaderValue = value.parse().with_context(context)?;
            headers.append(name.clone(), value);
        }
    }
    Ok(headers)
}

fn driver(driver: &storage::Driver) -> anyhow::Result<Arc<dyn Driver>> {
    match driver {
        storage::Driver::Filesystem(parameters) => {
            let config = filesystem::Config {
                root: parameters.rootdirectory.clone().into(),
                max_threads: parameters.threads(),
                sync: match parameters.fsync {
                    storage::Fsync::Always => filesystem::Sync::Always,
                    storage::Fsync::Never => filesystem::Sync::Never,
                },
            };
            Ok(Arc::new(FilesystemDriver::new(config)?))
        }
        storage::Driver::Inmemory(_) => Ok(Arc::new(MemoryDriver::new())),
        storage::Driver::S3(parameters) => Ok(Arc::new(S3Driver::new(s3_config(parameters)?)?)),
        other => Err(anyhow!(
            "storage driver {} is not built; there are: filesystem, inmemory, s3",
            other.name()
        )),
    }
}

fn s3_config(parameters: &storage::S3) -> anyhow::Result<s3::Config> {
    if !parameters.v4auth {
        bail!("storage.s3.v4auth: false is not offered: there is only signature version 4");
    }
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let secret_key = parameters.secretkey.as_ref().map(|secret| secret.expose());
    let credentials = match (text(&parameters.accesskey), secret_key) {
        (Some(access_key), Some(secret_key)) if !secret_key.is_empty() => Some(s3::Credentials {
            access_key,
            secret_key: secret_key.to_owned(),
        }),
        _ => None,
    };
    Ok(s3::Config {
        region: text(&parameters.region),
        endpoint: text(&parameters.regionendpoint),
        force_path_style: parameters.forcepathstyle,
        credentials,
        encryption: s3::Encryption::new(parameters.encrypt, parameters.keyid.clone()),
        secure: parameters.secure,
        skip_verify: parameters.skipverify,
        chunk_size: parameters.chunksize,
        copy_chunk_size: parameters.multipartcopychunksize,
        copy_concurrency: size(parameters.multipartcopymaxconcurrency),
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
        ..s3::Config::new(parameters.bucket.clone().unwrap_or_default())
    })
}

fn layout_options(storage: &Storage) -> Options {
    let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let tag_concurrency = match size(storage.tag.concurrencylimit) {
        0 => processors(),
        limit => limit,
    };
    let cached = storage
        .cache
        .blobdescriptorsize
        .map_or(u64::MAX, NonZeroU64::get);
    Options {
        tag_concurrency,
        cached_manifests: size(cached),
    }
}

fn policy(configuration: &Configuration) -> anyhow::Result<Policy> {
    let storage = &configuration.storage;
    Ok(Policy {
        delete: storage.delete.enabled,
        read_only: storage.maintenance.readonly.enabled,
        urls: url_policy(&configuration.validation)?,
        platforms: platform_policy(&configuration.validation),
    })
}

/// Distribution: with validation, what matches `allow` and not `deny`; without, anything.
fn url_policy(validation: &Validation) -> anyhow::Result<UrlPolicy> {
    if !validation.is_enabled() {
        return Ok(UrlPolicy::new(|_| true));
    }
    let urls = &validation.manifests.urls;
    let allow = expressions(&urls.allow).context("validation.manifests.urls.allow")?;
    let deny = expressions(&urls.deny).context("validation.manifests.urls.deny")?;
    Ok(UrlPolicy::new(move |url| {
        allow.is_match(url) && !deny.is_match(url)
    }))
}

fn expressions(expressions: &[GoRegexp]) -> Result<RegexSet, regex::Error> {
    RegexSet::new(expressions.iter().map(GoRegexp::translated))
}

fn platform_policy(validation: &Validation) -> PlatformPolicy {
    let indexes = &validation.manifests.indexes;
    match indexes.platforms {
        _ if !validation.is_enabled() => PlatformPolicy::All,
        Platforms::All => PlatformPolicy::All,
        Platforms::None => PlatformPolicy::None,
        Platforms::List => PlatformPolicy::Only(
            indexes
                .platformlist
                .iter()
                .map(|platform| Platform {
                    architecture: platform.architecture.clone().unwrap_or_default(),
                    os: platform.os.clone().unwrap_or_default(),
                })
                .collect(),
        ),
    }
}

/// `http.host` counts when it has a scheme and a host; a path in it that ends in a slash stands
/// in the place of `http.prefix`, for clients that see the registry elsewhere than it is.
fn urls(http: &Http) -> UrlOptions {
    let host: Option<Uri> = http.host.as_deref().and_then(|host| host.parse().ok());
    let host = host.as_ref();
    let origin = host.and_then(|host| Some((host.scheme_str()?, host.authority()?)));
    if http.host.is_some() && origin.is_none() {
        tracing::warn!("http.host has no effect: it is no URL with a scheme and a host");
    }
    let path = origin.and(host).map(Uri::path);
    let path = path.filter(|path| *path != "/" && path.ends_with('/'));
    UrlOptions {
        host: origin.map(|(scheme, authority)| format!("{scheme}://{authority}")),
        relative: http.relativeurls,
        prefix: path.unwrap_or(&http.prefix).to_owned(),
    }
}

fn secret(http: &Http) -> Secret {
    match http.secret.as_ref().map(|secret| secret.expose()) {
        Some(secret) if !secret.is_empty() => Secret::new(secret.as_bytes()),
        _ => {
            tracing::warn!(
                "No HTTP secret provided - generated random secret. This may cause problems with uploads if multiple registries are behind a load-balancer. To provide a shared secret, fill in http.secret in the configuration file or set the REGISTRY_HTTP_SECRET environment variable."
            );
            let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
            Secret::new(&halves.map(uuid::Uuid::into_bytes).concat())
        }
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
