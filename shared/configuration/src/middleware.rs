//! `middleware`: what stands in front of the registry, its repositories and its storage.

use std::time::Duration;

use serde::Deserialize;

use crate::GoRegexp;
use crate::schema::{BOOL, DURATION, Key, TEXT, choice, entries, nested, options, section};
use crate::validation::REGEXPS;

section! {
    /// `middleware`.
    Middleware {
        /// In front of the registry, each entry around those before it.
        registry: Vec<RegistryMiddleware> = entries(RegistryMiddleware::KEYS)
            .differs("Distribution ships none.");
        /// In front of each repository, each entry around those before it.
        repository: Vec<RepositoryMiddleware> = entries(RepositoryMiddleware::KEYS)
            .differs("Distribution ships none.");
        /// In front of the storage driver, each entry around those before it: where clients are sent for blobs.
        storage: Vec<StorageMiddleware> = entries(StorageMiddleware::KEYS);
    }
}

/// Nothing in front.
impl Default for Middleware {
    fn default() -> Self {
        Self {
            registry: Vec::new(),
            repository: Vec::new(),
            storage: Vec::new(),
        }
    }
}

const DISABLED: &str =
    "An entry that is switched off is left out; Distribution applies it all the same.";
const OWN: &str = "Roadstead's own.";

section! {
    /// An entry of `middleware.registry`.
    RegistryMiddleware {
        /// Which middleware: `allowlist`.
        name: Option<String> = TEXT;
        /// Leaves this entry out.
        disabled: bool = BOOL.differs(DISABLED);
        /// Its parameters.
        options: RegistryOptions = options(RegistryOptions::VARIANTS);
    }
}

/// The parameters of a registry middleware.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RegistryOptions {
    /// Serves some repositories only.
    Allowlist(Allowlist),
    /// No middleware that Roadstead has.
    Other(serde_json::Value),
}

impl RegistryOptions {
    pub(crate) const VARIANTS: &'static [Key] = &[nested(Allowlist::KEYS)
        .named(
            "allowlist",
            "Serves some repositories and knows of no other.",
        )
        .differs(OWN)];
}

section! {
    /// The options of the `allowlist` registry middleware.
    Allowlist {
        /// Go regular expressions, of which one must match a repository's whole name.
        repositories: Vec<GoRegexp> = REGEXPS.differs(OWN);
    }
}

section! {
    /// An entry of `middleware.repository`.
    RepositoryMiddleware {
        /// Which middleware: `immutabletags` or `readonly`.
        name: Option<String> = TEXT;
        /// Leaves this entry out.
        disabled: bool = BOOL.differs(DISABLED);
        /// Its parameters.
        options: RepositoryOptions = options(RepositoryOptions::VARIANTS);
    }
}

/// The parameters of a repository middleware.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum RepositoryOptions {
    /// Keeps tags where they first pointed to.
    Immutabletags(ImmutableTags),
    /// Leaves some repositories as they are.
    Readonly(ReadOnlyRepositories),
    /// No middleware that Roadstead has.
    Other(serde_json::Value),
}

impl RepositoryOptions {
    pub(crate) const VARIANTS: &'static [Key] = &[
        nested(ImmutableTags::KEYS)
            .named("immutabletags", "Keeps tags where they first pointed to.")
            .differs(OWN),
        nested(ReadOnlyRepositories::KEYS)
            .named("readonly", "Refuses every change in some repositories.")
            .differs(OWN),
    ];
}

section! {
    /// The options of the `immutabletags` repository middleware.
    ImmutableTags {
        /// Go regular expressions, of which one must match a repository's whole name. None: every repository.
        repositories: Vec<GoRegexp> = REGEXPS.differs(OWN);
        /// Go regular expressions, of which one must match the whole tag. None: every tag.
        tags: Vec<GoRegexp> = REGEXPS.differs(OWN);
        /// Whether such a tag may be deleted, alone or with its manifest, and then be pushed anew.
        deletable: bool = BOOL.differs(OWN);
    }
}

section! {
    /// The options of the `readonly` repository middleware.
    ReadOnlyRepositories {
        /// Go regular expressions, of which one must match a repository's whole name. None: every repository.
        repositories: Vec<GoRegexp> = REGEXPS.differs(OWN);
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
    pub(crate) const VARIANTS: &'static [Key] = &[
        nested(Cloudfront::KEYS).named("cloudfront", "Sends clients to Amazon CloudFront."),
        nested(RedirectTo::KEYS).named("redirect", "Sends clients to another host, unsigned."),
        nested(Rewrite::KEYS).named("rewrite", "Changes the URLs that the driver gives."),
    ];
}

section! {
    /// The options of the `cloudfront` storage middleware.
    Cloudfront {
        /// Where CloudFront serves the bucket: `[https://]host[/path]`.
        baseurl: Option<String> = TEXT;
        /// The PEM file of the key that signs.
        privatekey: Option<String> = TEXT
            .differs("RSA of 2048 bits or ECDSA on P-256, in PKCS#1, PKCS#8 or SEC1; Distribution reads RSA in PKCS#1.");
        /// The id of that key.
        keypairid: Option<String> = TEXT;
        /// The longest that a URL is good.
        duration: Duration = DURATION.default("20m")
            .differs("URLs end at multiples of a quarter of this, at most 5m, and so stay the same until the next one: a URL is good for three quarters of it at the least. Distribution gives another URL each second.");
        /// Which clients are sent to S3 instead: those with an address of AWS, or of some of its regions.
        ipfilteredby: IpFilter = choice(&["none", "aws", "awsregion"]).default("none");
        /// The regions of `awsregion`, with commas between.
        awsregion: Option<String> = TEXT;
        /// How often the address ranges are fetched.
        updatefrequency: Duration = DURATION.default("12h")
            .differs("They are fetched when they are needed, and no request waits for them. A failed fetch leaves what is known, and is tried again after a minute at the latest; until the first one has succeeded, no client counts as one of AWS.");
        /// Where the address ranges are fetched.
        iprangesurl: String = TEXT.default("https://ip-ranges.amazonaws.com/ip-ranges.json");
        /// The hash that is signed; URLs say `Hash-Algorithm=SHA256` for the second.
        hashalgorithm: UrlHash = choice(&["sha1", "sha256"]).default("sha1").differs(OWN);
        /// Signs the client's address along, so that nobody else can use its URL; who has no IPv4 address is served by the registry itself.
        restrictaddress: bool = BOOL.differs(OWN);
    }
    also {
        /// The former, misspelt name of `updatefrequency`.
        updatefrenquency = DURATION.renamed("updatefrequency");
    }
}

/// What of a policy is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UrlHash {
    /// SHA-1, which CloudFront expects.
    Sha1,
    /// SHA-256, which URLs have to name.
    Sha256,
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
        /// Scheme, host and perhaps a path in front of the blob's: `https://cdn.example.com/registry`.
        baseurl: Option<String> = TEXT;
    }
}

section! {
    /// The options of the `rewrite` storage middleware.
    Rewrite {
        /// The scheme to put in.
        scheme: Option<String> = TEXT
            .differs("A driver that sends clients nowhere goes on not to; Distribution sends them to a URL without a path.");
        /// The host to put in, perhaps with a port. A URL that S3 has signed is good for its own host only: there, use `storage.s3.redirectendpoint`.
        host: Option<String> = TEXT;
        /// The beginning of the path to take away.
        trimpathprefix: Option<String> = TEXT;
    }
}
