//! `middleware`: what stands in front of the registry, its repositories and its storage.

use std::time::Duration;

use serde::Deserialize;

use crate::schema::{ANY, BOOL, DURATION, Key, TEXT, choice, entries, nested, options, section};

section! {
    /// `middleware`.
    Middleware {
        /// In front of the registry; Distribution ships none.
        registry: Vec<OtherMiddleware> = entries(OtherMiddleware::KEYS).refused("registry middleware");
        /// In front of each repository; Distribution ships none.
        repository: Vec<OtherMiddleware> = entries(OtherMiddleware::KEYS).refused("repository middleware");
        /// In front of the storage driver, in this order.
        storage: Vec<StorageMiddleware> = entries(StorageMiddleware::KEYS).refused("storage middleware");
    }
}

const DISABLED: &str =
    "An entry that is switched off is left out; Distribution applies it all the same.";

section! {
    /// An entry of `middleware.registry` or `middleware.repository`.
    OtherMiddleware {
        /// Which middleware.
        name: Option<String> = TEXT;
        /// Leaves this entry out.
        disabled: bool = BOOL.differs(DISABLED);
        /// Its parameters.
        options: serde_json::Value = ANY;
    }
}

section! {
    /// An entry of `middleware.storage`.
    StorageMiddleware {
        /// Which middleware: `cloudfront`, `redirect` or `rewrite`.
        name: Option<String> = TEXT;
        /// Leaves this entry out.
        disabled: bool = BOOL.differs(DISABLED);
        /// Its parameters.
        options: StorageOptions = options(StorageOptions::VARIANTS);
    }
}

/// The parameters of a storage middleware.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum StorageOptions {
    /// Sends clients to Amazon CloudFront.
    Cloudfront(Box<Cloudfront>),
    /// Sends clients to another host, unsigned.
    Redirect(RedirectTo),
    /// Changes the URLs that the driver gives.
    Rewrite(Rewrite),
    /// No middleware that Distribution ships.
    Other(serde_json::Value),
}

impl StorageOptions {
    const VARIANTS: &'static [Key] = &[
        nested(Cloudfront::KEYS).named("cloudfront", "Sends clients to Amazon CloudFront."),
        nested(RedirectTo::KEYS).named("redirect", "Sends clients to another host, unsigned."),
        nested(Rewrite::KEYS).named("rewrite", "Changes the URLs that the driver gives."),
    ];
}

section! {
    /// The options of the `cloudfront` storage middleware.
    Cloudfront {
        /// Where CloudFront serves the bucket.
        baseurl: Option<String> = TEXT;
        /// The file of the key that signs.
        privatekey: Option<String> = TEXT;
        /// The id of that key.
        keypairid: Option<String> = TEXT;
        /// How long a URL is good.
        duration: Duration = DURATION.default("20m");
        /// Which clients are sent to S3 instead.
        ipfilteredby: IpFilter = choice(&["none", "aws", "awsregion"]).default("none");
        /// The regions of `awsregion`, with commas between.
        awsregion: Option<String> = TEXT;
        /// How often the address ranges are fetched.
        updatefrequency: Duration = DURATION.default("12h");
        /// Where the address ranges are fetched.
        iprangesurl: String = TEXT.default("https://ip-ranges.amazonaws.com/ip-ranges.json");
    }
    also {
        /// The former, misspelt name of `updatefrequency`.
        updatefrenquency = DURATION.renamed("updatefrequency");
    }
}

/// Which clients CloudFront leaves to S3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpFilter {
    /// None.
    None,
    /// Those with an address of AWS.
    Aws,
    /// Those with an address of these AWS regions.
    AwsRegion,
}

section! {
    /// The options of the `redirect` storage middleware.
    RedirectTo {
        /// Scheme, host and perhaps a path in front of the blob's.
        baseurl: Option<String> = TEXT;
    }
}

section! {
    /// The options of the `rewrite` storage middleware.
    Rewrite {
        /// The scheme to put in.
        scheme: Option<String> = TEXT;
        /// The host to put in.
        host: Option<String> = TEXT;
        /// The beginning of the path to take away.
        trimpathprefix: Option<String> = TEXT;
    }
}
