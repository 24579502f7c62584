//! What the driver has to be told.

use std::str::FromStr;
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::types::{ObjectCannedAcl, StorageClass as Class};

/// How the driver behaves. The names and defaults are those of CNCF Distribution's parameters.
#[derive(Clone, Debug)]
pub struct Config {
    /// The bucket.
    pub bucket: String,
    /// The region. May be left out when there is an `endpoint`, and is `us-east-1` then.
    pub region: Option<String>,
    /// Host or URL of a store that speaks S3, `regionendpoint`.
    pub endpoint: Option<String>,
    /// Puts the bucket into the path rather than the host name. Registry 2 did so by itself
    /// whenever there was an endpoint, registry 3 and Roadstead only when told; endpoints that
    /// are IP addresses get it in any case, as no name can be put before them.
    pub force_path_style: bool,
    /// Whom to ask for credentials; without one, no request can be signed. Session tokens come from
    /// there.
    pub credentials: Option<SharedCredentialsProvider>,
    /// How objects are encrypted at rest.
    pub encryption: Encryption,
    /// Uses TLS where `endpoint` names no scheme.
    pub secure: bool,
    /// Does not verify the store's certificate.
    pub skip_verify: bool,
    /// The least size of a part of an upload, in bytes, 5 MiB to 5 GiB.
    pub chunk_size: u64,
    /// The size of a part of a copy, in bytes, 5 MiB to 5 GiB.
    pub copy_chunk_size: u64,
    /// How many parts of a copy are on the way at the same time.
    pub copy_concurrency: usize,
    /// Up to this size, in bytes and at most 5 GiB, an object is copied by one call.
    pub copy_threshold: u64,
    /// A prefix of all keys.
    pub root: String,
    /// The storage class of the objects.
    pub storage_class: StorageClass,
    /// The canned ACL of the objects.
    pub acl: Acl,
    /// The `User-Agent` to send in place of the SDK's.
    pub user_agent: Option<String>,
    /// Uses the endpoints for IPv4 and IPv6.
    pub dual_stack: bool,
    /// Uses S3 Transfer Acceleration.
    pub accelerate: bool,
    /// Uses the FIPS endpoints.
    pub fips: bool,
    /// Logs every request to the store and its outcome, without secrets.
    pub log_requests: bool,
    /// Another scheme and host for the URLs that clients are sent to.
    pub redirect_endpoint: Option<String>,
    /// How long the store may take.
    pub patience: Patience,
}

impl Config {
    /// Distribution's defaults for `bucket`.
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: None,
            endpoint: None,
            force_path_style: false,
            credentials: None,
            encryption: Encryption::None,
            secure: true,
            skip_verify: false,
            chunk_size: 10 * MIB,
            copy_chunk_size: 32 * MIB,
            copy_concurrency: 100,
            copy_threshold: 32 * MIB,
            root: String::new(),
            storage_class: StorageClass::default(),
            acl: Acl::default(),
            user_agent: None,
            dual_stack: false,
            accelerate: false,
            fips: false,
            log_requests: false,
            redirect_endpoint: None,
            patience: Patience::default(),
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let need = |holds: bool, error: ConfigError| if holds { Ok(()) } else { Err(error) };
        need(!self.bucket.is_empty(), ConfigError::NoBucket)?;
        let placed = self.region.is_some() || self.endpoint.is_some();
        need(placed, ConfigError::NoRegion)?;
        let part = |size: u64| (SMALLEST_PART..=LARGEST_PART).contains(&size);
        need(part(self.chunk_size), ConfigError::Size("chunksize"))?;
        let size = ConfigError::Size("multipartcopychunksize");
        need(part(self.copy_chunk_size), size)?;
        let size = ConfigError::Size("multipartcopythresholdsize");
        need(self.copy_threshold <= LARGEST_PART, size)?;
        self.check_endpoints()
    }

    /// What chooses among the endpoints of AWS says nothing of others, and not all of it goes
    /// together: the SDK would fail every request.
    fn check_endpoints(&self) -> Result<(), ConfigError> {
        let choices = [
            ("accelerate", self.accelerate),
            ("usedualstack", self.dual_stack),
            ("usefipsendpoint", self.fips),
        ];
        let mut chosen = choices.into_iter().filter(|(_, is_chosen)| *is_chosen);
        match chosen.next() {
            Some((name, _)) if self.endpoint.is_some() => {
                Err(ConfigError::Together(name, "regionendpoint"))
            }
            Some((name, _)) if !self.secure => Err(ConfigError::Together(name, "secure: false")),
            Some((name, _)) if self.accelerate && self.fips => {
                Err(ConfigError::Together(name, "usefipsendpoint"))
            }
            Some((name, _)) if self.accelerate && self.force_path_style => {
                Err(ConfigError::Together(name, "forcepathstyle"))
            }
            _ => Ok(()),
        }
    }

    /// The URL of the store; `None` for AWS's own.
    pub(crate) fn endpoint_url(&self) -> Option<String> {
        let scheme = if self.secure { "https" } else { "http" };
        match &self.endpoint {
            Some(url) if url.contains("://") => Some(url.clone()),
            Some(host) => Some(format!("{scheme}://{host}")),
            None if self.secure => None,
            None => {
                let region = self.region.as_deref().unwrap_or_default();
                Some(format!("http://s3.{region}.amazonaws.com"))
            }
        }
    }

    /// What the name of every object begins with: nothing, or something that ends in a slash.
    pub(crate) fn prefix(&self) -> String {
        match self.root.trim_matches('/') {
            "" => String::new(),
            root => format!("{root}/"),
        }
    }
}

pub(crate) const MIB: u64 = 1024 * 1024;
/// The least that S3 takes as a part that is not the last, in bytes.
pub(crate) const SMALLEST_PART: u64 = 5 * MIB;
/// The most that S3 takes as a part or copies by one call, in bytes.
pub(crate) const LARGEST_PART: u64 = 5 * 1024 * MIB;
/// How many parts S3 takes.
pub(crate) const MOST_PARTS: u64 = 10_000;

/// How objects are encrypted at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket has it.
    None,
    /// With keys of S3.
    Aes256,
    /// With this key of KMS.
    Kms(String),
}

impl Encryption {
    /// What `encrypt` and `keyid` mean together.
    pub fn new(encrypt: bool, key: Option<String>) -> Self {
        match key.filter(|key| !key.is_empty()) {
            _ if !encrypt => Self::None,
            Some(key) => Self::Kms(key),
            None => Self::Aes256,
        }
    }
}

/// The storage class of the objects; `None` sends no header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageClass(pub(crate) Option<Class>);

impl Default for StorageClass {
    fn default() -> Self {
        Self(Some(Class::Standard))
    }
}

impl FromStr for StorageClass {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let name = text.to_ascii_uppercase();
        if name == "NONE" {
            return Ok(Self(None));
        }
        const CLASSES: [Class; 8] = [
            Class::Standard,
            Class::ReducedRedundancy,
            Class::StandardIa,
            Class::OnezoneIa,
            Class::IntelligentTiering,
            Class::Outposts,
            Class::GlacierIr,
            Class::ExpressOnezone,
        ];
        let class = CLASSES.into_iter().find(|class| class.as_str() == name);
        class
            .map(|class| Self(Some(class)))
            .ok_or_else(|| ConfigError::StorageClass(text.to_owned()))
    }
}

/// The canned ACL of the objects. `private` is what S3 gives to an object by itself, so no header
/// is sent for it; a bucket without ACLs would refuse any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acl(pub(crate) Option<ObjectCannedAcl>);

impl FromStr for Acl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        if text == ObjectCannedAcl::Private.as_str() {
            return Ok(Self(None));
        }
        let known = ObjectCannedAcl::values().contains(&text);
        known
            .then(|| Self(Some(ObjectCannedAcl::from(text))))
            .ok_or_else(|| ConfigError::Acl(text.to_owned()))
    }
}

/// How long the store may take and how often it is asked; what fails after that is an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often a request is sent at the most.
    pub attempts: u32,
    /// Up to how long is waited, at random, before a request is sent for the second time; twice
    /// as long before the third, and so on.
    pub pause: Duration,
    /// How long a connection may take.
    pub connect: Duration,
    /// How long the answer to a small request may take to begin.
    pub answer: Duration,
    /// How long it may take for requests that carry a part, copy or join objects.
    pub work: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 5,
            pause: Duration::from_millis(500),
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            work: Duration::from_secs(600),
        }
    }
}

/// Parameters that no driver can be made of.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no bucket.
    #[error("storage.s3.bucket is required")]
    NoBucket,
    /// There is neither a region nor an endpoint.
    #[error("storage.s3.region is required unless there is a regionendpoint")]
    NoRegion,
    /// A size is out of bounds.
    #[error("storage.s3.{0} is not within what S3 takes, 5 MiB to 5 GiB")]
    Size(&'static str),
    /// Two parameters that contradict each other.
    #[error("storage.s3.{0} cannot be combined with {1}")]
    Together(&'static str, &'static str),
    /// There is no such storage class.
    #[error("storage.s3.storageclass: there is no class {0:?}")]
    StorageClass(String),
    /// There is no such ACL.
    #[error("storage.s3.objectacl: there is no canned ACL {0:?}")]
    Acl(String),
    /// The redirect endpoint is no scheme and host.
    #[error("storage.s3.redirectendpoint is not of the form scheme://host[:port]: {0:?}")]
    RedirectEndpoint(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_trimmed_as_distribution_does() {
        for (root, prefix) in [
            ("", ""),
            ("/", ""),
            ("a", "a/"),
            ("/a/", "a/"),
            ("/a/b", "a/b/"),
            ("//a b//", "a b/"),
        ] {
            let config = Config {
                root: root.to_owned(),
                ..Config::new("bucket")
            };
            assert_eq!(config.prefix(), prefix, "{root:?}");
        }
    }

    #[test]
    fn an_endpoint_is_a_host_or_a_url() {
        let url = |endpoint: Option<&str>, secure| {
            let config = Config {
                endpoint: endpoint.map(str::to_owned),
                region: Some("eu-west-1".to_owned()),
                secure,
                ..Config::new("bucket")
            };
            config.endpoint_url()
        };
        let is = |url: &str| Some(url.to_owned());
        assert_eq!(url(None, true), None);
        assert_eq!(url(None, false), is("http://s3.eu-west-1.amazonaws.com"));
        assert_eq!(url(Some("h:9000"), true), is("https://h:9000"));
        assert_eq!(url(Some("h:9000"), false), is("http://h:9000"));
        assert_eq!(url(Some("http://h"), true), is("http://h"));
        assert_eq!(url(Some("https://h"), false), is("https://h"));
    }

    #[test]
    fn storage_classes_are_distributions_in_any_case() {
        for good in [
            "NONE",
            "STANDARD",
            "reduced_redundancy",
            "STANDARD_IA",
            "ONEZONE_IA",
            "INTELLIGENT_TIERING",
            "OUTPOSTS",
            "GLACIER_IR",
            "Express_Onezone",
        ] {
            assert!(good.parse::<StorageClass>().is_ok(), "{good}");
        }
        assert_eq!("none".parse(), Ok(StorageClass(None)));
        // What has to be restored before it can be read is no place for a registry.
        for bad in ["", "GLACIER", "DEEP_ARCHIVE", "SNOW", "fast"] {
            assert!(bad.parse::<StorageClass>().is_err(), "{bad}");
        }
    }

    #[test]
    fn acls_are_the_seven_canned_ones() {
        for good in [
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
        ] {
            assert!(good.parse::<Acl>().is_ok(), "{good}");
        }
        assert_eq!("private".parse(), Ok(Acl(None)));
        assert!("Private".parse::<Acl>().is_err());
    }

    #[test]
    fn a_key_encrypts_only_when_encryption_is_asked_for() {
        let key = || Some("key".to_owned());
        assert_eq!(Encryption::new(false, key()), Encryption::None);
        assert_eq!(Encryption::new(true, key()), Encryption::Kms("key".into()));
        assert_eq!(Encryption::new(true, None), Encryption::Aes256);
        assert_eq!(
            Encryption::new(true, Some(String::new())),
            Encryption::Aes256
        );
    }

    #[test]
    fn what_s3_cannot_do_is_refused() {
        let check = |change: fn(&mut Config)| {
            let mut config = Config::new("bucket");
            config.region = Some("eu-west-1".to_owned());
            change(&mut config);
            config.check()
        };
        assert_eq!(check(|_| {}), Ok(()));
        assert_eq!(check(|c| c.bucket.clear()), Err(ConfigError::NoBucket));
        assert_eq!(check(|c| c.region = None), Err(ConfigError::NoRegion));
        let small = check(|c| c.chunk_size = SMALLEST_PART - 1);
        assert_eq!(small, Err(ConfigError::Size("chunksize")));
        let large = check(|c| c.copy_threshold = LARGEST_PART + 1);
        assert_eq!(large, Err(ConfigError::Size("multipartcopythresholdsize")));
    }

    #[test]
    fn endpoints_of_aws_are_chosen_among_where_there_is_no_other() {
        type Change = fn(&mut Config);
        let choices: [(&str, Change); 3] = [
            ("accelerate", |c| c.accelerate = true),
            ("usedualstack", |c| c.dual_stack = true),
            ("usefipsendpoint", |c| c.fips = true),
        ];
        let check = |changes: &[Change]| {
            let mut config = Config::new("bucket");
            config.region = Some("eu-west-1".to_owned());
            changes.iter().for_each(|change| change(&mut config));
            config.check()
        };
        let endpoint: Change = |c| c.endpoint = Some("minio:9000".to_owned());
        for (name, choose) in choices {
            assert_eq!(check(&[choose]), Ok(()));
            let refused = Err(ConfigError::Together(name, "regionendpoint"));
            assert_eq!(check(&[choose, endpoint]), refused);
            let refused = Err(ConfigError::Together(name, "secure: false"));
            assert_eq!(check(&[choose, |c| c.secure = false]), refused);
        }
        let [(name, accelerate), (_, dual_stack), (_, fips)] = choices;
        assert_eq!(check(&[dual_stack, fips]), Ok(()));
        assert_eq!(check(&[dual_stack, accelerate]), Ok(()));
        assert_eq!(
            check(&[accelerate, fips]),
            Err(ConfigError::Together(name, "usefipsendpoint"))
        );
        assert_eq!(
            check(&[accelerate, |c| c.force_path_style = true]),
            Err(ConfigError::Together(name, "forcepathstyle"))
        );
    }
}
