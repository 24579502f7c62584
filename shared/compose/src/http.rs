//! How the registry appears over HTTP.

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use roadstead_api::{OriginSecret, Secret, TrustedProxies, UploadOrigin, UrlOptions};
use roadstead_configuration::http::Http;

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
