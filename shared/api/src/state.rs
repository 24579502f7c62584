//! What the handlers of every route group share.

use std::sync::Arc;

use roadstead_auth::{AccessController, Everybody, Issuer};
use roadstead_events::Broadcaster;
use roadstead_registry::Registry;

use crate::limits::Limits;
use crate::origin_secret::OriginSecret;
use crate::upload_origin::UploadOrigin;
use crate::upload_state::Secret;
use crate::urls::UrlOptions;

/// A registry and how it appears over HTTP. Clones are the same.
#[derive(Clone, Debug)]
pub struct Api {
    /// The registry.
    pub registry: Registry,
    /// How it appears.
    pub options: Arc<ApiOptions>,
    /// Where the bytes of uploads go; `None` for here.
    pub upload_origin: Option<Arc<UploadOrigin>>,
    /// What requests have to know.
    pub origin_secret: Option<OriginSecret>,
    /// Who may do what.
    pub access: Arc<dyn AccessController>,
    /// The token server, if there is one here.
    pub issuer: Option<Arc<Issuer>>,
    /// Whether `HEAD` of a blob is redirected as `GET` is: for a front that hands no
    /// `Content-Length` on.
    pub redirects_heads: bool,
    /// How much one caller may ask for.
    pub limits: Limits,
    /// Who is told what happens; nobody where there is none.
    pub events: Option<Arc<Broadcaster>>,
}

/// How a registry appears over HTTP.
#[derive(Debug)]
pub struct ApiOptions {
    /// How the URLs in answers are built.
    pub urls: UrlOptions,
    /// Signs the state that clients carry between the requests of an upload.
    pub secret: Secret,
    /// The largest page of the catalog; a larger `n` gets this many.
    pub max_catalog_entries: usize,
    /// The largest page of tags that was asked for by `n`.
    pub max_tags: usize,
}

impl ApiOptions {
    /// Those of a configuration that says nothing, with this secret.
    pub fn new(secret: Secret) -> Self {
        Self {
            urls: UrlOptions::default(),
            secret,
            max_catalog_entries: 1000,
            max_tags: 1000,
        }
    }
}

impl Api {
    /// `registry` with `options`, for everybody.
    pub fn new(registry: Registry, options: ApiOptions) -> Self {
        Self {
            registry,
            options: Arc::new(options),
            upload_origin: None,
            origin_secret: None,
            access: Arc::new(Everybody),
            issuer: None,
            redirects_heads: false,
            limits: Limits::default(),
            events: None,
        }
    }

    /// The same, with the bytes of uploads going to `origin`.
    #[must_use]
    pub fn with_upload_origin(self, origin: Option<UploadOrigin>) -> Self {
        let upload_origin = origin.map(Arc::new);
        Self {
            upload_origin,
            ..self
        }
    }

    /// The same, for those only who know `secret`; see [`guarded`](crate::guarded).
    #[must_use]
    pub fn with_origin_secret(self, secret: Option<OriginSecret>) -> Self {
        let origin_secret = secret;
        Self {
            origin_secret,
            ..self
        }
    }

    /// The same, for those only whom `access` permits what they want.
    #[must_use]
    pub fn with_access(self, access: Arc<dyn AccessController>) -> Self {
        Self { access, ..self }
    }

    /// The same, which tells `events` what happens.
    #[must_use]
    pub fn with_events(self, events: Option<Arc<Broadcaster>>) -> Self {
        Self { events, ..self }
    }

    /// The same, which redirects `HEAD` of blobs too.
    #[must_use]
    pub fn with_redirected_heads(self) -> Self {
        Self {
            redirects_heads: true,
            ..self
        }
    }

    /// The same, with a token server.
    #[must_use]
    pub fn with_issuer(self, issuer: Option<Arc<Issuer>>) -> Self {
        Self { issuer, ..self }
    }

    /// The same, of which no caller gets more than `limits`.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }
}
