//! The route group `blobs`: pull, stat and delete.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, LOCATION};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use roadstead_api::conditional::{Precondition, Wanted, precondition, wanted};
use roadstead_api::extract::{Name, PathDigest};
use roadstead_api::response::{self, IMMUTABLE};
use roadstead_api::{Api, Client, Error, Notifier, authorized, detached};
use roadstead_oci::Digest;
use roadstead_oci::media_type::OCTET_STREAM;
use roadstead_registry::{Blobs, Pull, Repository};
use roadstead_storage::{ByteRange, Recipient};

/// The routes of the group.
pub fn router(api: Api) -> Router {
    let routes = Router::new().route(
        "/v2/{name}/blobs/{digest}",
        get(pull).head(stat).delete(delete),
    );
    authorized(routes, api)
}

/// end-2, `GET`.
async fn pull(
    State(api): State<Api>,
    Name(name): Name,
    PathDigest(digest): PathDigest,
    notifier: Notifier,
    request: Request,
) -> Result<Response, Error> {
    let repository = api.registry.repository(&name);
    if let Some(answer) = conditional(&repository.blobs(), &digest, request.headers()).await? {
        return Ok(answer);
    }
    let (range, size) = range(&repository.blobs(), &digest, request.headers()).await?;
    let recipient = recipient(&request);
    let pull = repository.blobs().pull_for(&recipient, &digest, range);
    let (stat, content) = match pull.await? {
        Pull::Redirect(url) => {
            tell_of_redirect(&notifier, repository, &digest).await;
            return Ok(redirect(&url));
        }
        Pull::Content { stat, content } => (stat, content),
    };
    notifier.blob_pulled(&name, &digest, stat.size).await;
    let body = response::body(content, request.extensions());
    let headers = response::content_headers(&digest, IMMUTABLE);
    Ok(match (size, range.length) {
        (Some(size), Some(length)) => {
            response::part(headers, OCTET_STREAM, (range.offset, length, size), body)
        }
        _ => whole(headers, stat.size, body),
    })
}

/// end-2, `HEAD`: answered here, but for a front that hands no `Content-Length` on.
async fn stat(
    State(api): State<Api>,
    Name(name): Name,
    PathDigest(digest): PathDigest,
    notifier: Notifier,
    request: Request,
) -> Result<Response, Error> {
    let repository = api.registry.repository(&name);
    if api.redirects_heads {
        if let Some(answer) = conditional(&repository.blobs(), &digest, request.headers()).await? {
            return Ok(answer);
        }
        let recipient = recipient(&request);
        if let Some(url) = repository.blobs().url_for(&recipient, &digest).await? {
            tell_of_redirect(&notifier, repository, &digest).await;
            return Ok(redirect(&url));
        }
    }
    let stat = repository.blobs().stat(&digest).await?;
    let answer = response::content_headers(&digest, IMMUTABLE);
    let headers = request.headers();
    if let Some(unmet) = response::unmet(precondition(headers, &digest), answer.clone()) {
        return Ok(unmet);
    }
    let wanted = wanted(headers, &digest, stat.size);
    if !matches!(wanted, Wanted::Unsatisfiable) {
        notifier.blob_pulled(&name, &digest, stat.size).await;
    }
    match wanted {
        Wanted::Whole => Ok(whole(answer, stat.size, Body::empty())),
        Wanted::Unsatisfiable => Err(response::unsatisfiable(stat.size)),
        Wanted::Part { offset, length } => {
            let part = (offset, length, stat.size);
            Ok(response::part(answer, OCTET_STREAM, part, Body::empty()))
        }
    }
}

/// end-10.
async fn delete(
    State(api): State<Api>,
    Name(name): Name,
    PathDigest(digest): PathDigest,
    notifier: Notifier,
) -> Result<Response, Error> {
    detached(async move {
        let blobs = api.registry.repository(&name).blobs();
        blobs.delete(&digest).await?;
        notifier.blob_deleted(&name, &digest).await;
        Ok(response::accepted())
    })
    .await
}

/// The size is in no URL, and only looked up for those who want to be told of pulls. That it cannot
/// be is no reason to refuse the blob.
async fn tell_of_redirect(notifier: &Notifier, repository: Repository<'_>, digest: &Digest) {
    if !notifier.wants_pulled_blobs() {
        return;
    }
    match repository.blobs().stat(digest).await {
        Ok(stat) => {
            let name = repository.name();
            notifier.blob_pulled(name, digest, stat.size).await;
        }
        Err(error) => {
            tracing::error!(blob.digest = %digest, %error, "nobody is told of a pull: the size of the blob is not known");
        }
    }
}

/// The answer to a request whose preconditions do not hold for a blob that is there.
async fn conditional(
    blobs: &Blobs<'_>,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<Option<Response>, Error> {
    match precondition(headers, digest) {
        Precondition::Holds => Ok(None),
        precondition => {
            blobs.stat(digest).await?;
            let headers = response::content_headers(digest, IMMUTABLE);
            Ok(response::unmet(precondition, headers))
        }
    }
}

/// The bytes to read, and for a part the size of the whole.
async fn range(
    blobs: &Blobs<'_>,
    digest: &Digest,
    headers: &HeaderMap,
) -> Result<(ByteRange, Option<u64>), Error> {
    if !headers.contains_key(http::header::RANGE) {
        return Ok((ByteRange::ALL, None));
    }
    let size = blobs.stat(digest).await?.size;
    match wanted(headers, digest, size) {
        Wanted::Whole => Ok((ByteRange::ALL, None)),
        Wanted::Unsatisfiable => Err(response::unsatisfiable(size)),
        Wanted::Part { offset, length } => {
            let length = Some(length);
            Ok((ByteRange { offset, length }, Some(size)))
        }
    }
}

fn whole(mut headers: HeaderMap, size: u64, body: Body) -> Response {
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response::whole(headers, OCTET_STREAM, size, body)
}

/// Whom a URL is for.
fn recipient(request: &Request) -> Recipient {
    Recipient {
        address: Client::of(request.extensions()).address.ip(),
        by_head: request.method() == Method::HEAD,
    }
}

/// The URL is for this client and for some minutes only: no cache may keep it.
fn redirect(url: &str) -> Response {
    let headers = [
        (LOCATION, response::value(url)),
        (CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    (StatusCode::TEMPORARY_REDIRECT, headers).into_response()
}
