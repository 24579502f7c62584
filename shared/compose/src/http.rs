//! How the registry appears over HTTP.

use std::time::Duration;

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use roadstead_api::{
    Cors, CorsOptions, LimitOptions, Limits, OriginSecret, Rate, Secret, TrustedProxies,
    UploadOrigin, UrlOptions,
};
use roadstead_configuration::http::{Http, Per};

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

/// `http.cors`.
///
/// # Errors
///
/// It makes no sense, or would let every page act as its visitors.
pub fn cors(http: &Http) -> anyhow::Result<Option<Cors>> {
    let Some(cors) = &http.cors else {
        return Ok(None);
    };
    let options = CorsOptions {
        origins: cors.origins.clone(),
        methods: cors.methods.clone(),
        headers: cors.headers.clone(),
        exposed: cors.expose_headers.clone(),
        credentials: cors.supports_credentials,
        max_age: cors.max_age.map(Duration::from_secs),
    };
    Cors::new(&options).context("http.cors").map(Some)
}

/// `http.limits`.
pub fn limits(http: &Http) -> Limits {
    let requests = http.limits.requests.as_ref();
    let rate = requests.and_then(|requests| {
        let count = requests.rate.filter(|rate| *rate > 0)?;
        Some(Rate {
            count,
            period: requests.period,
            burst: requests.burst.filter(|burst| *burst > 0).unwrap_or(count),
        })
    });
    let uploads = http.limits.uploads.as_ref();
    let uploads = uploads.and_then(|uploads| uploads.concurrent.filter(|most| *most > 0));
    Limits::new(LimitOptions {
        requests: rate,
        by_address: requests.is_some_and(|requests| requests.per == Per::Address),
        uploads: uploads.map(crate::size),
    })
}

/// `http.trustedproxies`.
///
/// # Errors
///
/// A text that is no network.
pub fn trusted_proxies(http: &Http) -> anyhow::Result<TrustedProxies> {
    TrustedProxies::parse(&http.trustedproxies).context("http.trustedproxies")
}

/// `http.host` counts when it has a scheme and a host; a path in it that ends in a slash stands
/// in the place of `http.prefix`, for clients that see the registry elsewhere than it is.
pub(crate) fn urls(http: &Http) -> UrlOptions {
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

pub(crate) fn upload_origin(http: &Http) -> Option<UploadOrigin> {
    let origin = http.uploadorigin.as_deref()?;
    Some(match origin {
        "/" => UploadOrigin::SameHost,
        host => UploadOrigin::Host(host.to_owned()),
    })
}

pub(crate) fn origin_secret(http: &Http) -> Option<OriginSecret> {
    let secret = http.originsecret.as_ref()?.expose();
    (!secret.is_empty()).then(|| OriginSecret::new(secret))
}

pub(crate) fn secret(http: &Http) -> Secret {
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
