//! Events as Distribution writes them (its documentation, "Work with notifications").

use std::fmt;
use std::sync::Arc;

use roadstead_oci::{Digest, RepositoryName, Tag};
use serde::{Serialize, Serializer};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::references::Reference;

/// What is sent: events in the order in which they happened.
#[derive(Clone, Debug, Serialize)]
pub struct Envelope {
    /// The events.
    #[serde(serialize_with = "all")]
    pub events: Vec<Arc<Event>>,
}

impl Envelope {
    /// `application/vnd.docker.distribution.events.v2+json`, the media type of the JSON.
    pub const MEDIA_TYPE: &str = "application/vnd.docker.distribution.events.v2+json";
}

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Names this event alone: a receiver that was sent it twice can tell by this.
    #[serde(serialize_with = "displayed")]
    pub id: Uuid,
    /// When it happened.
    #[serde(serialize_with = "rfc3339")]
    pub timestamp: OffsetDateTime,
    /// What was done.
    pub action: Action,
    /// To what.
    pub target: Target,
    /// By which request.
    pub request: RequestRecord,
    /// By whom.
    pub actor: Actor,
    /// In which process.
    pub source: Source,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Content was read, or its head was.
    Pull,
    /// Content was stored.
    Push,
    /// A blob of another repository became part of this one.
    Mount,
    /// Content, or a tag, is no longer there.
    Delete,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Pull, Self::Push, Self::Mount, Self::Delete];

    /// As it stands in an event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Mount => "mount",
            Self::Delete => "delete",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What something was done to. Fields without a value are left out, but for those that Distribution
/// writes always.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The media type; `application/octet-stream` of every blob, empty of what was deleted.
    pub media_type: String,
    /// The digest; empty of a tag that was deleted.
    pub digest: String,
    /// Bytes; 0 of what was deleted.
    pub size: u64,
    /// The same as `size`.
    #[serde(skip_serializing_if = "is_zero")]
    pub length: u64,
    /// The repository.
    pub repository: String,
    /// Where it was mounted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_repository: Option<String>,
    /// Where it can be pulled from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The tag that the request named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// What a manifest consists of, when that is wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
}

impl Target {
    /// Content that is there.
    pub fn content(
        repository: &RepositoryName,
        digest: &Digest,
        media_type: &str,
        size: u64,
    ) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size,
            length: size,
            repository: repository.to_string(),
            ..Self::default()
        }
    }

    /// Content that is there no longer.
    pub fn deleted(repository: &RepositoryName, digest: &Digest) -> Self {
        Self {
            digest: digest.to_string(),
            repository: repository.to_string(),
            ..Self::default()
        }
    }

    /// A tag that is there no longer.
    pub fn untagged(repository: &RepositoryName, tag: &Tag) -> Self {
        Self {
            repository: repository.to_string(),
            tag: Some(tag.to_string()),
            ..Self::default()
        }
    }
}

/// The request that brought something about.
#[derive(Clone, Debug, Serialize)]
pub struct RequestRecord {
    /// The log's `http.request.id`.
    pub id: String,
    /// Where the client is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
    /// The host that it asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// The method.
    pub method: String,
    /// What the client calls itself.
    pub useragent: String,
}

/// Who did something; nobody in particular where nobody has to say.
#[derive(Clone, Debug, Serialize)]
pub struct Actor {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The process that an event is from.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// The host, with the port that it listens on.
    pub addr: String,
    /// Another one each time that the registry starts.
    #[serde(rename = "instanceID")]
    pub instance_id: String,
}

fn all<S: Serializer>(events: &[Arc<Event>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(events.iter().map(Arc::as_ref))
}

fn displayed<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn rfc3339<S: Serializer>(time: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    let text = time.format(&Rfc3339).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&text)
}
