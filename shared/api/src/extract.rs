//! From the text of a request to the vocabulary: past these extractors no text stands for a name.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;
use roadstead_oci::{Digest, ErrorCode, InvalidReference, Reference, RepositoryName};
use serde_json::json;

use crate::error::Error;
use crate::state::Api;

/// `{name}` of the path: a repository that this registry serves.
#[derive(Debug)]
pub struct Name(pub RepositoryName);

/// `{digest}` of the path.
#[derive(Debug)]
pub struct PathDigest(pub Digest);

/// `{reference}` of the path.
#[derive(Debug)]
pub struct PathReference(pub Reference);

/// `{id}` of the path: an upload's.
#[derive(Debug)]
pub struct UploadId(pub String);

/// The query, decoded.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl FromRequestParts<Api> for Name {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let text = path_parameter(parts, api, "name").await?;
        tracing::Span::current().record("vars.name", &text);
        let name = text.parse();
        let name = name.map_err(|_| Error::new(ErrorCode::NameInvalid, json!({ "name": text })))?;
        api.registry.admit(&name)?;
        Ok(Self(name))
    }
}

impl FromRequestParts<Api> for PathDigest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let text = path_parameter(parts, api, "digest").await?;
        tracing::Span::current().record("vars.digest", &text);
        digest(&text).map(Self)
    }
}

impl FromRequestParts<Api> for PathReference {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let text = path_parameter(parts, api, "reference").await?;
        tracing::Span::current().record("vars.reference", &text);
        let reference = text.parse().map_err(|error| match error {
            InvalidReference::Digest(error) => {
                Error::new(ErrorCode::DigestInvalid, error.to_string())
            }
            InvalidReference::Tag(error) => Error::new(ErrorCode::TagInvalid, error.to_string()),
        });
        reference.map(Self)
    }
}

impl FromRequestParts<Api> for UploadId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let id = path_parameter(parts, api, "id").await?;
        tracing::Span::current().record("vars.uuid", &id);
        Ok(Self(id))
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let Some(query) = parts.uri.query() else {
            return Ok(Self::default());
        };
        let pairs = form_urlencoded::parse(query.as_bytes());
        Ok(Self(pairs.into_owned().collect()))
    }
}

impl Query {
    /// The first value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(name, _)| name == key);
        pair.map(|(_, value)| value.as_str())
    }

    /// Every value of `key`.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        let pairs = self.0.iter();
        pairs
            .filter(move |(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }

    /// The digest under `key`, if there is one.
    ///
    /// # Errors
    ///
    /// `DIGEST_INVALID` for a value that is no digest, or for two values.
    pub fn digest(&self, key: &str) -> Result<Option<Digest>, Error> {
        let mut values = self.all(key);
        let Some(value) = values.next() else {
            return Ok(None);
        };
        if values.any(|other| other != value) {
            let detail = format!("more than one {key}");
            return Err(Error::new(ErrorCode::DigestInvalid, detail));
        }
        digest(value).map(Some)
    }

    /// The page size `n`, at most `most`; `None` when it is not given.
    ///
    /// # Errors
    ///
    /// `PAGINATION_NUMBER_INVALID` for what is no natural number.
    pub fn page_size(&self, most: usize) -> Result<Option<usize>, Error> {
        let Some(n) = self.get("n") else {
            return Ok(None);
        };
        if n.is_empty() || !n.bytes().all(|b| b.is_ascii_digit()) {
            let detail = json!({ "n": n });
            return Err(Error::new(ErrorCode::PaginationNumberInvalid, detail));
        }
        Ok(Some(n.parse().unwrap_or(most).min(most)))
    }

    /// The name after which the page begins, if any.
    pub fn last(&self) -> Option<&str> {
        self.get("last").filter(|last| !last.is_empty())
    }
}

/// Parses a digest that a client sent.
///
/// # Errors
///
/// `DIGEST_INVALID`, saying what is wrong.
pub fn digest(text: &str) -> Result<Digest, Error> {
    let digest = text.parse();
    digest.map_err(|error: roadstead_oci::InvalidDigest| {
        Error::new(ErrorCode::DigestInvalid, error.to_string())
    })
}

async fn path_parameter(parts: &mut Parts, api: &Api, wanted: &str) -> Result<String, Error> {
    let parameters = RawPathParams::from_request_parts(parts, api).await;
    let parameters =
        parameters.map_err(|_| Error::new(ErrorCode::NameInvalid, "the path is not UTF-8"))?;
    let value = parameters.iter().find(|(name, _)| *name == wanted);
    Ok(value.map(|(_, value)| value.to_owned()).unwrap_or_default())
}
