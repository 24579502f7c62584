//! The route group `manifests`: pull, push and delete.

mod accept;
mod push;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, Method};
use roadstead_api::conditional::precondition;
use roadstead_api::extract::{Name, PathReference};
use roadstead_api::response::{self, IMMUTABLE, REVALIDATE};
use roadstead_api::{Api, Error, Notifier, authorized, detached};
use roadstead_oci::Reference;

/// The routes of the group.
pub fn router(api: Api) -> Router {
    let methods = get(pull).put(push::push).delete(delete);
    let routes = Router::new().route("/v2/{name}/manifests/{reference}", methods);
    authorized(routes, api)
}

/// end-3: the bytes that were pushed, as the type that they were pushed as.
async fn pull(
    State(api): State<Api>,
    Name(name): Name,
    PathReference(reference): PathReference,
    notifier: Notifier,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let manifests = api.registry.repository(&name).manifests();
    let mut record = manifests.pull(&reference).await?;
    let mut named = reference.clone();
    if let Some(child) = accept::substitute(&record, &reference, &headers) {
        named = Reference::Digest(child);
        record = manifests.pull(&named).await?;
    }
    let (digest, cache_control) = match (&named, &reference) {
        (Reference::Digest(digest), Reference::Digest(_)) => (digest, IMMUTABLE),
        (Reference::Digest(digest), _) => (digest, REVALIDATE),
        (Reference::Tag(_), _) => (&record.digest, REVALIDATE),
    };
    let answer = response::content_headers(digest, cache_control);
    if let Some(unmet) = response::unmet(precondition(&headers, digest), answer.clone()) {
        return Ok(unmet);
    }
    let tag = match &reference {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    };
    notifier.manifest_pulled(&name, digest, tag, &record).await;
    let size = record.bytes.len() as u64;
    let body = match method {
        Method::HEAD => Body::empty(),
        _ => Body::from(record.bytes),
    };
    Ok(response::whole(answer, &record.media_type, size, body))
}

/// end-9: a tag, or a manifest with all of its tags.
async fn delete(
    State(api): State<Api>,
    Name(name): Name,
    PathReference(reference): PathReference,
    notifier: Notifier,
) -> Result<Response, Error> {
    detached(async move {
        let repository = api.registry.repository(&name);
        match &reference {
            Reference::Tag(tag) => {
                repository.tags().delete(tag).await?;
                notifier.tag_deleted(&name, tag).await;
            }
            Reference::Digest(digest) => {
                let tags = repository.manifests().delete(digest).await?;
                notifier.manifest_deleted(&name, digest, &tags).await;
            }
        }
        Ok(response::accepted())
    })
    .await
}
