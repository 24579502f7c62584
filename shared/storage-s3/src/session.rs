//! What an upload under way looks like in the bucket.
//!
//! At the key of an upload lies an object, from its beginning on or from the first sync: those of
//! its bytes that are in no part of a multipart upload yet. While the upload is small these are
//! all of it, and the object is the content already. Once there is a multipart upload, the
//! object's metadata notes its id and which parts the bytes follow; these are listed after the
//! bytes, so that nobody has to ask for them, and S3 itself compares them with what it has when
//! they are joined. A part that was sent later, or by someone else, is none of them. Before there
//! is a multipart upload, a note says that it may come to be, so that it is looked for when its id
//! was never noted.
//!
//! Beside these lie the notes of whoever uses the driver, on the upload and on its bytes.

use std::collections::HashMap;

use roadstead_oci::{Algorithm, Digester};
use roadstead_storage::{ContentStat, UploadNotes};

use crate::bucket::{Head, Metadata, Part};

const UPLOAD: &str = "roadstead-upload";
const SESSION: &str = "roadstead-session";
const PARTS: &str = "roadstead-parts";
const PARTS_SIZE: &str = "roadstead-parts-size";
const PARTS_DIGEST: &str = "roadstead-parts-digest";
const PARTS_LISTED: &str = "roadstead-parts-listed";
const ON_UPLOAD: &str = "roadstead-on-upload";
const ON_BYTES: &str = "roadstead-on-bytes";

/// Marks an object that a driver has written as whole content.
const OWN: &str = "roadstead-own";

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

/// The parts of a multipart upload as its object lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Those that the object's bytes follow.
    pub(crate) before: Vec<Part>,
    /// The object's bytes themselves, as the last part should nothing come after them.
    pub(crate) last: Option<Part>,
}

/// What the metadata of an upload's object notes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notes {
    pub(crate) multipart: Multipart,
    /// How many parts the object's bytes follow.
    parts: usize,
    /// How many bytes these have.
    pub(crate) parts_size: u64,
    /// How many bytes at the end of the object list the parts.
    listed: u64,
    digest: String,
}

impl Parts {
    /// A line for each, as they stand after the object's bytes.
    pub(crate) fn list(&self) -> String {
        let parts = self.before.iter().chain(&self.last);
        let line = |part: &Part| format!("{} {}\n", part.size, part.etag);
        parts.map(line).collect()
    }

    /// The parts of a list, a line for each.
    pub(crate) fn listed(list: &str) -> Option<Vec<Part>> {
        let part = |line: &str| {
            let (size, etag) = line.split_once(' ')?;
            let (size, etag) = (size.parse().ok()?, etag.to_owned());
            Some(Part { etag, size })
        };
        list.lines().map(part).collect()
    }

    fn parse(list: &str, count: usize) -> Option<Self> {
        let mut before = Self::listed(list)?;
        let last = match before.len().checked_sub(count)? {
            0 => None,
            1 => before.pop(),
            _ => return None,
        };
        Some(Self { before, last })
    }
}

impl Notes {
    pub(crate) fn new(multipart: &Multipart, parts: &Parts) -> Self {
        let list = parts.list();
        Self {
            multipart: multipart.clone(),
            parts: parts.before.len(),
            parts_size: parts.before.iter().map(|part| part.size).sum(),
            listed: list.len() as u64,
            digest: digest(&list),
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
            listed: get(PARTS_LISTED)?.parse().ok()?,
            digest: get(PARTS_DIGEST)?,
        })
    }

    /// Takes the list of the parts off the end of the object's content; `None` when it is not the
    /// one that was noted.
    pub(crate) fn split(&self, content: &mut Vec<u8>) -> Option<Parts> {
        let listed = usize::try_from(self.listed).ok()?;
        let list = content.split_off(content.len().checked_sub(listed)?);
        let list = String::from_utf8(list).ok()?;
        let parts = Parts::parse(&list, self.parts)?;
        (*self == Self::new(&self.multipart, &parts)).then_some(parts)
    }

    /// Of an upload that is about to begin its multipart upload.
    pub(crate) fn before(session: &str) -> Self {
        let multipart = Multipart {
            id: ABOUT_TO_BEGIN.to_owned(),
            session: session.to_owned(),
        };
        Self::new(&multipart, &Parts::default())
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
            (PARTS_LISTED, self.listed.to_string()),
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
    let (before, listed) =
        Notes::of(&head.metadata).map_or((0, 0), |notes| (notes.parts_size, notes.listed));
    ContentStat {
        size: head.stat.size.saturating_sub(listed) + before,
        ..head.stat
    }
}

/// The notes of whoever uses the driver.
pub(crate) fn users_notes(head: &Head) -> Option<UploadNotes> {
    let get = |name| head.metadata.get(name).cloned();
    Some(UploadNotes {
        upload: get(ON_UPLOAD)?,
        bytes: get(ON_BYTES),
    })
}

/// Whether a driver has written an object as whole content.
pub(crate) fn is_own(head: &Head) -> bool {
    head.metadata.contains_key(OWN)
}

impl Metadata {
    /// That of whole content.
    pub(crate) fn own() -> Self {
        Self([(OWN.to_owned(), "yes".to_owned())].into())
    }

    /// The same with the notes of whoever uses the driver.
    pub(crate) fn with_notes(mut self, notes: Option<&UploadNotes>) -> Self {
        if let Some(UploadNotes { upload, bytes }) = notes {
            self.0.insert(ON_UPLOAD.to_owned(), upload.clone());
            let bytes = bytes.iter().map(|note| (ON_BYTES.to_owned(), note.clone()));
            self.0.extend(bytes);
        }
        self
    }
}

fn digest(list: &str) -> String {
    Digester::digest(Algorithm::Sha256, list.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

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
        for last in [None, Some(part("\"c\""))] {
            let before = vec![part("\"a\""), part("\"b\"")];
            let parts = Parts { before, last };
            let notes = Notes::new(&multipart, &parts);
            assert_eq!(notes.parts_size, 14);
            let again = Notes::of(&notes.metadata().0).unwrap();
            assert_eq!(again, notes);
            let mut content = format!("rest{}", parts.list()).into_bytes();
            assert_eq!(again.split(&mut content), Some(parts.clone()));
            assert_eq!(content, b"rest");
            for list in [
                parts.list().replace('a', "c"),
                parts.list().replace('7', "8"),
                parts.list()[1..].to_owned(),
                String::new(),
            ] {
                let mut content = format!("rest{list}").into_bytes();
                assert_eq!(again.split(&mut content), None, "{list}");
            }
        }
        assert_eq!(Notes::of(&Multipart::metadata("session").0), None);
        assert_eq!(Notes::of(&HashMap::new()), None);
    }

    #[test]
    fn a_multipart_upload_has_become_what_bears_its_session_and_is_content() {
        let head = |metadata: Metadata| Head {
            etag: String::new(),
            stat: ContentStat {
                size: 0,
                modified: SystemTime::UNIX_EPOCH,
            },
            metadata: metadata.0,
        };
        let multipart = Multipart {
            id: "id".to_owned(),
            session: "session".to_owned(),
        };
        assert!(multipart.became(&head(Multipart::metadata("session"))));
        assert!(!multipart.became(&head(Multipart::metadata("other"))));
        assert!(!multipart.became(&head(Metadata::own())));
        let under_way = Notes::new(&multipart, &Parts::default()).metadata();
        assert!(!multipart.became(&head(under_way)));
    }
}
