//! Uploads whose bytes go elsewhere than the requests that begin them: to an upload server.
//!
//! A function takes a few megabytes at most, so what begins an upload there names another place
//! to go on at: `/_uploads/<id>` on the same host, which a proxy sends to the upload server, or
//! on a host of its own. The URL carries a token, which is all the authority that its requests
//! need: clients send credentials to another host or they do not, each as it likes.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use roadstead_oci::{ErrorCode, RepositoryName};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::Error;
use crate::upload_state::Secret;

/// Where the bytes of uploads go: the configuration's `http.uploadorigin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadOrigin {
    /// To the registry's own host, in front of which something tells paths apart.
    SameHost,
    /// To this scheme and host, without a slash at the end.
    Host(String),
}

/// What the holder of an upload's URL may do: go on with this upload, until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadToken {
    /// The repository.
    #[serde(with = "name")]
    pub repository: RepositoryName,
    /// The upload.
    pub id: String,
    /// How many bytes the client knows to be there.
    pub offset: u64,
    /// When the upload was begun.
    #[serde(with = "time::serde::timestamp")]
    pub started_at: OffsetDateTime,
    /// What the upload can be finished by, as in an [`UploadState`](crate::UploadState).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// Scheme and host of the registry as the client sees it, for the URL of the blob.
    pub registry: String,
    /// When the token ceases to be one.
    #[serde(with = "time::serde::timestamp")]
    pub expires_at: OffsetDateTime,
}

/// Set apart from everything else that the same secret signs.
const PURPOSE: &[u8] = b"roadstead upload token\0";
const MAC_LENGTH: usize = 32;

impl UploadToken {
    /// How long a client has until its next request begins; each answer brings a new token.
    pub const LIFETIME: time::Duration = time::Duration::days(1);

    /// The token as it stands in a URL.
    pub fn sign(&self, secret: &Secret) -> String {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let mut token = Self::mac(&json, secret);
        token.extend(json);
        URL_SAFE_NO_PAD.encode(token)
    }

    fn mac(json: &[u8], secret: &Secret) -> Vec<u8> {
        let mut context = hmac::Context::with_key(secret.key());
        context.update(PURPOSE);
        context.update(json);
        context.sign().as_ref().to_vec()
    }

    /// The token in `text`, which must be one of the upload `id`.
    ///
    /// # Errors
    ///
    /// `DENIED` for what is missing, forged or of another upload, and `BLOB_UPLOAD_UNKNOWN` for
    /// what has expired at `now`: then the client begins again.
    pub fn verify(
        text: Option<&str>,
        secret: &Secret,
        id: &str,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let denied = || {
            Error::new(ErrorCode::Denied, serde_json::Value::Null)
                .with_message("the URL of this upload is not one that the registry gave")
        };
        let token = URL_SAFE_NO_PAD
            .decode(text.unwrap_or_default())
            .map_err(|_| denied())?;
        let (mac, json) = token.split_at_checked(MAC_LENGTH).ok_or_else(denied)?;
        let expected = Self::mac(json, secret);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, mac).map_err(|_| denied())?;
        let token: Self = serde_json::from_slice(json).map_err(|_| denied())?;
        if token.id != id {
            return Err(denied());
        }
        if token.expires_at <= now {
            let detail = "the URL of this upload has expired";
            return Err(Error::new(ErrorCode::BlobUploadUnknown, detail));
        }
        Ok(token)
    }
}

/// A repository's name as text.
mod name {
    use roadstead_oci::RepositoryName;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        name: &RepositoryName,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(name.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<RepositoryName, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload_state::UploadState;

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn token() -> UploadToken {
        UploadToken {
            repository: "a/b".parse().unwrap(),
            id: "id".to_owned(),
            offset: 7,
            started_at: NOW,
            memo: None,
            registry: "https://registry".to_owned(),
            expires_at: NOW + UploadToken::LIFETIME,
        }
    }

    #[test]
    fn only_the_very_token_that_was_signed_is_taken_and_only_in_its_time() {
        let secret = Secret::new(b"s3cret");
        let text = token().sign(&secret);
        let verify = |text: Option<&str>, secret: &Secret, id, now| {
            UploadToken::verify(text, secret, id, now)
        };
        assert_eq!(verify(Some(&text), &secret, "id", NOW).unwrap(), token());
        let last = NOW + UploadToken::LIFETIME - time::Duration::SECOND;
        assert!(verify(Some(&text), &secret, "id", last).is_ok());
        let late = NOW + UploadToken::LIFETIME;
        assert!(verify(Some(&text), &secret, "id", late).is_err());
        assert!(verify(Some(&text), &Secret::new(b"other"), "id", NOW).is_err());
        assert!(verify(Some(&text), &secret, "di", NOW).is_err());
        for broken in [
            None,
            Some(""),
            Some("AAAA"),
            Some(&text[4..]),
            Some(&text[..60]),
        ] {
            assert!(verify(broken, &secret, "id", NOW).is_err(), "{broken:?}");
        }
        for at in 0..text.len() {
            let mut forged = text.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            let taken = verify(Some(&forged), &secret, "id", NOW);
            // The last character may have bits that count for nothing.
            assert!(taken.is_err() || taken.unwrap() == token(), "{at}");
        }
    }

    #[test]
    fn the_state_of_an_upload_is_no_authority_over_it() {
        let secret = Secret::new(b"s3cret");
        let state = UploadState::new(&"a/b".parse().unwrap(), "id", 7, NOW);
        let state = state.sign(&secret);
        assert!(UploadToken::verify(Some(&state), &secret, "id", NOW).is_err());
        let unpadded = state.trim_end_matches('=');
        assert!(UploadToken::verify(Some(unpadded), &secret, "id", NOW).is_err());
    }
}
