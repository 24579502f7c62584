//! The sink of AWS: an event bus of Amazon EventBridge.

mod batch;
mod credentials;

use std::time::{Duration, SystemTime};

use ::http::header::{CONTENT_TYPE, HOST};
use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use async_trait::async_trait;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningError, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use roadstead_fetch::{Options, Sender};
use serde::Deserialize;

use crate::{Envelope, Sink, Undelivered};
use batch::{Entry, MOST, batches};
use credentials::Kept;

const TARGET: HeaderName = HeaderName::from_static("x-amz-target");
const PUT_EVENTS: HeaderValue = HeaderValue::from_static("AWSEvents.PutEvents");
const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");

/// An answer has a line for each of ten events.
const LARGEST: usize = 64 * 1024;

/// Where events go.
#[derive(Clone, Debug)]
pub struct EventBridgeOptions {
    /// The event bus, by its name or its ARN.
    pub bus: String,
    /// What rules know the events by: their `source`.
    pub source: String,
    /// The region of the bus.
    pub region: String,
    /// The URL of another EventBridge than that of AWS.
    pub endpoint: Option<String>,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Puts events on an event bus (EventBridge API Reference, "PutEvents"): each is the `detail` of
/// one there, whose `detail-type` is [`EventBridge::DETAIL_TYPE`].
///
/// Up to ten events are one call. Those that are refused are put again, alone, by the next attempt
/// of whoever delivers, together with those that were taken: a rule can see an event twice.
#[derive(Debug)]
pub struct EventBridge {
    options: EventBridgeOptions,
    sender: Sender,
    credentials: Kept,
}

/// A URL that is none of an EventBridge.
#[derive(Debug, thiserror::Error)]
#[error("the endpoint of EventBridge has to be a URL that begins with http:// or https://")]
pub struct InvalidUrl;

impl EventBridge {
    /// The `detail-type` of every event.
    pub const DETAIL_TYPE: &str = "Registry Notification";

    /// Puts events with `credentials`, which are asked for when there is the first one.
    ///
    /// # Errors
    ///
    /// The endpoint is no URL.
    pub fn new(
        options: EventBridgeOptions,
        credentials: SharedCredentialsProvider,
    ) -> Result<Self, InvalidUrl> {
        let url = match &options.endpoint {
            Some(endpoint) => format!("{}/", endpoint.trim_end_matches('/')),
            None => endpoint_of(&options.region),
        };
        let uri: Uri = url.parse().map_err(|_| InvalidUrl)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.authority().is_none() {
            return Err(InvalidUrl);
        }
        let sender = Sender::new(
            uri,
            Options {
                patience: options.timeout,
                largest: LARGEST,
                authorities: None,
            },
        );
        Ok(Self {
            options,
            sender,
            credentials: Kept::new(credentials),
        })
    }

    async fn put(&self, entries: &[Entry]) -> Result<(), Undelivered> {
        let body = serde_json::to_vec(&batch::Call { entries });
        let body = Bytes::from(body.map_err(|error| Undelivered::Request(error.into()))?);
        let credentials = self.credentials.get(SystemTime::now()).await;
        let credentials = credentials.map_err(|error| Undelivered::Request(error.into()))?;
        let headers = self.signed(&body, credentials);
        let headers = headers.map_err(|error| Undelivered::Request(error.into()))?;
        let answer = self.sender.post(headers, body).await;
        let (status, body) = answer.map_err(|error| Undelivered::NoAnswer(error.into()))?;
        if !status.is_success() {
            let status = status.as_u16();
            let reason = serde_json::from_slice::<Failure>(&body).ok();
            let reason = reason.map(|failure| failure.to_string());
            return Err(Undelivered::Answer { status, reason });
        }
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|error| Undelivered::NoAnswer(error.into()))?;
        answer.checked(entries.len())
    }

    /// The headers of a call (AWS General Reference, "Signature Version 4").
    fn signed(
        &self,
        body: &[u8],
        credentials: aws_credential_types::Credentials,
    ) -> Result<HeaderMap, SignatureFailed> {
        let uri = self.sender.uri();
        let host = uri
            .authority()
            .map(|host| host.as_str())
            .unwrap_or_default();
        let mut request = Request::new(());
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, JSON);
        headers.insert(TARGET, PUT_EVENTS);
        headers.insert(HOST, HeaderValue::from_str(host)?);
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.options.region)
            .name("events")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()?
            .into();
        let named = request.headers().iter();
        let named = named.map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
        let url = uri.to_string();
        let signable = SignableRequest::new("POST", &url, named, SignableBody::Bytes(body))?;
        let (instructions, _) = sign(signable, &parameters)?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        Ok(std::mem::take(request.headers_mut()))
    }
}

/// Why a call is not signed.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be signed")]
enum SignatureFailed {
    Parameters(#[from] v4::signing_params::BuildError),
    Signing(#[from] SigningError),
    Host(#[from] ::http::header::InvalidHeaderValue),
}

/// Where AWS has it (AWS General Reference, "Amazon EventBridge endpoints and quotas").
fn endpoint_of(region: &str) -> String {
    let domain = match region.starts_with("cn-") {
        true => "amazonaws.com.cn",
        false => "amazonaws.com",
    };
    format!("https://events.{region}.{domain}/")
}

#[async_trait]
impl Sink for EventBridge {
    fn most(&self) -> usize {
        MOST
    }

    async fn deliver(&self, envelope: &Envelope) -> Result<(), Undelivered> {
        let entries = envelope
            .events
            .iter()
            .map(|event| Entry::of(event, &self.options));
        let entries: Result<Vec<_>, _> = entries.collect();
        let entries = entries.map_err(|error| Undelivered::Request(error.into()))?;
        for batch in batches(&entries) {
            self.put(batch).await?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    failed_entry_count: usize,
    #[serde(default)]
    entries: Vec<Outcome>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Outcome {
    error_code: Option<String>,
    error_message: Option<String>,
}

impl Answer {
    /// A success is one only if it is one for each entry.
    fn checked(&self, all: usize) -> Result<(), Undelivered> {
        if self.failed_entry_count == 0 {
            return Ok(());
        }
        let first = self.entries.iter().find(|entry| entry.error_code.is_some());
        let reason = first.map(|entry| {
            let code = entry.error_code.as_deref().unwrap_or_default();
            let message = entry.error_message.as_deref().unwrap_or_default();
            format!("{code}: {message}")
        });
        Err(Undelivered::Refused {
            refused: self.failed_entry_count,
            all,
            reason: reason.unwrap_or_default(),
        })
    }
}

/// The body of an error (AWS JSON 1.1).
#[derive(Deserialize)]
struct Failure {
    #[serde(rename = "__type")]
    kind: String,
    #[serde(alias = "Message", default)]
    message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind.rsplit('#').next().unwrap_or_default();
        write!(f, "{kind}: {}", self.message)
    }
}
