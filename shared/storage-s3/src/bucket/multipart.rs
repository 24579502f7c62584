//! The calls that multipart uploads are made of.

use std::ops::Range;
use std::time::SystemTime;

use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;

use super::{Bucket, CONTENT_TYPE, Condition, Metadata};
use crate::error::{Failure, Kind};

/// A part of a multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) etag: String,
    pub(crate) size: u64,
}

/// A multipart upload under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    pub(crate) object: String,
    pub(crate) id: String,
    pub(crate) initiated: Option<SystemTime>,
}

impl Bucket {
    pub(crate) async fn create_multipart(
        &self,
        object: &str,
        metadata: &Metadata,
    ) -> Result<String, Failure> {
        let call = self.client.create_multipart_upload();
        let call = call
            .bucket(&self.config.bucket)
            .key(object)
            .content_type(CONTENT_TYPE)
            .set_acl(self.config.acl.0.clone())
            .set_storage_class(self.config.storage_class.0.clone())
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.kms_key())
            .set_metadata(metadata.get());
        let answer = call.send().await;
        let answer = answer.map_err(|error| Failure::new("CreateMultipartUpload", error))?;
        let missing = || Failure::found("CreateMultipartUpload", "the answer has no upload id");
        answer.upload_id.ok_or_else(missing)
    }

    pub(crate) async fn put_part(
        &self,
        object: &str,
        upload: &str,
        number: usize,
        content: Bytes,
    ) -> Result<Part, Failure> {
        let size = content.len() as u64;
        let call = self.client.upload_part().bucket(&self.config.bucket);
        let call = call
            .key(object)
            .upload_id(upload)
            .part_number(number as i32)
            .content_length(size as i64)
            .body(ByteStream::from(content));
        let call = call.customize().config_override(self.patient.clone());
        let call = match self.is_sealed() {
            true => call.disable_payload_signing(),
            false => call,
        };
        let answer = call.send().await;
        let answer = answer.map_err(|error| Failure::new("UploadPart", error))?;
        let etag = answer.e_tag.unwrap_or_default();
        Ok(Part { etag, size })
    }

    pub(crate) async fn copy_part(
        &self,
        from: (&str, &str),
        range: Range<u64>,
        to: (&str, &str),
        number: usize,
    ) -> Result<Part, Failure> {
        let size = range.end - range.start;
        let call = self.client.upload_part_copy().bucket(&self.config.bucket);
        let call = call
            .key(to.0)
            .upload_id(to.1)
            .part_number(number as i32)
            .copy_source(self.source(from.0))
            .copy_source_if_match(from.1)
            .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1));
        let call = call.customize().config_override(self.patient.clone());
        let answer = call.send().await;
        let answer = answer.map_err(|error| Failure::new("UploadPartCopy", error))?;
        let etag = answer.copy_part_result.and_then(|part| part.e_tag);
        let missing = || Failure::found("UploadPartCopy", "the answer has no ETag");
        let etag = etag.ok_or_else(missing)?;
        Ok(Part { etag, size })
    }

    pub(crate) async fn complete(
        &self,
        object: &str,
        upload: &str,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<String, Failure> {
        let completed = |(index, part): (usize, &Part)| {
            CompletedPart::builder()
                .part_number(index as i32 + 1)
                .e_tag(&part.etag)
                .build()
        };
        let completed = parts.iter().enumerate().map(completed).collect();
        let completed = CompletedMultipartUpload::builder().set_parts(Some(completed));
        let (absent, is) = condition.headers();
        let call = self.client.complete_multipart_upload();
        let call = call
            .bucket(&self.config.bucket)
            .key(object)
            .upload_id(upload)
            .multipart_upload(completed.build())
            .set_if_none_match(absent)
            .set_if_match(is);
        let call = call.customize().config_override(self.patient.clone());
        let answer = call.send().await;
        let answer = answer.map_err(|error| Failure::new("CompleteMultipartUpload", error))?;
        Ok(answer.e_tag.unwrap_or_default())
    }

    /// Aborts a multipart upload; one that is gone is no failure.
    pub(crate) async fn abort(&self, object: &str, upload: &str) -> Result<(), Failure> {
        let call = self.client.abort_multipart_upload();
        let call = call.bucket(&self.config.bucket).key(object);
        let answer = call.upload_id(upload).send().await;
        match answer.map_err(|error| Failure::new("AbortMultipartUpload", error)) {
            Err(failure) if failure.kind == Kind::NoUpload => Ok(()),
            answer => answer.map(|_| ()),
        }
    }

    /// All multipart uploads under way whose object's name begins with `prefix`.
    pub(crate) async fn multiparts(&self, prefix: &str) -> Result<Vec<Begun>, Failure> {
        let mut found = Vec::new();
        let mut from = (None, None);
        loop {
            let (key, id) = from.clone();
            let call = self.client.list_multipart_uploads();
            let call = call.bucket(&self.config.bucket).prefix(prefix);
            let call = call.set_key_marker(key).set_upload_id_marker(id);
            let answer = match call.send().await {
                Ok(answer) => answer,
                Err(error) => match Failure::new("ListMultipartUploads", error) {
                    // Then there is no telling; what is known of is aborted by its id.
                    failure if failure.kind == Kind::Unknown => return Ok(found),
                    failure => return Err(failure),
                },
            };
            for upload in answer.uploads() {
                if let (Some(key), Some(id)) = (upload.key(), upload.upload_id()) {
                    let initiated = upload.initiated().copied();
                    found.push(Begun {
                        object: key.to_owned(),
                        id: id.to_owned(),
                        initiated: initiated.and_then(|time| SystemTime::try_from(time).ok()),
                    });
                }
            }
            if !answer.is_truncated().unwrap_or_default() {
                return Ok(found);
            }
            let next = (answer.next_key_marker, answer.next_upload_id_marker);
            if next == from {
                let why = "a page follows itself";
                return Err(Failure::found("ListMultipartUploads", why));
            }
            from = next;
        }
    }
}
