//! Rows as they come from the table and go into it.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use roadstead_metadata::Error;

use crate::keys::Key;

pub(crate) type Attributes = HashMap<String, AttributeValue>;

/// An item.
#[derive(Clone, Debug)]
pub(crate) struct Row(Attributes);

/// A row is not what this crate writes.
#[derive(Debug, thiserror::Error)]
#[error("the attribute {attribute:?} of the row {sk:?} is not what it should be")]
struct Malformed {
    attribute: String,
    sk: String,
}

impl Row {
    /// A row without anything but its key.
    pub(crate) fn new(key: &Key) -> Self {
        Self(key.attributes())
    }

    pub(crate) fn with(mut self, attribute: &str, value: AttributeValue) -> Self {
        self.0.insert(attribute.to_owned(), value);
        self
    }

    pub(crate) fn into_attributes(self) -> Attributes {
        self.0
    }

    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.0.contains_key(attribute)
    }

    pub(crate) fn get(&self, attribute: &str) -> Option<&AttributeValue> {
        self.0.get(attribute)
    }

    /// The sort key: what the row is about.
    pub(crate) fn name(&self) -> &str {
        let name = self.0.get("sk").and_then(|name| name.as_s().ok());
        name.map(String::as_str).unwrap_or_default()
    }

    pub(crate) fn text(&self, attribute: &str) -> Result<&str, Error> {
        let text = self.get(attribute).and_then(|value| value.as_s().ok());
        let text = text.map(String::as_str);
        text.ok_or_else(|| self.malformed(attribute))
    }

    /// A text that is something: a digest for example.
    pub(crate) fn parsed<T: FromStr>(&self, attribute: &str) -> Result<T, Error> {
        let parsed = self.text(attribute)?.parse();
        parsed.map_err(|_| self.malformed(attribute))
    }

    /// The texts of a set, none when there is no set.
    pub(crate) fn set<T: FromStr>(&self, attribute: &str) -> Result<Vec<T>, Error> {
        let Some(set) = self.get(attribute) else {
            return Ok(Vec::new());
        };
        let texts = set.as_ss().map_err(|_| self.malformed(attribute))?;
        let parsed = texts.iter().map(|text| text.parse());
        let parsed: Result<_, _> = parsed.collect();
        parsed.map_err(|_| self.malformed(attribute))
    }

    pub(crate) fn number<T: FromStr>(&self, attribute: &str) -> Result<T, Error> {
        let number = self.get(attribute).and_then(|value| value.as_n().ok());
        let number = number.and_then(|number| number.parse().ok());
        number.ok_or_else(|| self.malformed(attribute))
    }

    pub(crate) fn moment(&self, attribute: &str) -> Result<SystemTime, Error> {
        let nanoseconds = Duration::from_nanos(self.number(attribute)?);
        Ok(SystemTime::UNIX_EPOCH + nanoseconds)
    }

    pub(crate) fn bytes(&self, attribute: &str) -> Option<Bytes> {
        let blob = self.get(attribute)?.as_b().ok()?;
        Some(Bytes::copy_from_slice(blob.as_ref()))
    }

    pub(crate) fn malformed(&self, attribute: &str) -> Error {
        Error::Unavailable(Box::new(Malformed {
            attribute: attribute.to_owned(),
            sk: self.name().to_owned(),
        }))
    }
}

impl From<Attributes> for Row {
    fn from(attributes: Attributes) -> Self {
        Self(attributes)
    }
}

pub(crate) fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A moment as nanoseconds since 1970, which are good until the year 2554.
pub(crate) fn moment(value: SystemTime) -> AttributeValue {
    let since = value.duration_since(SystemTime::UNIX_EPOCH);
    number(since.unwrap_or_default().as_nanos())
}

pub(crate) fn binary(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(crate) fn yes() -> AttributeValue {
    AttributeValue::Bool(true)
}
