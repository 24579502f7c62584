//! `metadata`: where it is known what lies in the store. Roadstead's own.

use std::time::Duration;

use serde::Deserialize;

use crate::Secret;
use crate::schema::{DURATION, Key, LOOSE_BOOL, OneOf, TEXT, nested, one_of, section};

/// `metadata`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Metadata {
    /// The store of metadata; without one, the layout.
    pub store: Option<Store>,
}

pub(crate) const METADATA: Key = one_of(OneOf {
    field: "store",
    noun: "metadata store",
    variants: Stores::KEYS,
    settings: &[],
    required: false,
});

/// The store of metadata.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Store {
    /// Distribution's files beside the blobs.
    Layout(Layout),
    /// A table of Amazon DynamoDB.
    Dynamodb(Box<Dynamodb>),
}

impl Store {
    /// The name of the store in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Layout(_) => "layout",
            Self::Dynamodb(_) => "dynamodb",
        }
    }
}

struct Stores;

impl Stores {
    const KEYS: &'static [Key] = &[
        nested(Layout::KEYS).named(
            "layout",
            "Distribution's files beside the blobs, as without `metadata`.",
        ),
        nested(Dynamodb::KEYS).named("dynamodb", "A table of Amazon DynamoDB."),
    ];
}

section! {
    /// `metadata.layout`: it takes no parameters.
    Layout {}
}

section! {
    /// `metadata.dynamodb`.
    Dynamodb {
        /// The name of the table, which must exist: the registry never creates one, `roadstead metadata create-table` does.
        table: Option<String> = TEXT;
        /// The region of the table.
        region: Option<String> = TEXT;
        /// The URL of a DynamoDB other than that of AWS.
        endpoint: Option<String> = TEXT;
        /// The access key; without one, the whole default chain of the AWS SDK is asked, as for `storage.s3`.
        accesskey: Option<String> = TEXT;
        /// The secret key.
        secretkey: Option<Secret> = TEXT.secret();
        /// Uses the endpoints for IPv4 and IPv6.
        usedualstack: bool = LOOSE_BOOL;
        /// Uses the FIPS endpoints.
        usefipsendpoint: bool = LOOSE_BOOL;
        /// How long an upload can be gone on with after it was begun.
        uploadlifetime: Duration = DURATION.default("168h").zero_is_default();
    }
}
