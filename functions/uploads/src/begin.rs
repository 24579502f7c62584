//! end-4a, 4b, 4c and 11: beginning an upload, which may be all there is to it.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, TryStreamExt};
use http::{HeaderMap, StatusCode};
use roadstead_api::extract::{Name, Query};
use roadstead_api::{Api, Caller, Error, Notifier, Urls, detached, response};
use roadstead_auth::{Action, Grant};
use roadstead_metadata::UploadSession;
use roadstead_oci::{Algorithm, Digest, RepositoryName};
use roadstead_registry::{Mounted, TransportError};

use crate::location::Progress;

/// Mounts a blob, takes one in the same request, or begins an upload.
pub(crate) async fn begin(
    State(api): State<Api>,
    Caller(grant): Caller,
    Name(name): Name,
    query: Query,
    (urls, notifier): (Urls, Notifier),
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    if let Some(digest) = mounted(&api, &grant, &name, &query, &notifier).await? {
        return Ok(response::created(&urls.blob(&name, &digest), &digest));
    }
    check_algorithm(&query)?;
    if let Some(digest) = query.digest("digest")?
        && has_body(&headers)
    {
        return take(api, name, (urls, notifier), digest, body).await;
    }
    let session = begun(&api, &name).await?;
    let headers = Progress::begun(session).headers_of_empty(&api, &urls);
    Ok((StatusCode::ACCEPTED, headers).into_response())
}

/// end-11: the digest that is part of the repository now, without a byte sent. Whatever is
/// wrong with the request to mount, the client can upload instead; also where the caller may not
/// read, which looks as if nothing were there.
async fn mounted(
    api: &Api,
    grant: &Grant,
    name: &RepositoryName,
    query: &Query,
    notifier: &Notifier,
) -> Result<Option<Digest>, Error> {
    let Some(digest) = query
        .get("mount")
        .and_then(|digest| digest.parse::<Digest>().ok())
    else {
        return Ok(None);
    };
    let from = match query.get("from").filter(|from| !from.is_empty()) {
        Some(from) => match from.parse::<RepositoryName>() {
            Ok(from) => Some(from),
            Err(_) => return Ok(None),
        },
        None => None,
    };
    let (registry, name, grant) = (api.registry.clone(), name.clone(), grant.clone());
    let notifier = notifier.clone();
    detached(async move {
        let blobs = registry.repository(&name).blobs();
        let readable = |from: &RepositoryName| grant.allows_on(from, Action::Pull);
        let mounted = blobs.mount(&digest, from.as_ref(), &readable).await?;
        let Some(Mounted { from, size }) = mounted else {
            return Ok(None);
        };
        notifier.blob_mounted(&name, &digest, size, &from).await;
        Ok(Some(digest))
    })
    .await
}

/// end-4c: an algorithm that is not known is refused before the bytes are sent.
fn check_algorithm(query: &Query) -> Result<(), Error> {
    let algorithm = query.get("digest-algorithm").map(str::parse::<Algorithm>);
    match algorithm {
        Some(Err(error)) => {
            let code = roadstead_oci::ErrorCode::DigestInvalid;
            Err(Error::new(code, error.to_string()))
        }
        _ => Ok(()),
    }
}

/// end-4b: the whole blob in one request.
async fn take(
    api: Api,
    name: RepositoryName,
    (urls, notifier): (Urls, Notifier),
    digest: Digest,
    body: Body,
) -> Result<Response, Error> {
    let location = urls.blob(&name, &digest);
    let expected = digest.clone();
    detached(async move {
        let uploads = api.registry.repository(&name).uploads();
        let session = uploads.begin().await?;
        let mut upload = uploads.open(&session.id).await?;
        match upload
            .append(stream(body), Some(expected.algorithm()))
            .await
        {
            Ok(()) => {
                let size = upload.size();
                upload.finish(&expected).await?;
                notifier.blob_pushed(&name, &expected, size).await;
                Ok(())
            }
            Err(error) => {
                upload.cancel().await?;
                Err(error.into())
            }
        }
    })
    .await?;
    Ok(response::created(&location, &digest))
}

async fn begun(api: &Api, name: &RepositoryName) -> Result<UploadSession, Error> {
    let (registry, name) = (api.registry.clone(), name.clone());
    detached(async move { Ok(registry.repository(&name).uploads().begin().await?) }).await
}

/// A request to begin an upload may name the digest of what is to come: then it has no body.
fn has_body(headers: &HeaderMap) -> bool {
    let length = headers.get(http::header::CONTENT_LENGTH);
    let is_empty = length.is_some_and(|length| length == "0");
    !is_empty && (length.is_some() || headers.contains_key(http::header::TRANSFER_ENCODING))
}

/// A body as the core takes bytes.
pub(crate) fn stream(
    body: Body,
) -> impl Stream<Item = Result<bytes::Bytes, TransportError>> + Send {
    body.into_data_stream()
        .map_err(TransportError::from)
        .boxed()
}
