//! `rename`: a copy within the store, and then the old object goes.

use std::ops::Range;

use futures_util::{StreamExt, TryStreamExt, stream};
use roadstead_storage::{Error, Key};

use crate::bucket::{Bucket, Condition, Metadata, Part};
use crate::claims::{Claims, Committed};
use crate::config::{LARGEST_PART, MIB, MOST_PARTS, SMALLEST_PART};
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
    if let Err(failure) = copy(bucket, &from_object, &source, &to_object).await {
        claims.forget(from);
        return Err(failure.at(from));
    }
    let deleted = bucket.delete(&from_object).await;
    deleted.map_err(Failure::outage)?;
    claims.forget(from);
    Ok(())
}

/// Copies an object, as long as it is still `source`.
pub(crate) async fn copy(
    bucket: &Bucket,
    from: &str,
    source: &Committed,
    to: &str,
) -> Result<(), Failure> {
    match source.size <= bucket.config.copy_threshold {
        true => bucket.copy(from, &source.etag, to).await,
        false => copy_in_parts(bucket, from, source, to).await,
    }
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
        let ranges = ranges(source.size, bucket.config.copy_chunk_size);
        let parts = copy_parts(bucket, (from, &source.etag), ranges, (to, &upload)).await?;
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

/// Copies `ranges` of an object into a multipart upload, many parts at a time.
pub(crate) async fn copy_parts(
    bucket: &Bucket,
    (from, etag): (&str, &str),
    ranges: Vec<Range<u64>>,
    to: (&str, &str),
) -> Result<Vec<Part>, Failure> {
    let copies = ranges
        .into_iter()
        .enumerate()
        .map(|(index, range)| bucket.copy_part((from, etag), range, to, index + 1));
    let copies = stream::iter(copies).buffered(bucket.config.copy_concurrency.max(1));
    copies.try_collect().await
}

/// All of `size` bytes in parts of `part` bytes or more; all but the last are of the same size.
fn ranges(size: u64, part: u64) -> Vec<Range<u64>> {
    let least = size.div_ceil(MOST_PARTS).next_multiple_of(MIB);
    let step = part.max(least);
    let starts = (0..size).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    starts.map(|start| start..size.min(start + step)).collect()
}

/// The same where further parts follow: the last one is none that S3 takes at the end only.
pub(crate) fn ranges_to_go_on_from(size: u64, part: u64) -> Vec<Range<u64>> {
    let mut ranges = ranges(size, part.min(LARGEST_PART - SMALLEST_PART));
    if let Some(small) = ranges.pop_if(|last| last.end - last.start < SMALLEST_PART) {
        match ranges.last_mut() {
            Some(last) => last.end = small.end,
            None => ranges.push(small),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIB: u64 = 1024 * 1024 * MIB;

    fn length(range: &Range<u64>) -> u64 {
        range.end - range.start
    }

    /// Each byte once, in parts that S3 takes.
    fn check(ranges: &[Range<u64>], size: u64) {
        assert!(ranges.len() as u64 <= MOST_PARTS, "{} parts", ranges.len());
        let mut end = 0;
        for range in ranges {
            assert_eq!(range.start, end);
            assert!(length(range) <= LARGEST_PART, "{range:?}");
            end = range.end;
        }
        assert_eq!(end, size);
        for range in ranges.iter().rev().skip(1) {
            assert!(length(range) >= SMALLEST_PART, "{range:?}");
        }
    }

    proptest! {
        #[test]
        fn a_copy_is_of_parts_that_s3_takes(
            size in 1..=5 * TIB,
            part in SMALLEST_PART..=LARGEST_PART,
        ) {
            let copied = ranges(size, part);
            check(&copied, size);
            for range in &copied[..copied.len() - 1] {
                assert_eq!(length(range), length(&copied[0]));
            }
        }

        #[test]
        fn a_copy_that_is_gone_on_from_has_no_small_part_at_all(
            size in SMALLEST_PART..=5 * TIB,
            part in SMALLEST_PART..=LARGEST_PART,
        ) {
            let copied = ranges_to_go_on_from(size, part);
            check(&copied, size);
            assert!(length(&copied[copied.len() - 1]) >= SMALLEST_PART);
        }

        #[test]
        fn also_when_it_is_small(size in SMALLEST_PART..=200 * MIB, part in 5..40_u64) {
            let copied = ranges_to_go_on_from(size, part * MIB);
            check(&copied, size);
            assert!(length(&copied[copied.len() - 1]) >= SMALLEST_PART);
        }
    }
}
