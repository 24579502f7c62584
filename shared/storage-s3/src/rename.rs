//! `rename`: a copy within the store, and then the old object goes.

use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_storage::{Error, Key};

use crate::bucket::{Bucket, Condition, Metadata, Part};
use crate::claims::{Claims, Committed};
use crate::config::{MIB, MOST_PARTS};
use crate::error::{Failure, Kind};
use crate::{listing, read, session};

pub(crate) async fn rename(
    bucket: &Bucket,
    claims: &Claims,
    from: &Key,
    to: &Key,
) -> Result<(), Error> {
    // What this process has just committed needs no look, and must still be that.
    let source = match claims.committed(from) {
        Some(committed) => committed,
        None => look(bucket, from).await?,
    };
    if from == to {
        return Ok(());
    }
    let (from_object, to_object) = (bucket.object(from), bucket.object(to));
    let copied = match source.size <= bucket.config.copy_threshold {
        true => bucket.copy(&from_object, &source.etag, &to_object).await,
        false => copy_in_parts(bucket, &from_object, &source, &to_object).await,
    };
    if let Err(failure) = copied {
        claims.forget(from);
        return Err(failure.at(from));
    }
    let deleted = bucket.delete(&from_object).await;
    deleted.map_err(Failure::outage)?;
    claims.forget(from);
    Ok(())
}

async fn look(bucket: &Bucket, key: &Key) -> Result<Committed, Error> {
    if *key == Key::root() {
        return Err(Error::NotFound(key.to_string()));
    }
    match read::head(bucket, key).await? {
        Some(head) if !session::is_unfinished(&head) => Ok(Committed {
            etag: head.etag,
            size: head.stat.size,
        }),
        Some(_) => Err(Error::NotFound(key.to_string())),
        None => {
            // Unless it is the bucket that is not there.
            let anything = listing::anything(bucket, &bucket.below(key)).await;
            anything.map_err(Failure::outage)?;
            Err(Error::NotFound(key.to_string()))
        }
    }
}

async fn copy_in_parts(
    bucket: &Bucket,
    from: &str,
    source: &Committed,
    to: &str,
) -> Result<(), Failure> {
    let upload = bucket.create_multipart(to, &Metadata::default()).await?;
    let copied = async {
        let parts = copy_parts(bucket, (from, source), (to, &upload)).await?;
        bucket.complete(to, &upload, &parts, &Condition::Any).await
    };
    match copied.await {
        Ok(_) => Ok(()),
        // The first answer was lost, and the second one finds it done.
        Err(failure) if failure.kind == Kind::NoUpload => match bucket.head(to).await {
            Ok(head) if head.stat.size == source.size => Ok(()),
            _ => Err(Failure::found("CompleteMultipartUpload", failure)),
        },
        Err(failure) => {
            if let Err(abort) = bucket.abort(to, &upload).await {
                tracing::warn!(object = to, error = %abort, "an unfinished copy stays behind");
            }
            Err(failure)
        }
    }
}

/// Copies the whole of an object into a multipart upload, many parts at a time.
pub(crate) async fn copy_parts(
    bucket: &Bucket,
    (from, source): (&str, &Committed),
    to: (&str, &str),
) -> Result<Vec<Part>, Failure> {
    let least = source.size.div_ceil(MOST_PARTS).next_multiple_of(MIB);
    let step = bucket.config.copy_chunk_size.max(least);
    let starts = (0..source.size).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let copies = starts.enumerate().map(|(index, start)| {
        let range = start..source.size.min(start + step);
        bucket.copy_part((from, &source.etag), range, to, index + 1)
    });
    let copies = stream::iter(copies).buffered(bucket.config.copy_concurrency.max(1));
    copies.try_collect().await
}
