//! `delete`: content, all below it, and the uploads that were under way there.

use std::time::SystemTime;

use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_storage::{ContentStat, Error, Key};

use crate::bucket::{Bucket, Head, Listing};
use crate::claims::Claims;
use crate::error::Failure;
use crate::listing::Page;
use crate::{read, session};

/// How many requests run at the same time where objects go one by one.
const PARALLEL: usize = 16;

pub(crate) async fn delete(bucket: &Bucket, claims: &Claims, key: &Key) -> Result<(), Error> {
    let uploads = match may_have_uploads(key) && !claims.are_settled(key) {
        true => abort_uploads(bucket, key).await.map_err(Failure::outage)?,
        false => false,
    };
    let objects = delete_below(bucket, key).await.map_err(Failure::outage)?;
    if objects {
        return Ok(());
    }
    if read::head(bucket, key).await?.is_some() {
        let object = bucket.object(key);
        return bucket.delete(&object).await.map_err(Failure::outage);
    }
    match uploads {
        true => Ok(()),
        false => Err(Error::NotFound(key.to_string())),
    }
}

/// Looks at the content, and deletes it if it still is what that look has found, where the store
/// can tell: as far as `ETag`s differ. Those of the same bytes, written again between the look and
/// the deletion, do not, but where KMS encrypts them; nor does a store know that ignores the
/// condition. So whoever deletes has to be sure of it by other means.
pub(crate) async fn delete_if(
    bucket: &Bucket,
    key: &Key,
    seen: &ContentStat,
) -> Result<bool, Error> {
    let head = read::head(bucket, key).await?;
    let is_same = |head: &Head| !session::is_unfinished(head) && session::stat(head) == *seen;
    let Some(head) = head.filter(is_same) else {
        return Ok(false);
    };
    let deleted = bucket.delete_if(&bucket.object(key), head.etag).await;
    deleted.map_err(Failure::outage)
}

/// Deletes all that is below `key`, and what is at it; `false` when there was nothing below.
async fn delete_below(bucket: &Bucket, key: &Key) -> Result<bool, Failure> {
    let below = bucket.below(key);
    let mut found = false;
    let mut token: Option<String> = None;
    loop {
        let options = Listing {
            token: token.as_deref(),
            ..Listing::default()
        };
        let answer = bucket.list(&below, options).await?;
        let page = Page::new(&answer)?;
        let mut objects: Vec<String> = page.objects().collect();
        if objects.is_empty() && page.next.is_none() {
            return Ok(found);
        }
        if !found && *key != Key::root() {
            // It may be there or not; deleting says nothing about that and needs no look.
            objects.push(bucket.object(key));
        }
        delete_all(bucket, &objects).await?;
        found = true;
        let Some(next) = page.next else {
            return Ok(true);
        };
        token = Some(next);
    }
}

async fn delete_all(bucket: &Bucket, objects: &[String]) -> Result<(), Failure> {
    for objects in objects.chunks(1000) {
        // Some stores have no such request, or want a checksum that the SDK no longer sends.
        if let Err(failure) = bucket.delete_many(objects).await {
            tracing::debug!(%failure, "deleting objects one by one");
            let deleting: Vec<_> = objects.iter().map(|object| bucket.delete(object)).collect();
            let deleting = stream::iter(deleting).buffer_unordered(PARALLEL);
            deleting.try_collect::<Vec<()>>().await?;
        }
    }
    Ok(())
}

/// Aborts what uploads there are at and below `key`; whether there were any.
async fn abort_uploads(bucket: &Bucket, key: &Key) -> Result<bool, Failure> {
    let (object, below) = (bucket.object(key), bucket.below(key));
    let mut any = false;
    for upload in bucket.multiparts(&object).await? {
        if upload.object == object || upload.object.starts_with(&below) {
            bucket.abort(&upload.object, &upload.id).await?;
            any = true;
        }
    }
    Ok(any)
}

/// Aborts what multipart uploads there are of one object.
pub(crate) async fn abort_uploads_of(bucket: &Bucket, object: &str) -> Result<(), Failure> {
    for upload in bucket.multiparts(object).await? {
        if upload.object == object {
            bucket.abort(&upload.object, &upload.id).await?;
        }
    }
    Ok(())
}

/// Aborts what multipart uploads below `key` were begun before `since`; how many.
pub(crate) async fn abandon(
    bucket: &Bucket,
    key: &Key,
    since: SystemTime,
) -> Result<usize, Failure> {
    let mut count = 0;
    for upload in bucket.multiparts(&bucket.below(key)).await? {
        if upload.initiated.is_some_and(|begun| begun < since) {
            bucket.abort(&upload.object, &upload.id).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// Where Distribution's tree has links and blobs there is never an upload: a request less.
fn may_have_uploads(key: &Key) -> bool {
    let key = key.as_str();
    let mut components = key.split('/');
    !key.starts_with("docker/registry/v2/blobs")
        && !components.any(|component| matches!(component, "_manifests" | "_layers"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploads_are_looked_for_where_they_can_be() {
        for (key, expected) in [
            ("", true),
            ("u/v", true),
            ("blobs/ab/id", true),
            ("docker/registry/v2/repositories/a/_uploads/id", true),
            ("docker/registry/v2/repositories/a", true),
            ("docker/registry/v2/repositories/a/_manifests/tags/t", false),
            ("docker/registry/v2/repositories/a/_layers/sha256/ab", false),
            ("docker/registry/v2/blobs/sha256/ab/abcd", false),
        ] {
            assert_eq!(may_have_uploads(&Key::new(key).unwrap()), expected, "{key}");
        }
    }
}
