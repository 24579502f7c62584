//! end-7: pushing a manifest.

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use roadstead_api::extract::{Name, PathReference, Query};
use roadstead_api::response::{self, value};
use roadstead_api::{Api, Error, Notifier, Urls, detached};
use roadstead_oci::{ErrorCode, MAX_MANIFEST_SIZE, Tag};
use roadstead_registry::NewManifest;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// The most tags of one push: ten times what the specification asks for.
const MAX_TAGS: usize = 100;

/// end-7a and end-7b.
pub(crate) async fn push(
    State(api): State<Api>,
    Name(name): Name,
    PathReference(reference): PathReference,
    query: Query,
    (urls, notifier): (Urls, Notifier),
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let tags = tags(&query)?;
    refuse_large(&headers)?;
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let new = NewManifest {
        reference,
        tags: tags.clone(),
        content_type: content_type.map(str::to_owned),
        bytes: whole(body).await?,
    };
    let manifest = name.clone();
    let pushed = detached(async move {
        let manifests = api.registry.repository(&manifest).manifests();
        let pushed = manifests.push(new).await?;
        notifier
            .manifest_pushed(&manifest, &pushed.digest, &pushed.tags, &pushed.record)
            .await;
        Ok(pushed)
    });
    let pushed = pushed.await?;
    let mut response = response::created(&urls.manifest(&name, &pushed.digest), &pushed.digest);
    if let Some(subject) = pushed.subject {
        response
            .headers_mut()
            .insert(OCI_SUBJECT, value(subject.as_str()));
    }
    for tag in tags {
        response.headers_mut().append(OCI_TAG, value(tag.as_str()));
    }
    Ok(response)
}

/// The tags of the query: all of them, or none when one is no tag.
fn tags(query: &Query) -> Result<Vec<Tag>, Error> {
    let tags: Result<Vec<Tag>, _> = query.all("tag").map(str::parse).collect();
    let tags = tags.map_err(|error| Error::new(ErrorCode::TagInvalid, error.to_string()))?;
    if tags.len() > MAX_TAGS {
        let detail = format!("at most {MAX_TAGS} tags in one request");
        return Err(Error::new(ErrorCode::TagInvalid, detail).with_status(StatusCode::URI_TOO_LONG));
    }
    Ok(tags)
}

/// A body that is announced to be too large is not waited for.
fn refuse_large(headers: &HeaderMap) -> Result<(), Error> {
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok());
    let length: Option<u64> = length.and_then(|length| length.parse().ok());
    match length {
        Some(length) if length > MAX_MANIFEST_SIZE => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> Error {
    roadstead_registry::Error::ManifestTooLarge(MAX_MANIFEST_SIZE).into()
}

async fn whole(body: Body) -> Result<Bytes, Error> {
    let limit = usize::try_from(MAX_MANIFEST_SIZE).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(roadstead_registry::Error::BodyBroken(error).into()),
    }
}
