//! What has come becomes parts: how large they are, and how they get on the way.

use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{Ending, PARALLEL, S3Upload, Stored};
use crate::bucket::Part;
use crate::claims::Committed;
use crate::config::{LARGEST_PART, MIB, MOST_PARTS, SMALLEST_PART};
use crate::error::Failure;
use crate::rename::{copy_parts, ranges_to_go_on_from};
use crate::session::{Multipart, Notes};

impl S3Upload {
    pub(super) async fn take_in(&mut self, chunks: &[Bytes]) -> Result<(), Failure> {
        if self.is_recalled {
            let why = "an upload that was recalled takes no bytes";
            return Err(Failure::found("appending", why));
        }
        for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
            self.last = None;
            self.note = None;
            let mut rest = &chunk[..];
            while !rest.is_empty() {
                let part = self.part_size();
                if self.buffer.len() >= part {
                    self.send_part().await?;
                    continue;
                }
                let (now, later) = rest.split_at(rest.len().min(part - self.buffer.len()));
                extend(&mut self.buffer, now, part);
                rest = later;
            }
        }
        Ok(())
    }

    /// How large the next part shall be, in bytes.
    pub(super) fn part_size(&self) -> usize {
        part_size(self.bucket.config.chunk_size, self.sent)
    }

    /// Sends what has come as a part, without waiting for it to arrive.
    pub(super) async fn send_part(&mut self) -> Result<(), Failure> {
        let multipart = self.begun_multipart().await?;
        while self.on_the_way.len() >= PARALLEL {
            self.one_arrived().await?;
        }
        let content = Bytes::from(std::mem::take(&mut self.buffer));
        let number = self.next_part;
        self.next_part += 1;
        self.sent += content.len() as u64;
        let (bucket, object) = (Arc::clone(&self.bucket), self.becoming(&multipart)?);
        self.on_the_way.spawn(async move {
            let part = bucket.put_part(&object, &multipart.id, number, content);
            Ok((number, part.await?))
        });
        Ok(())
    }

    pub(super) async fn one_arrived(&mut self) -> Result<(), Failure> {
        if let Some(arrived) = self.on_the_way.join_next().await {
            let arrived = arrived.map_err(|panic| Failure::found("UploadPart", panic))?;
            let (number, part) = arrived?;
            self.parts.insert(number, part);
        }
        Ok(())
    }

    /// All parts, once they have arrived.
    pub(super) async fn arrived_parts(&mut self) -> Result<Vec<Part>, Failure> {
        while !self.on_the_way.is_empty() {
            self.one_arrived().await?;
        }
        Ok(self.parts.values().cloned().collect())
    }

    /// Sends what has come beyond the parts as the last one, in case nothing comes after it; more
    /// bytes then go under its number.
    pub(super) async fn send_last(&mut self) -> Result<(), Failure> {
        let Some(multipart) = &self.multipart else {
            return Ok(());
        };
        if self.buffer.is_empty() || self.last.is_some() {
            return Ok(());
        }
        let content = Bytes::copy_from_slice(&self.buffer);
        let (bucket, number) = (&self.bucket, self.next_part);
        let object = self.becoming(multipart)?;
        let part = bucket.put_part(&object, &multipart.id, number, content);
        self.last = Some(part.await?);
        Ok(())
    }

    /// The multipart upload, which is begun if need be.
    pub(super) async fn begun_multipart(&mut self) -> Result<Multipart, Failure> {
        if let Some(multipart) = &self.multipart {
            return Ok(multipart.clone());
        }
        let session = Uuid::new_v4().to_string();
        self.announce_multipart(&session).await?;
        let lasting = self.notes_with(None);
        let metadata = Multipart::metadata(&session).with_notes(lasting.as_ref());
        let mut multipart = Multipart {
            id: String::new(),
            session,
        };
        let object = self.becoming(&multipart)?;
        multipart.id = self.bucket.create_multipart(&object, &metadata).await?;
        self.multipart = Some(multipart.clone());
        if let Stored::Large(stored) = &self.stored {
            let to = (object.as_str(), multipart.id.as_str());
            let part = self.bucket.config.copy_chunk_size;
            let part = part_size(part, stored.size) as u64;
            let ranges = ranges_to_go_on_from(stored.size, part);
            let from = (self.object.as_str(), stored.etag.as_str());
            let parts = copy_parts(&self.bucket, from, ranges, to).await?;
            self.next_part = parts.len() + 1;
            self.parts = (1..).zip(parts).collect();
        }
        Ok(multipart)
    }

    /// Notes that there will be a multipart upload. Should the process end before its id is
    /// noted, then whoever deletes the upload looks for it.
    ///
    /// An upload that ends apart is not looked for but found by its age.
    pub(super) async fn announce_multipart(&mut self, session: &str) -> Result<(), Failure> {
        self.settled = false;
        if self.ending == Ending::Apart {
            return Ok(());
        }
        let size = match &self.stored {
            Stored::Nothing => 0,
            Stored::Content(content) => content.size,
            // It is announced, or looked for in any case.
            Stored::Large(_) | Stored::Notes(_) => return Ok(()),
        };
        let synced = &self.buffer[..usize::try_from(size).unwrap_or(usize::MAX)];
        let (synced, notes) = (Bytes::copy_from_slice(synced), Notes::before(session));
        let metadata = notes.metadata().with_notes(self.notes.as_ref());
        let etag = self.put(synced, metadata).await?;
        self.stored = Stored::Notes(Committed { etag, size });
        Ok(())
    }
}

/// Appends without ever taking much more memory than `most` bytes.
pub(super) fn extend(buffer: &mut Vec<u8>, chunk: &[u8], most: usize) {
    let needed = buffer.len() + chunk.len();
    if needed > buffer.capacity() {
        let roomy = (buffer.capacity() * 2).min(most).max(needed);
        buffer.reserve_exact(roomy - buffer.len());
    }
    buffer.extend_from_slice(chunk);
}

/// How large the part after `sent` bytes is: the chunk size, and from a thousand of these on a
/// thousandth of what was sent, in whole MiB.
pub(super) fn part_size(chunk_size: u64, sent: u64) -> usize {
    let grown = (sent / 1000).next_multiple_of(MIB);
    let size = chunk_size.max(grown).min(LARGEST_PART);
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// How many bytes are sent as a part at a sync, though more may come: half a part of `part_size`
/// bytes, and a whole one once half of the parts that S3 takes are used up.
pub(super) fn least_part(part_size: usize, number: usize) -> usize {
    match number as u64 <= MOST_PARTS / 2 {
        true => (part_size / 2).max(SMALLEST_PART as usize),
        false => part_size,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIB: u64 = 1024 * 1024 * MIB;

    /// How many parts an upload of the largest object has, when syncs come whenever `buffered`
    /// says so: it is told the least and the most that the next part may have.
    fn parts_of(chunk_size: u64, mut buffered: impl FnMut(usize, usize) -> usize) -> usize {
        let (mut sent, mut number) = (0, 1);
        while sent < 5 * TIB {
            let most = part_size(chunk_size, sent);
            let size = buffered(least_part(most, number), most) as u64;
            assert!((SMALLEST_PART..=LARGEST_PART).contains(&size), "{size}");
            sent += size;
            number += 1;
        }
        number - 1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn ten_thousand_parts_are_enough_however_an_upload_comes(
            chunk_size in SMALLEST_PART..=256 * MIB,
            mut state in any::<u64>(),
        ) {
            let mut anything = |least: usize, most: usize| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                least + (state >> 33) as usize % (most - least + 1)
            };
            let parts = parts_of(chunk_size, &mut anything);
            assert!(parts as u64 <= MOST_PARTS, "{parts} parts");
            let parts = parts_of(chunk_size, |least, _| least);
            assert!(parts as u64 <= MOST_PARTS, "{parts} parts at the least");
        }
    }

    #[test]
    fn parts_are_of_the_same_size_until_they_grow() {
        assert_eq!(part_size(10 * MIB, 0) as u64, 10 * MIB);
        assert_eq!(part_size(10 * MIB, 9999 * MIB) as u64, 10 * MIB);
        assert_eq!(part_size(10 * MIB, 100 * 1024 * MIB) as u64, 103 * MIB);
    }

    #[test]
    fn a_buffer_takes_no_more_than_a_part() {
        let mut buffer = Vec::new();
        for _ in 0..1000 {
            extend(&mut buffer, &[0; 1000], 1_000_000);
        }
        assert_eq!(buffer.len(), 1_000_000);
        assert_eq!(buffer.capacity(), 1_000_000);
    }
}
