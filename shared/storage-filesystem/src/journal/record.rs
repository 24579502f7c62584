//! What a journal says, as bytes.
//!
//! A segment begins with a header: [`MAGIC`], the identity of the segment, which changes each time it is
//! begun anew, and that of the kernel's run which wrote it. Then come the records: length and
//! checksum, then when it was written and its entries. The identity goes into each checksum, so that
//! what an earlier use of the file left behind is no record, and neither is one that the disk took
//! in part. Integers are big-endian; a text or content follows its length.

use bytes::{Buf, BufMut, Bytes};
use roadstead_storage::{Key, Write};
use uuid::Uuid;

const MAGIC: &[u8; 16] = b"roadstead jrnl 1";

/// Magic, identity, run, checksum.
pub(super) const HEADER: usize = 16 + 16 + 16 + 4;

/// Length and checksum.
const PREFIX: usize = 4 + 4;

const WRITE: u8 = 1;
const FORGET: u8 = 2;

/// Who wrote a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Of this use of the segment.
    pub(super) identity: Uuid,
    /// The kernel's `boot_id`.
    pub(super) run: Uuid,
}

impl Header {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.put_slice(MAGIC);
        bytes.put_slice(self.identity.as_bytes());
        bytes.put_slice(self.run.as_bytes());
        bytes.put_u32(crc32fast::hash(&bytes));
        bytes
    }

    /// The header that `bytes` begin with; `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, mut checksum) = bytes.get(..HEADER)?.split_at(HEADER - 4);
        let mut fields = header.strip_prefix(MAGIC)?;
        (checksum.get_u32() == crc32fast::hash(header)).then(|| Self {
            identity: Uuid::from_u128(fields.get_u128()),
            run: Uuid::from_u128(fields.get_u128()),
        })
    }
}

/// What one append to the journal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Nanoseconds since 1970, by the clock of the machine.
    pub(super) time: u64,
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// `key` has this content from now on.
    Write { key: Key, content: Bytes },
    /// What was said before of `key` and all below it does not count any more.
    Forget { key: Key },
}

impl From<&Write> for Entry {
    fn from(write: &Write) -> Self {
        Self::Write {
            key: write.key.clone(),
            content: write.content.clone(),
        }
    }
}

impl Record {
    pub(super) fn encode(&self, identity: Uuid) -> Vec<u8> {
        let mut payload = Vec::with_capacity(4096);
        payload.put_u64(self.time);
        payload.put_u32(count(self.entries.len()));
        for entry in &self.entries {
            match entry {
                Entry::Write { key, content } => {
                    payload.put_u8(WRITE);
                    put(&mut payload, key.as_str().as_bytes());
                    put(&mut payload, content);
                }
                Entry::Forget { key } => {
                    payload.put_u8(FORGET);
                    put(&mut payload, key.as_str().as_bytes());
                }
            }
        }
        let mut bytes = Vec::with_capacity(PREFIX + payload.len());
        bytes.put_u32(count(payload.len()));
        bytes.put_u32(checksum(identity, &payload));
        bytes.append(&mut payload);
        bytes
    }

    /// The record that `bytes` begin with, which are moved on behind it; `None` where there is none.
    pub(super) fn decode(identity: Uuid, bytes: &mut Bytes) -> Option<Self> {
        let mut rest = bytes.clone();
        let length = rest.try_get_u32().ok()? as usize;
        let expected = rest.try_get_u32().ok()?;
        if length > rest.len() {
            return None;
        }
        let mut payload = rest.split_to(length);
        if checksum(identity, &payload) != expected {
            return None;
        }
        let time = payload.try_get_u64().ok()?;
        let count = payload.try_get_u32().ok()?;
        let entries: Option<Vec<Entry>> = (0..count).map(|_| entry(&mut payload)).collect();
        *bytes = rest;
        Some(Self {
            time,
            entries: entries?,
        })
    }
}

fn entry(payload: &mut Bytes) -> Option<Entry> {
    let kind = payload.try_get_u8().ok()?;
    let key = take(payload)?;
    let key = Key::new(std::str::from_utf8(&key).ok()?).ok()?;
    match kind {
        WRITE => take(payload).map(|content| Entry::Write { key, content }),
        FORGET => Some(Entry::Forget { key }),
        _ => None,
    }
}

fn put(payload: &mut Vec<u8>, bytes: &[u8]) {
    payload.put_u32(count(bytes.len()));
    payload.put_slice(bytes);
}

fn take(payload: &mut Bytes) -> Option<Bytes> {
    let length = payload.try_get_u32().ok()? as usize;
    (length <= payload.len()).then(|| payload.split_to(length))
}

/// A record that is too long for its segment is not written, so this never saturates.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn checksum(identity: Uuid, payload: &[u8]) -> u32 {
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(identity.as_bytes());
    checksum.update(payload);
    checksum.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Uuid = Uuid::from_u128(7);

    fn record() -> Record {
        let key = |path| Key::new(path).unwrap();
        let write = |path, content: &'static [u8]| Entry::Write {
            key: key(path),
            content: Bytes::from_static(content),
        };
        Record {
            time: 1,
            entries: vec![
                write("a/link", b"x"),
                Entry::Forget { key: key("a") },
                write("b", b""),
            ],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let header = Header {
            identity: IDENTITY,
            run: Uuid::from_u128(8),
        };
        assert_eq!(Header::decode(&header.encode()), Some(header));
        let mut bytes = Bytes::from([record().encode(IDENTITY), vec![0; 100]].concat());
        assert_eq!(Record::decode(IDENTITY, &mut bytes), Some(record()));
        assert_eq!(Record::decode(IDENTITY, &mut bytes), None);
        assert_eq!(bytes.len(), 100);
    }

    #[test]
    fn what_a_disk_took_in_part_is_no_record() {
        let whole = record().encode(IDENTITY);
        for damaged in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[damaged] ^= 1;
            let mut torn = whole.clone();
            torn[damaged..].fill(0);
            for bytes in [bytes, torn, whole[..damaged].to_vec()] {
                let changed = bytes != whole;
                let decoded = Record::decode(IDENTITY, &mut Bytes::from(bytes));
                assert_eq!(decoded.is_none(), changed, "at {damaged}");
            }
        }
        let other = Uuid::from_u128(9);
        assert_eq!(Record::decode(other, &mut Bytes::from(whole)), None);
    }
}
