//! What an upload under way looks like in the bucket.
//!
//! At the key of an upload lies an object from the first sync on: those of its bytes that are in
//! no part of a multipart upload yet. While the upload is small these are all of it, and the
//! object is the content already. Once there is a multipart upload, the object's metadata notes
//! its id and which parts the bytes follow; a part that was sent later, or by someone else, is
//! none of them. Before there is one, a note says that it may come to be, so that it is looked for
//! when its id was never noted.

use std::collections::HashMap;

use roadstead_oci::{Algorithm, Digester};
use roadstead_storage::ContentStat;

use crate::bucket::{Head, Metadata, Part};

const UPLOAD: &str = "roadstead-upload";
const SESSION: &str = "roadstead-session";
const PARTS: &str = "roadstead-parts";
const PARTS_SIZE: &str = "roadstead-parts-size";
const PARTS_DIGEST: &str = "roadstead-parts-digest";

/// Tells an object that was written for an upload from any other, whatever its bytes.
pub(crate) const IDENTITY: &str = "roadstead-identity";

/// Stands for the id of a multipart upload that is about to begin.
const ABOUT_TO_BEGIN: &str = "about-to-begin";

/// The multipart upload of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Multipart {
    /// The id that S3 gave.
    pub(crate) id: String,
    /// An id of our own, which the finished object bears as well.
    pub(crate) session: String,
}

/// What the metadata of an upload's object notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) multipart: Multipart,
    /// How many parts the object's bytes follow.
    pub(crate) parts: usize,
    /// How many bytes these have.
    pub(crate) parts_size: u64,
    digest: String,
}

impl Notes {
    pub(crate) fn new(multipart: &Multipart, parts: &[Part]) -> Self {
        Self {
            multipart: multipart.clone(),
            parts: parts.len(),
            parts_size: parts.iter().map(|part| part.size).sum(),
            digest: digest(parts),
        }
    }

    /// The notes on an object, if it is that of an upload with a multipart upload.
    pub(crate) fn of(metadata: &HashMap<String, String>) -> Option<Self> {
        let get = |name| metadata.get(name).cloned();
        Some(Self {
            multipart: Multipart {
                id: get(UPLOAD)?,
                session: get(SESSION)?,
            },
            parts: get(PARTS)?.parse().ok()?,
            parts_size: get(PARTS_SIZE)?.parse().ok()?,
            digest: get(PARTS_DIGEST)?,
        })
    }

    /// Whether `parts` are the parts that were noted, and no others of the same sizes.
    pub(crate) fn are_about(&self, parts: &[Part]) -> bool {
        *self == Self::new(&self.multipart, parts)
    }

    /// Of an upload that is about to begin its multipart upload.
    pub(crate) fn before(session: &str) -> Self {
        let multipart = Multipart {
            id: ABOUT_TO_BEGIN.to_owned(),
            session: session.to_owned(),
        };
        Self::new(&multipart, &[])
    }

    /// Whether the id of the multipart upload was never noted.
    pub(crate) fn are_before(&self) -> bool {
        self.multipart.id == ABOUT_TO_BEGIN
    }

    pub(crate) fn metadata(&self) -> Metadata {
        let Self {
            multipart, digest, ..
        } = self;
        let notes = [
            (UPLOAD, multipart.id.clone()),
            (SESSION, multipart.session.clone()),
            (PARTS, self.parts.to_string()),
            (PARTS_SIZE, self.parts_size.to_string()),
            (PARTS_DIGEST, digest.clone()),
        ];
        let notes = notes.map(|(name, value)| (name.to_owned(), value));
        Metadata(notes.into())
    }
}

impl Multipart {
    /// What the finished object shall bear.
    pub(crate) fn metadata(session: &str) -> Metadata {
        Metadata([(SESSION.to_owned(), session.to_owned())].into())
    }

    /// Whether an object is what this multipart upload has become.
    pub(crate) fn became(&self, head: &Head) -> bool {
        head.metadata.get(SESSION) == Some(&self.session) && !is_unfinished(head)
    }
}

/// Whether an object is only what an upload has beyond its parts.
pub(crate) fn is_unfinished(head: &Head) -> bool {
    head.metadata.contains_key(UPLOAD)
}

/// Size and age; of an upload under way, the size that it has in all.
pub(crate) fn stat(head: &Head) -> ContentStat {
    let parts = Notes::of(&head.metadata).map_or(0, |notes| notes.parts_size);
    ContentStat {
        size: head.stat.size + parts,
        ..head.stat
    }
}

fn digest(parts: &[Part]) -> String {
    let mut digester = Digester::new(Algorithm::Sha256);
    for part in parts {
        digester.update(format!("{} {}\n", part.etag, part.size).as_bytes());
    }
    digester.finish().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(etag: &str) -> Part {
        let etag = etag.to_owned();
        Part { etag, size: 7 }
    }

    #[test]
    fn notes_are_read_back_and_know_their_parts() {
        let multipart = Multipart {
            id: "id".to_owned(),
            session: "session".to_owned(),
        };
        let parts = [part("a"), part("b")];
        let notes = Notes::new(&multipart, &parts);
        assert_eq!(notes.parts_size, 14);
        let again = Notes::of(&notes.metadata().0).unwrap();
        assert_eq!(again, notes);
        assert!(again.are_about(&parts));
        for others in [
            &[part("a"), part("c")][..],
            &[part("b"), part("a")],
            &[part("a")],
            &[],
        ] {
            assert!(!again.are_about(others));
        }
        assert_eq!(Notes::of(&Multipart::metadata("session").0), None);
        assert_eq!(Notes::of(&HashMap::new()), None);
    }
}
