//! Uploads in parts as they were synced last, in a text that the client carries.
//!
//! Whoever ends one of them with what the text says need not ask for it first. Nothing is *only*
//! there: all of it lies at the upload's key as well. Nor is it believed: a request may have gone
//! on with the upload since. Exactly the parts in the text are joined, and only while what lies at
//! the key has not changed, as far as the store can tell; otherwise that is read.

use roadstead_storage::UploadNotes;

use crate::bucket::Part;
use crate::claims::Committed;
use crate::session::{Multipart, Parts};

/// An upload whose bytes are all in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Synced {
    /// What lies at its key, and the size of the whole upload.
    pub(crate) stored: Committed,
    pub(crate) multipart: Multipart,
    pub(crate) parts: Vec<Part>,
    pub(crate) notes: UploadNotes,
}

impl Synced {
    /// A line for each thing, and one for each part.
    pub(crate) fn memo(self) -> String {
        let Self {
            stored,
            multipart: Multipart { id, session },
            parts,
            notes: UploadNotes { upload, bytes },
        } = self;
        let (etag, bytes) = (stored.etag, bytes.unwrap_or_default());
        let (before, last) = (parts, None);
        let parts = Parts { before, last }.list();
        format!("{etag}\n{id}\n{session}\n{upload}\n{bytes}\n{parts}")
    }

    /// The upload of which `memo` was made.
    pub(crate) fn read(memo: &str) -> Option<Self> {
        let mut lines = memo.splitn(6, '\n');
        let mut line = || lines.next().map(str::to_owned);
        let (etag, id, session) = (line()?, line()?, line()?);
        let (upload, bytes) = (line()?, line()?);
        let parts = Parts::listed(&line()?)?;
        let size = |size: u64, part: &Part| size.checked_add(part.size);
        let size = parts.iter().try_fold(0, size)?;
        Some(Self {
            stored: Committed { etag, size },
            multipart: Multipart { id, session },
            parts,
            notes: UploadNotes {
                upload,
                bytes: Some(bytes).filter(|note| !note.is_empty()),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synced(parts: usize, bytes: Option<&str>) -> Synced {
        let part = |number: usize| Part {
            etag: format!("\"{number:032}\""),
            size: 10 << 20,
        };
        Synced {
            stored: Committed {
                etag: "\"etag\"".to_owned(),
                size: parts as u64 * (10 << 20),
            },
            multipart: Multipart {
                id: "i".repeat(160),
                session: "s".repeat(36),
            },
            parts: (0..parts).map(part).collect(),
            notes: UploadNotes {
                upload: "2026-01-01T00:00:00Z".to_owned(),
                bytes: bytes.map(str::to_owned),
            },
        }
    }

    #[test]
    fn an_upload_is_what_its_memo_says() {
        for bytes in [None, Some("sha256 7 state")] {
            let synced = synced(3, bytes);
            let memo = synced.clone().memo();
            assert_eq!(Synced::read(&memo), Some(synced));
        }
        for broken in ["", "a\nb\nc\nd\ne", "a\nb\nc\nd\ne\nx \"e\"\n"] {
            assert_eq!(Synced::read(broken), None, "{broken}");
        }
    }

    /// Layers of more are copied in parts, which takes more requests anyway.
    #[test]
    fn there_is_room_for_the_parts_of_a_layer_of_100_mib() {
        let state = format!("sha256 41943040 {}", "s".repeat(144));
        let memo = synced(10, Some(&state)).memo();
        assert!(64 + memo.len() <= roadstead_storage::MEMO_LENGTH);
    }
}
