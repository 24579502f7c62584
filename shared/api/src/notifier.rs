//! Telling others what a request brought about: the one place where events arise.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{Extensions, HeaderName};
use roadstead_events::{Action, Actor, Broadcaster, Event, Reference, RequestRecord, Target};
use roadstead_metadata::ManifestRecord;
use roadstead_oci::media_type::OCTET_STREAM;
use roadstead_oci::{Digest, RepositoryName, Tag};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::authorize::Caller;
use crate::client::Client;
use crate::connection::RequestId;
use crate::error::Error;
use crate::state::Api;
use crate::urls::Urls;

/// Tells those whom the configuration names what one request brings about. For handlers: each says
/// what it has done, as soon as that is durable, and waits until this is taken note of.
///
/// Where nobody listens this is nothing, and costs nothing.
#[derive(Clone, Debug)]
pub struct Notifier(Option<Arc<Told>>);

/// Who is told, and what every event of one request says.
#[derive(Debug)]
struct Told {
    events: Arc<Broadcaster>,
    request: RequestRecord,
    actor: Actor,
    urls: Urls,
}

impl Notifier {
    /// Whether anybody wants to know that blobs are pulled: only then does it matter how large.
    pub fn wants_pulled_blobs(&self) -> bool {
        let told = self.0.as_deref();
        told.is_some_and(|told| told.events.is_wanted(Action::Pull, OCTET_STREAM))
    }

    /// A blob, or its head, is on its way to the client.
    pub async fn blob_pulled(&self, name: &RepositoryName, digest: &Digest, size: u64) {
        self.tell(Action::Pull, |told| vec![told.blob(name, digest, size)])
            .await;
    }

    /// A blob was uploaded.
    pub async fn blob_pushed(&self, name: &RepositoryName, digest: &Digest, size: u64) {
        self.tell(Action::Push, |told| vec![told.blob(name, digest, size)])
            .await;
    }

    /// A blob of the repository `from` is part of `name` as well.
    pub async fn blob_mounted(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        size: u64,
        from: &RepositoryName,
    ) {
        let mounted = |told: &Told| Target {
            from_repository: Some(from.to_string()),
            ..told.blob(name, digest, size)
        };
        self.tell(Action::Mount, |told| vec![mounted(told)]).await;
    }

    /// A blob was taken out of a repository.
    pub async fn blob_deleted(&self, name: &RepositoryName, digest: &Digest) {
        self.tell(Action::Delete, |_| vec![Target::deleted(name, digest)])
            .await;
    }

    /// A manifest, or its head, is on its way to the client, which asked for it by `tag` or else by
    /// `digest`.
    pub async fn manifest_pulled(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        tag: Option<&Tag>,
        record: &ManifestRecord,
    ) {
        let pulled = |told: &Told| Target {
            tag: tag.map(Tag::to_string),
            ..told.manifest(name, digest, record)
        };
        self.tell(Action::Pull, |told| vec![pulled(told)]).await;
    }

    /// A manifest was pushed: an event for each of its new tags, one where there are none.
    pub async fn manifest_pushed(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        tags: &[Tag],
        record: &ManifestRecord,
    ) {
        let pushed = |told: &Told| {
            let target = told.manifest(name, digest, record);
            let tagged = |tag: &Tag| Target {
                tag: Some(tag.to_string()),
                ..target.clone()
            };
            // The path and the query may name the same one.
            let tags: BTreeSet<&Tag> = tags.iter().collect();
            match tags.is_empty() {
                true => vec![target],
                false => tags.into_iter().map(tagged).collect(),
            }
        };
        self.tell(Action::Push, pushed).await;
    }

    /// A manifest was deleted, and with it these tags: an event for it, and one for each of them.
    pub async fn manifest_deleted(&self, name: &RepositoryName, digest: &Digest, tags: &[Tag]) {
        let deleted = |_: &Told| {
            let untagged = tags.iter().map(|tag| Target::untagged(name, tag));
            let all = std::iter::once(Target::deleted(name, digest)).chain(untagged);
            all.collect()
        };
        self.tell(Action::Delete, deleted).await;
    }

    /// A tag was deleted; its manifest is still there.
    pub async fn tag_deleted(&self, name: &RepositoryName, tag: &Tag) {
        self.tell(Action::Delete, |_| vec![Target::untagged(name, tag)])
            .await;
    }

    async fn tell(&self, action: Action, targets: impl FnOnce(&Told) -> Vec<Target>) {
        let Some(told) = self.0.as_deref() else {
            return;
        };
        let event = |target| Event {
            id: Uuid::now_v7(),
            timestamp: OffsetDateTime::now_utc(),
            action,
            target,
            request: told.request.clone(),
            actor: told.actor.clone(),
            source: told.events.source().clone(),
        };
        let events = targets(told).into_iter().map(event).collect();
        told.events.publish(events).await;
    }
}

impl Told {
    fn blob(&self, name: &RepositoryName, digest: &Digest, size: u64) -> Target {
        Target {
            url: Some(self.urls.blob(name, digest)),
            ..Target::content(name, digest, OCTET_STREAM, size)
        }
    }

    fn manifest(&self, name: &RepositoryName, digest: &Digest, record: &ManifestRecord) -> Target {
        let references = match self.events.includes_references() {
            true => Reference::listed_in(&record.bytes),
            false => Vec::new(),
        };
        let size = record.bytes.len() as u64;
        Target {
            url: Some(self.urls.manifest(name, digest)),
            references,
            ..Target::content(name, digest, &record.media_type, size)
        }
    }
}

impl FromRequestParts<Api> for Notifier {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Error> {
        let Some(events) = &api.events else {
            return Ok(Self(None));
        };
        Ok(Self(Some(Arc::new(Told {
            events: Arc::clone(events),
            request: record(parts),
            actor: actor(&parts.extensions),
            urls: Urls::from_request_parts(parts, api).await?,
        }))))
    }
}

fn record(parts: &Parts) -> RequestRecord {
    let id = parts.extensions.get::<RequestId>();
    let authority = parts.uri.authority();
    let host = header(parts, &HOST);
    RequestRecord {
        id: id.map(RequestId::to_string).unwrap_or_default(),
        addr: Client::of(&parts.extensions).address.to_string(),
        host: host
            .or_else(|| authority.map(ToString::to_string))
            .unwrap_or_default(),
        method: parts.method.to_string(),
        useragent: header(parts, &USER_AGENT).unwrap_or_default(),
    }
}

fn header(parts: &Parts, name: &HeaderName) -> Option<String> {
    let value = parts.headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// Who holds the token of an upload need not be whoever began it.
fn actor(extensions: &Extensions) -> Actor {
    let user = extensions
        .get::<Caller>()
        .and_then(|Caller(grant)| grant.user());
    Actor {
        name: user.map(str::to_owned),
    }
}
