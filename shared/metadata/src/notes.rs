//! What is known of an upload as a line of text, for storage that keeps it beside the upload's
//! bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use roadstead_oci::RepositoryName;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use crate::{HashState, UploadSession};

/// What a note on a hash begins with.
const ALGORITHM: &str = "sha256";

impl UploadSession {
    /// When it was begun: RFC 3339 in UTC with whole seconds, as CNCF Distribution's `startedat`
    /// has it.
    pub fn note(&self) -> String {
        let moment = self.started_at.to_offset(UtcOffset::UTC);
        let moment = moment.truncate_to_second();
        moment.format(&Rfc3339).unwrap_or_default()
    }

    /// The session of which `note` was made; `None` when it says no moment.
    pub fn noted(repository: &RepositoryName, id: &str, note: &str) -> Option<Self> {
        let started_at = OffsetDateTime::parse(note, &Rfc3339).ok()?;
        Some(Self {
            repository: repository.clone(),
            id: id.to_owned(),
            started_at,
        })
    }
}

impl HashState {
    /// The algorithm, the offset, and the state in base64.
    pub fn note(&self) -> String {
        let state = STANDARD.encode(self.state);
        format!("{ALGORITHM} {} {state}", self.offset)
    }

    /// The state of which `note` was made, if it is one.
    pub fn noted(note: &str) -> Option<Self> {
        let (offset, state) = note.strip_prefix(ALGORITHM)?.trim_start().split_once(' ')?;
        let state = STANDARD.decode(state).ok()?;
        Some(Self {
            offset: offset.parse().ok()?,
            state: state.try_into().ok()?,
            identity: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use roadstead_oci::{Algorithm, Digester, SHA256_STATE_LENGTH};

    use super::*;

    #[test]
    fn a_session_and_a_state_are_read_back() {
        let name: RepositoryName = "a/b".parse().unwrap();
        let session = UploadSession {
            repository: name.clone(),
            id: "id".to_owned(),
            started_at: OffsetDateTime::from_unix_timestamp(1_795_000_000).unwrap(),
        };
        assert_eq!(session.note(), "2026-11-18T11:06:40Z");
        let noted = UploadSession::noted(&name, "id", &session.note());
        assert_eq!(noted, Some(session));
        let mut digester = Digester::new(Algorithm::Sha256);
        digester.update(b"some bytes");
        let (offset, state) = (10, digester.state().unwrap());
        let note = HashState {
            offset,
            state,
            identity: None,
        }
        .note();
        let noted = HashState::noted(&note).unwrap();
        assert_eq!((noted.offset, noted.state), (offset, state));
        assert!(note.len() <= 512 && note.bytes().all(|b| b.is_ascii_graphic() || b == b' '));
        assert_eq!(state.len(), SHA256_STATE_LENGTH);
    }

    #[test]
    fn what_is_no_note_says_nothing() {
        let name: RepositoryName = "a/b".parse().unwrap();
        for note in [
            "",
            "yesterday",
            "sha256",
            "sha256 ",
            "sha256 1",
            "sha256 1 ",
            "sha256 x AAAA",
            "sha512 1 AAAA",
            "sha256 1 AAAA",
        ] {
            assert_eq!(UploadSession::noted(&name, "id", note), None, "{note}");
            assert!(HashState::noted(note).is_none(), "{note}");
        }
    }
}
