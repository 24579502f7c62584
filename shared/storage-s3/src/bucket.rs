//! The calls to S3 that the driver is made of, each one request.

mod multipart;

use std::collections::HashMap;
use std::fmt;
use std::time::SystemTime;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    Delete, MetadataDirective, ObjectCannedAcl, ObjectIdentifier, ServerSideEncryption,
};
use bytes::Bytes;
use roadstead_storage::{ContentStat, Key};

use crate::conditions::{Conditions, OWN};
use crate::config::Encryption;
use crate::error::Failure;
use crate::etag::Etags;
use crate::seal::Seal;
use crate::{Config, client};

pub(crate) use multipart::Part;

const CONTENT_TYPE: &str = "application/octet-stream";

/// One bucket, and how objects are made in it.
pub(crate) struct Bucket {
    pub(crate) client: Client,
    pub(crate) config: Config,
    /// What its conditional writes are worth.
    pub(crate) conditions: Conditions,
    /// What its `ETag`s are worth.
    pub(crate) etags: Etags,
    /// What signs memos of its uploads.
    pub(crate) seal: Seal,
    /// What the name of every object begins with.
    prefix: String,
    /// For calls that take long by their nature.
    patient: Builder,
}

/// An object as HEAD and GET show it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) etag: String,
    pub(crate) stat: ContentStat,
    pub(crate) metadata: HashMap<String, String>,
}

/// An object of a certain name, in a certain state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Whatever is there.
    Any,
    /// Nothing is there.
    Absent,
    /// What has this `ETag` is there.
    Is(String),
}

/// What an object is made with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metadata(pub(crate) HashMap<String, String>);

impl Bucket {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            client: client::client(&config),
            conditions: Conditions::new(&config),
            etags: Etags::new(&config),
            seal: Seal::default(),
            prefix: config.prefix(),
            patient: client::patient(&config),
            config,
        }
    }

    /// The name of the object for `key`.
    pub(crate) fn object(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// What the names of all objects below `key` begin with.
    pub(crate) fn below(&self, key: &Key) -> String {
        match *key == Key::root() {
            true => self.prefix.clone(),
            false => format!("{}{key}/", self.prefix),
        }
    }

    /// The driver's own objects are for nobody else, whatever is configured.
    fn acl(&self, object: &str) -> Option<ObjectCannedAcl> {
        let name = object.strip_prefix(&self.prefix);
        match name.is_some_and(|name| name.starts_with(OWN)) {
            true => None,
            false => self.config.acl.0.clone(),
        }
    }

    /// Signing a body over TLS would only hash it once more.
    fn is_sealed(&self) -> bool {
        let url = self.config.endpoint_url();
        url.is_none_or(|url| url.starts_with("https:"))
    }

    pub(crate) async fn head(&self, object: &str) -> Result<Head, Failure> {
        let call = self.client.head_object().bucket(&self.config.bucket);
        let answer = call.key(object).send().await;
        let answer = answer.map_err(|error| Failure::new("HeadObject", error))?;
        Ok(Head {
            etag: answer.e_tag.unwrap_or_default(),
            stat: stat("HeadObject", answer.content_length, answer.last_modified)?,
            metadata: answer.metadata.unwrap_or_default(),
        })
    }

    /// Opens an object, or the bytes of `range` of it if it still has the `etag`.
    pub(crate) async fn get(
        &self,
        object: &str,
        range: Option<String>,
        etag: Option<&str>,
    ) -> Result<(Head, ByteStream), Failure> {
        let call = self.client.get_object().bucket(&self.config.bucket);
        let call = call
            .key(object)
            .set_range(range)
            .set_if_match(etag.map(str::to_owned));
        let answer = call.send().await;
        let mut answer = answer.map_err(|error| Failure::new("GetObject", error))?;
        let body = std::mem::take(&mut answer.body);
        Ok((whole(answer)?, body))
    }

    pub(crate) async fn put(
        &self,
        object: &str,
        content: Bytes,
        condition: &Condition,
        metadata: &Metadata,
    ) -> Result<String, Failure> {
        let (absent, is) = condition.headers();
        let call = self.client.put_object().bucket(&self.config.bucket);
        let call = call
            .key(object)
            .content_type(CONTENT_TYPE)
            .content_length(content.len() as i64)
            .set_acl(self.acl(object))
            .set_storage_class(self.config.storage_class.0.clone())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key())
            .set_metadata(metadata.get())
            .set_if_none_match(absent)
            .set_if_match(is)
            .body(content.into());
        let call = call.customize().config_override(self.patient.clone());
        let call = match self.is_sealed() {
            true => call.disable_payload_signing(),
            false => call,
        };
        let answer = call.send().await;
        let answer = answer.map_err(|error| Failure::new("PutObject", error))?;
        Ok(answer.e_tag.unwrap_or_default())
    }

    pub(crate) async fn copy(&self, from: &str, etag: &str, to: &str) -> Result<(), Failure> {
        let call = self.client.copy_object().bucket(&self.config.bucket);
        let call = call
            .key(to)
            .copy_source(self.source(from))
            .copy_source_if_match(etag)
            // An upload's notes to itself stay behind.
            .metadata_directive(MetadataDirective::Replace)
            .content_type(CONTENT_TYPE)
            .set_acl(self.acl(to))
            .set_storage_class(self.config.storage_class.0.clone())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key());
        let call = call.customize().config_override(self.patient.clone());
        let answer = call.send().await;
        answer.map_err(|error| Failure::new("CopyObject", error))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, object: &str) -> Result<(), Failure> {
        self.delete_is(object, None).await
    }

    /// Deletes an object if it has the `etag`.
    pub(crate) async fn delete_is(
        &self,
        object: &str,
        etag: Option<String>,
    ) -> Result<(), Failure> {
        let call = self.client.delete_object().bucket(&self.config.bucket);
        let answer = call.key(object).set_if_match(etag).send().await;
        answer.map_err(|error| Failure::new("DeleteObject", error))?;
        Ok(())
    }

    /// Deletes up to 1000 objects by one request.
    pub(crate) async fn delete_many(&self, objects: &[String]) -> Result<(), Failure> {
        let identifier = |object: &String| {
            let identifier = ObjectIdentifier::builder().key(object).build();
            identifier.map_err(|error| Failure::found("DeleteObjects", error))
        };
        let identifiers: Result<Vec<_>, _> = objects.iter().map(identifier).collect();
        let delete = Delete::builder()
            .set_objects(Some(identifiers?))
            .quiet(true)
            .build();
        let delete = delete.map_err(|error| Failure::found("DeleteObjects", error))?;
        let call = self.client.delete_objects().bucket(&self.config.bucket);
        let answer = call.delete(delete).send().await;
        let answer = answer.map_err(|error| Failure::new("DeleteObjects", error))?;
        match answer.errors().first() {
            None => Ok(()),
            Some(error) => {
                let why = format!("{}: {}", error.key().unwrap_or_default(), {
                    error.code().unwrap_or_default()
                });
                Err(Failure::found("DeleteObjects", why))
            }
        }
    }

    pub(crate) async fn list(
        &self,
        prefix: &str,
        options: Listing<'_>,
    ) -> Result<ListObjectsV2Output, Failure> {
        let call = self.client.list_objects_v2().bucket(&self.config.bucket);
        let call = call
            .prefix(prefix)
            .set_delimiter(options.delimited.then(|| "/".to_owned()))
            .set_start_after(options.after.map(str::to_owned))
            .set_continuation_token(options.token.map(str::to_owned))
            .set_max_keys(options.limit);
        let answer = call.send().await;
        answer.map_err(|error| Failure::new("ListObjectsV2", error))
    }

    fn encryption(&self) -> Option<ServerSideEncryption> {
        match &self.config.encryption {
            Encryption::None => None,
            Encryption::Aes256 => Some(ServerSideEncryption::Aes256),
            Encryption::Kms(_) => Some(ServerSideEncryption::AwsKms),
        }
    }

    fn kms_key(&self) -> Option<String> {
        match &self.config.encryption {
            Encryption::Kms(key) => Some(key.clone()),
            _ => None,
        }
    }

    /// `object` as the source of a copy: bucket and name, percent-encoded but for the slashes.
    fn source(&self, object: &str) -> String {
        let mut source = String::new();
        for byte in format!("{}/{object}", self.config.bucket).bytes() {
            match byte {
                b'/' | b'.' | b'_' | b'-' => source.push(byte.into()),
                byte if byte.is_ascii_alphanumeric() => source.push(byte.into()),
                byte => source.push_str(&format!("%{byte:02X}")),
            }
        }
        source
    }
}

/// Which names to list.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Listing<'a> {
    /// Puts together all names that are the same up to the next slash.
    pub(crate) delimited: bool,
    pub(crate) after: Option<&'a str>,
    pub(crate) token: Option<&'a str>,
    /// At most this many; without one, S3's own limit of 1000.
    pub(crate) limit: Option<i32>,
}

impl Condition {
    /// `If-None-Match` and `If-Match`.
    fn headers(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Any => (None, None),
            Self::Absent => (Some("*".to_owned()), None),
            Self::Is(etag) => (None, Some(etag.clone())),
        }
    }
}

impl Metadata {
    fn get(&self) -> Option<HashMap<String, String>> {
        (!self.0.is_empty()).then(|| self.0.clone())
    }
}

/// The whole object that an answer shows, of which it may carry a part.
fn whole(answer: GetObjectOutput) -> Result<Head, Failure> {
    let size = match answer.content_range.as_deref() {
        None => answer.content_length,
        Some(range) => {
            let size = range
                .rsplit_once('/')
                .and_then(|(_, size)| size.parse().ok());
            let unclear = || Failure::found("GetObject", format!("unclear range {range:?}"));
            Some(size.ok_or_else(unclear)?)
        }
    };
    Ok(Head {
        etag: answer.e_tag.unwrap_or_default(),
        stat: stat("GetObject", size, answer.last_modified)?,
        metadata: answer.metadata.unwrap_or_default(),
    })
}

fn stat(
    action: &'static str,
    size: Option<i64>,
    modified: Option<DateTime>,
) -> Result<ContentStat, Failure> {
    // A size that nobody told is not 0: an empty blob would come of it.
    let size = size.ok_or_else(|| Failure::found(action, "the answer tells no size"))?;
    let modified = modified.and_then(|time| SystemTime::try_from(time).ok());
    Ok(ContentStat {
        size: size.cast_unsigned(),
        modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
    })
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("name", &self.config.bucket)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
