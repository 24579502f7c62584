//! end-6: the last bytes, if any, and the digest of all of them.

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use roadstead_api::extract::{Name, Query, UploadId};
use roadstead_api::{Api, Error, Notifier, UploadState, Urls, detached, response};
use roadstead_oci::{Digest, ErrorCode, RepositoryName};

use crate::chunk::Chunk;
use crate::content_range::ChunkRange;

/// Ends the upload with a blob.
pub(crate) async fn finish(
    State(api): State<Api>,
    Name(name): Name,
    UploadId(id): UploadId,
    query: Query,
    (urls, notifier): (Urls, Notifier),
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let state = UploadState::verify(query.get("_state"), &api.options.secret, &name, &id)?;
    let digest = query.digest("digest")?;
    let digest = digest.ok_or_else(|| Error::new(ErrorCode::DigestInvalid, "digest missing"))?;
    let range = ChunkRange::of(&headers)?;
    let size = state.offset();
    let memo = state
        .memo()
        .filter(|_| body.is_end_stream() && range.is_none());
    let memo = memo.map(str::to_owned);
    let chunk = Chunk { state, range, body };
    let created = response::created(&urls.blob(&name, &digest), &digest);
    detached(async move {
        let uploads = api.registry.repository(&name).uploads();
        if let Some(memo) = memo
            && uploads.finish_by_memo(&id, &memo, &digest).await?
        {
            notifier.blob_pushed(&name, &digest, size).await;
            return Ok(());
        }
        let mut upload = match uploads.open(&id).await {
            Err(roadstead_registry::Error::UploadUnknown) => {
                return finished_before(&api, &name, &digest).await;
            }
            upload => upload?,
        };
        let also = Some(digest.algorithm());
        chunk.append(&mut upload, also, (&api, &urls)).await?;
        let size = upload.size();
        upload.finish(&digest).await?;
        notifier.blob_pushed(&name, &digest, size).await;
        Ok(())
    })
    .await?;
    Ok(created)
}

/// The upload is not there: finished already by a request whose answer was lost, if its state
/// is genuine and the repository has the blob. Saying so again lets the client go on.
async fn finished_before(api: &Api, name: &RepositoryName, digest: &Digest) -> Result<(), Error> {
    let stat = api.registry.repository(name).blobs().stat(digest).await;
    match stat {
        Ok(_) => Ok(()),
        Err(roadstead_registry::Error::BlobUnknown(_)) => {
            Err(roadstead_registry::Error::UploadUnknown.into())
        }
        Err(error) => Err(error.into()),
    }
}
