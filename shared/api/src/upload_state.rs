//! The state that a client carries from one request of an upload to the next, in Distribution's
//! own form, so that the requests of one upload may reach either registry.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use roadstead_oci::{ErrorCode, RepositoryName};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::error::Error;

/// Signs upload states: Distribution's `http.secret`.
pub struct Secret(hmac::Key);

impl Secret {
    /// The secret that all registries behind one address share.
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    pub(crate) fn key(&self) -> &hmac::Key {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// Which upload, how many bytes its client knows to be there, and what ends it without a look at
/// the storage. Distribution knows nothing of the last, and leaves it unread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UploadState {
    name: String,
    #[serde(rename = "UUID")]
    id: String,
    offset: u64,
    started_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
}

impl UploadState {
    /// The state of the upload `id` at `offset` bytes.
    pub fn new(name: &RepositoryName, id: &str, offset: u64, started_at: OffsetDateTime) -> Self {
        Self {
            name: name.to_string(),
            id: id.to_owned(),
            offset,
            started_at: started_at.format(&Rfc3339).unwrap_or_default(),
            memo: None,
        }
    }

    /// The same with what [`roadstead_registry::OpenUpload::memo`] says.
    pub fn with_memo(self, memo: Option<String>) -> Self {
        Self { memo, ..self }
    }

    /// What the upload can be finished by.
    pub fn memo(&self) -> Option<&str> {
        self.memo.as_deref()
    }

    /// How many bytes the client knows to be there.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The state as the `_state` of a URL: base64 of the HMAC-SHA256 and the JSON.
    pub fn sign(&self, secret: &Secret) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut token = hmac::sign(&secret.0, &json).as_ref().to_vec();
        token.extend(json);
        URL_SAFE.encode(token)
    }

    /// The state in `token`, which must be one of the upload `id` of `name`.
    ///
    /// # Errors
    ///
    /// `BLOB_UPLOAD_INVALID` for a token that is missing, forged, of another secret or of
    /// another upload; which of these it is stays untold.
    pub fn verify(
        token: Option<&str>,
        secret: &Secret,
        name: &RepositoryName,
        id: &str,
    ) -> Result<Self, Error> {
        const MAC_LENGTH: usize = 32;
        let invalid = || Error::new(ErrorCode::BlobUploadInvalid, "invalid secret");
        let token = URL_SAFE
            .decode(token.unwrap_or_default())
            .map_err(|_| invalid())?;
        let (mac, json) = token.split_at_checked(MAC_LENGTH).ok_or_else(invalid)?;
        hmac::verify(&secret.0, json, mac).map_err(|_| invalid())?;
        let state: Self = serde_json::from_slice(json).map_err(|_| invalid())?;
        if state.name != name.as_str() || state.id != id {
            return Err(invalid());
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_state_that_was_signed_is_taken() {
        let name: RepositoryName = "a/b".parse().unwrap();
        let secret = Secret::new(b"s3cret");
        let state = UploadState::new(&name, "id", 7, OffsetDateTime::UNIX_EPOCH);
        let token = state.sign(&secret);
        let verify = |token: Option<&str>, secret: &Secret, name: &str, id: &str| {
            UploadState::verify(token, secret, &name.parse().unwrap(), id)
        };
        assert_eq!(verify(Some(&token), &secret, "a/b", "id").unwrap(), state);
        assert!(verify(None, &secret, "a/b", "id").is_err());
        assert!(verify(Some(""), &secret, "a/b", "id").is_err());
        assert!(verify(Some("AAAA"), &secret, "a/b", "id").is_err());
        assert!(verify(Some(&token[4..]), &secret, "a/b", "id").is_err());
        assert!(verify(Some(&token), &Secret::new(b"other"), "a/b", "id").is_err());
        assert!(verify(Some(&token), &secret, "a/c", "id").is_err());
        assert!(verify(Some(&token), &secret, "a/b", "di").is_err());
    }

    #[test]
    fn the_json_is_distributions() {
        let name: RepositoryName = "a/b".parse().unwrap();
        let state = UploadState::new(&name, "id", 7, OffsetDateTime::UNIX_EPOCH);
        let token = URL_SAFE.decode(state.sign(&Secret::new(b"s"))).unwrap();
        let json = r#"{"Name":"a/b","UUID":"id","Offset":7,"StartedAt":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(&token[32..], json.as_bytes());
        let state = state.with_memo(Some("text".to_owned()));
        let token = URL_SAFE.decode(state.sign(&Secret::new(b"s"))).unwrap();
        let json = json.replace('}', r#","Memo":"text"}"#);
        assert_eq!(&token[32..], json.as_bytes());
    }
}
