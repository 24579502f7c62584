//! `stat` and `read`.

use std::ops::Range;
use std::sync::Arc;

use aws_sdk_s3::primitives::ByteStream as Body;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_storage::{ByteRange, ByteStream, Content, ContentStat, Error, Key, Object, Stat};

use crate::bucket::{Bucket, Head};
use crate::error::{Failure, Kind};
use crate::{listing, session};

/// Up to how many bytes content is fetched at once rather than streamed.
const SMALL: u64 = 64 * 1024;

/// How often a body that breaks off is gone on with.
const RESUMES: usize = 3;

pub(crate) async fn stat(bucket: &Bucket, key: &Key) -> Result<Stat, Error> {
    if *key == Key::root() {
        return Ok(Stat::Prefix);
    }
    if let Some(head) = head(bucket, key).await? {
        return Ok(Stat::Content(session::stat(&head)));
    }
    let anything = listing::anything(bucket, &bucket.below(key)).await;
    match anything.map_err(Failure::outage)? {
        true => Ok(Stat::Prefix),
        false => Err(Error::NotFound(key.to_string())),
    }
}

/// The object at `key`; `None` when there is none, or no bucket: that cannot be told apart.
pub(crate) async fn head(bucket: &Bucket, key: &Key) -> Result<Option<Head>, Error> {
    match bucket.head(&bucket.object(key)).await {
        Ok(head) => Ok(Some(head)),
        Err(failure) if matches!(failure.kind, Kind::Bare404 | Kind::NoObject) => Ok(None),
        Err(failure) => Err(failure.outage()),
    }
}

pub(crate) async fn read(
    bucket: &Arc<Bucket>,
    key: &Key,
    range: ByteRange,
) -> Result<Object, Error> {
    if *key == Key::root() {
        return Err(Error::NotFound(key.to_string()));
    }
    let Some(header) = header(range) else {
        return read_nothing(bucket, key, range).await;
    };
    let object = bucket.object(key);
    let (head, body) = match bucket.get(&object, header, None).await {
        Err(failure) if failure.kind == Kind::Range => {
            return read_nothing(bucket, key, range).await;
        }
        answer => answer.map_err(|failure| failure.at(key))?,
    };
    if session::is_unfinished(&head) {
        return Err(Error::NotFound(key.to_string()));
    }
    let rest = range.resolve(key, head.stat.size)?;
    let length = rest.end - rest.start;
    let (stat, is_own) = (head.stat, session::is_own(&head));
    let stream = Reading {
        bucket: Arc::clone(bucket),
        etag: head.etag,
        object,
        rest,
        body,
        resumes: RESUMES,
    }
    .stream();
    let content = match length {
        0..=SMALL => Content::Bytes(all(stream).await?),
        _ => Content::Stream(stream),
    };
    Ok(Object {
        stat,
        content,
        is_own,
    })
}

/// What to say for a range that S3 cannot express or refuses: it depends on the size.
async fn read_nothing(bucket: &Bucket, key: &Key, range: ByteRange) -> Result<Object, Error> {
    let Stat::Content(stat) = self::stat(bucket, key).await? else {
        return Err(Error::NotFound(key.to_string()));
    };
    let resolved = range.resolve(key, stat.size)?;
    if !resolved.is_empty() {
        let found = Failure::found("GetObject", "the object grew while it was read");
        return Err(found.outage());
    }
    Ok(Object {
        stat: ContentStat { ..stat },
        content: Content::Bytes(Bytes::new()),
        is_own: false,
    })
}

/// The `Range` header: `Some(None)` for everything, `None` for a range that there is no header for.
fn header(range: ByteRange) -> Option<Option<String>> {
    let ByteRange { offset, length } = range;
    match length {
        None if offset == 0 => Some(None),
        None => Some(Some(format!("bytes={offset}-"))),
        Some(0) => None,
        Some(length) => Some(Some(match offset.checked_add(length - 1) {
            Some(last) => format!("bytes={offset}-{last}"),
            None => format!("bytes={offset}-"),
        })),
    }
}

async fn all(stream: ByteStream) -> Result<Bytes, Error> {
    let mut chunks: Vec<Bytes> = stream.try_collect().await?;
    if chunks.len() == 1 {
        return Ok(chunks.remove(0));
    }
    let mut all = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    chunks.iter().for_each(|chunk| all.extend_from_slice(chunk));
    Ok(all.freeze())
}

/// A body that is gone on with where it broke off, as long as the object is still the same.
struct Reading {
    bucket: Arc<Bucket>,
    object: String,
    etag: String,
    /// What has not come yet.
    rest: Range<u64>,
    body: Body,
    resumes: usize,
}

impl Reading {
    fn stream(self) -> ByteStream {
        let next = |reading: Option<Self>| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(None) => None,
                Ok(Some(chunk)) => Some((Ok(chunk), Some(reading))),
                Err(failure) => Some((Err(failure.outage()), None)),
            }
        };
        stream::unfold(Some(self), next).boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        while !self.rest.is_empty() {
            let failure = match self.body.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => continue,
                Some(Ok(chunk)) => {
                    self.rest.start += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Some(Err(error)) => Failure::found("GetObject", error),
                None => Failure::found("GetObject", "the body ended early"),
            };
            if self.resumes == 0 {
                return Err(failure);
            }
            self.resumes -= 1;
            let range = format!("bytes={}-{}", self.rest.start, self.rest.end - 1);
            let again = self.bucket.get(&self.object, Some(range), Some(&self.etag));
            self.body = again.await?.1;
        }
        // The end of the body is where the SDK finds out that its checksum is wrong.
        match self.body.next().await {
            Some(Err(error)) => Err(Failure::found("GetObject", error)),
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_becomes_a_header_where_there_is_one() {
        let header = |offset, length| header(ByteRange { offset, length });
        let is = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(header(0, None), Some(None));
        assert_eq!(header(7, None), is("bytes=7-"));
        assert_eq!(header(0, Some(1)), is("bytes=0-0"));
        assert_eq!(header(7, Some(50)), is("bytes=7-56"));
        assert_eq!(header(7, Some(u64::MAX)), is("bytes=7-"));
        assert_eq!(header(7, Some(0)), None);
    }
}
