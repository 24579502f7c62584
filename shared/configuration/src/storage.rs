//! `storage`: where bytes lie, and what is done to them.

use std::num::NonZeroU64;
use std::time::Duration;

use serde::Deserialize;

use crate::Secret;
use crate::schema::{
    ANY, BOOL, COUNT, DURATION, INTEGER, Key, LOOSE_BOOL, OneOf, TEXT, choice, loose_integer,
    nested, one_of, section,
};

/// `storage`: one driver, and the settings that hold for any.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Storage {
    /// The driver and its parameters.
    pub driver: Driver,
    /// How tags are looked up.
    pub tag: Tag,
    /// Whether content may be deleted.
    pub delete: Delete,
    /// Whether clients are sent to the store.
    pub redirect: Redirect,
    /// What is remembered about blobs.
    pub cache: Cache,
    /// What the registry does by itself.
    pub maintenance: Maintenance,
}

pub(crate) const STORAGE: Key = one_of(OneOf {
    field: "driver",
    noun: "storage driver",
    variants: Drivers::KEYS,
    settings: StorageSettings::KEYS,
    required: true,
});

/// The storage driver.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Driver {
    /// A folder of this machine.
    Filesystem(Filesystem),
    /// Memory: everything is lost when the process ends.
    Inmemory(Inmemory),
    /// Amazon S3 and what speaks its language.
    #[serde(alias = "s3aws")]
    S3(Box<S3>),
    /// Google Cloud Storage.
    Gcs(Box<Gcs>),
    /// Azure Blob Storage.
    Azure(Box<Azure>),
}

impl Driver {
    /// The driver's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filesystem(_) => "filesystem",
            Self::Inmemory(_) => "inmemory",
            Self::S3(_) => "s3",
            Self::Gcs(_) => "gcs",
            Self::Azure(_) => "azure",
        }
    }
}

const NO_OSS: &str = "Aliyun OSS speaks S3: use the s3 driver with regionendpoint";
const NO_SWIFT: &str = "OpenStack Swift has an S3 interface: use the s3 driver with regionendpoint";

struct Drivers;

impl Drivers {
    const KEYS: &'static [Key] = &[
        nested(Filesystem::KEYS).named("filesystem", "Stores in a folder of this machine."),
        nested(Inmemory::KEYS).named(
            "inmemory",
            "Stores in memory: everything is lost when the process ends.",
        ),
        nested(S3::KEYS).named("s3", "Stores in Amazon S3 or what speaks its language."),
        nested(S3::KEYS).named("s3aws", "Another name of `s3`."),
        nested(Gcs::KEYS)
            .named("gcs", "Stores in Google Cloud Storage.")
            .refused("the gcs storage driver"),
        nested(Azure::KEYS)
            .named("azure", "Stores in Azure Blob Storage.")
            .refused("the azure storage driver"),
        ANY.secret()
            .named("oss", "Aliyun OSS, in Distribution 2.")
            .removed(NO_OSS),
        ANY.secret()
            .named("swift", "OpenStack Swift, in Distribution 2.")
            .removed(NO_SWIFT),
    ];
}

section! {
    /// The settings of `storage` that hold for any driver.
    StorageSettings {
        /// How tags are looked up.
        tag: Tag = nested(Tag::KEYS);
        /// Whether content may be deleted.
        delete: Delete = nested(Delete::KEYS);
        /// Whether clients are sent to the store.
        redirect: Redirect = nested(Redirect::KEYS);
        /// What is remembered about blobs.
        cache: Cache = nested(Cache::KEYS);
        /// What the registry does by itself.
        maintenance: Maintenance = nested(Maintenance::KEYS);
    }
}

section! {
    /// `storage.filesystem`.
    Filesystem {
        /// The folder; created at the first write.
        rootdirectory: String = TEXT.default("/var/lib/registry");
        /// How many file operations run at the same time; less than 25 counts as 25.
        maxthreads: u64 = loose_integer(0).default("100");
        /// How a write gets to the disk before it is acknowledged: by itself, or, when it is small, first as a part of a journal (see above).
        fsync: Fsync = choice(&["journal", "always", "never"]).default("journal")
            .differs("Roadstead's own. Distribution syncs files and not the directories they are moved to.");
    }
}

impl Filesystem {
    /// How many file operations run at the same time: `maxthreads`, and at least 25.
    #[must_use]
    pub fn threads(&self) -> usize {
        usize::try_from(self.maxthreads)
            .unwrap_or(usize::MAX)
            .max(25)
    }
}

/// How a write gets to the disk before it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// A crash of the machine loses nothing that was acknowledged, once Roadstead has started again.
    Journal,
    /// A crash of the machine loses nothing that was acknowledged.
    Always,
    /// A crash of the machine may lose the last writes: for caches and tests.
    Never,
}

section! {
    /// `storage.inmemory`: it takes no parameters.
    Inmemory {}
}

section! {
    /// `storage.s3`.
    S3 {
        /// The bucket.
        bucket: Option<String> = TEXT;
        /// The region; needed unless there is a `regionendpoint`.
        region: Option<String> = TEXT
            .differs("Any name is taken, also of a region that is newer than the registry. With a `regionendpoint` and no region, requests are signed for `us-east-1`; Distribution signs for `<nil>`.");
        /// Host or URL of a store that speaks S3.
        regionendpoint: Option<String> = TEXT;
        /// Puts the bucket into the path rather than the host name, as most stores but AWS want it.
        forcepathstyle: bool = LOOSE_BOOL
            .differs("As in Distribution 3. Distribution 2 did so by itself wherever there was a `regionendpoint`: set it when you come from there. An IP address gets it in any case.");
        /// The access key; without one, the whole chain of the AWS SDK is asked: environment with session token, profiles, SSO, processes, web identity, containers, instance metadata.
        accesskey: Option<String> = TEXT;
        /// The secret key.
        secretkey: Option<Secret> = TEXT.secret();
        /// Encrypts at rest, with keys of S3 or the one of `keyid`.
        encrypt: bool = LOOSE_BOOL;
        /// The KMS key for `encrypt`.
        keyid: Option<String> = TEXT
            .differs("Also on uploads that were resumed, and ignored without `encrypt`.");
        /// Uses TLS where `regionendpoint` names no scheme.
        secure: bool = LOOSE_BOOL.default("true");
        /// Does not verify the store's certificate.
        skipverify: bool = LOOSE_BOOL;
        /// Signs with version 4 rather than 2.
        v4auth: bool = LOOSE_BOOL.default("true")
            .differs("`false` is refused: there is no version 2.");
        /// The size of a multipart part, in bytes.
        chunksize: u64 = loose_integer(5_242_880).default("10485760")
            .differs("An upload holds up to three parts in memory, 30 MiB of the default. Beyond a thousand of these (10 GiB) a part is a thousandth of what has come, so at 100 GiB an upload holds 309 MiB.");
        /// The size of a part of a multipart copy, in bytes.
        multipartcopychunksize: u64 = loose_integer(5_242_880).default("33554432");
        /// How many parts of a multipart copy are on the way at the same time.
        multipartcopymaxconcurrency: u64 = loose_integer(1).default("100");
        /// Up to this size, in bytes, an object is copied in one piece.
        multipartcopythresholdsize: u64 = loose_integer(0).default("33554432");
        /// A prefix of all keys.
        rootdirectory: Option<String> = TEXT;
        /// The storage class, in any case; `NONE` sends no header.
        storageclass: String = TEXT.default("STANDARD");
        /// The canned ACL of the objects.
        objectacl: String = TEXT.default("private")
            .differs("No header is sent for `private`, which is what S3 does by itself and which a bucket without ACLs could refuse.");
        /// The `User-Agent` that is sent.
        useragent: Option<String> = TEXT;
        /// Uses the endpoints for IPv4 and IPv6.
        usedualstack: bool = LOOSE_BOOL
            .differs("Refused together with `regionendpoint` or `secure: false`: this chooses among the endpoints of AWS.");
        /// Uses S3 Transfer Acceleration.
        accelerate: bool = LOOSE_BOOL
            .differs("Refused together with `regionendpoint` or `secure: false`: this chooses among the endpoints of AWS; also with `forcepathstyle` and `usefipsendpoint`.");
        /// Uses the FIPS endpoints.
        usefipsendpoint: bool = LOOSE_BOOL
            .differs("Refused together with `regionendpoint` or `secure: false`: this chooses among the endpoints of AWS.");
        /// What the client of the store logs.
        loglevel: String = TEXT.default("off")
            .differs("Every value that begins with `debug` logs method, URL and outcome of each request; no headers and no bodies, which hold secrets.");
        /// Another scheme and host for the URLs that clients are sent to.
        redirectendpoint: Option<String> = TEXT;
    }
}

section! {
    /// `storage.gcs`.
    Gcs {
        /// The bucket.
        bucket: Option<String> = TEXT;
        /// A service account's JSON file; without one and without `credentials`, the application default is used.
        keyfile: Option<String> = TEXT;
        /// A service account, in place.
        credentials: GcsCredentials = nested(GcsCredentials::KEYS).secret();
        /// A prefix of all keys.
        rootdirectory: Option<String> = TEXT;
        /// The size of an upload's chunk in bytes: a multiple of 262144.
        chunksize: u64 = loose_integer(262_144).default("16777216");
        /// How many requests are on the way at the same time; less than 25 counts as 25.
        maxconcurrency: u64 = loose_integer(1).default("50");
        /// The `User-Agent` that is sent.
        useragent: Option<String> = TEXT;
    }
}

section! {
    /// `storage.gcs.credentials`: the content of a service account's JSON file.
    GcsCredentials {
        /// `service_account`.
        #[serde(rename = "type")]
        kind: Option<String> = TEXT.yaml("type");
        /// The project.
        project_id: Option<String> = TEXT;
        /// The id of the key.
        private_key_id: Option<Secret> = TEXT;
        /// The key, in PEM.
        private_key: Option<Secret> = TEXT;
        /// The account's address.
        client_email: Option<String> = TEXT;
        /// The account's id.
        client_id: Option<String> = TEXT;
        /// Where to authenticate.
        auth_uri: Option<String> = TEXT;
        /// Where to get a token.
        token_uri: Option<String> = TEXT;
        /// The provider's certificate.
        auth_provider_x509_cert_url: Option<String> = TEXT;
        /// The account's certificate.
        client_x509_cert_url: Option<String> = TEXT;
        /// The domain of the API.
        universe_domain: Option<String> = TEXT;
    }
}

section! {
    /// `storage.azure`.
    Azure {
        /// The account.
        accountname: Option<String> = TEXT;
        /// The account's key.
        accountkey: Option<Secret> = TEXT.secret();
        /// The container.
        container: Option<String> = TEXT;
        /// How to authenticate.
        credentials: AzureCredentials = nested(AzureCredentials::KEYS).secret();
        /// Account and key in one text.
        connectionstring: Option<Secret> = TEXT.secret();
        /// The domain of the service.
        realm: String = TEXT.default("core.windows.net");
        /// The URL of the service; without one, `https://<accountname>.blob.<realm>`.
        serviceurl: Option<String> = TEXT;
        /// A prefix of all keys.
        rootdirectory: Option<String> = TEXT;
        /// How often a request is tried again.
        max_retries: u64 = loose_integer(0).default("5");
        /// How long to wait before trying again.
        retry_delay: Duration = DURATION.default("100ms");
        /// Does not verify the store's certificate.
        skipverify: bool = LOOSE_BOOL;
        /// How often the state of a copy is asked for.
        copy_status_poll_max_retry: u64 = loose_integer(0).default("10");
        /// How long to wait before asking again.
        copy_status_poll_delay: Duration = DURATION.default("100ms");
    }
}

section! {
    /// `storage.azure.credentials`.
    AzureCredentials {
        /// `client_secret`, `shared_key` or `default_credentials`.
        #[serde(rename = "type")]
        kind: Option<String> = TEXT.yaml("type");
        /// The client.
        clientid: Option<String> = TEXT;
        /// The tenant.
        tenantid: Option<String> = TEXT;
        /// The client's secret.
        secret: Option<Secret> = TEXT;
    }
}

section! {
    /// `storage.tag`.
    Tag {
        /// How many tags are read at the same time to find those of a digest; 0: as many as there are processors.
        concurrencylimit: u64 = COUNT.default("0");
    }
}

section! {
    /// `storage.delete`.
    Delete {
        /// Allows to delete manifests, tags and blobs.
        enabled: bool = BOOL.differs("What is not a bool is an error; Distribution takes it for `false`.");
    }
}

section! {
    /// `storage.redirect`.
    Redirect {
        /// Sends content itself, even where the driver could send clients to the store.
        disable: bool = BOOL.differs("An empty section is the default; Distribution panics.");
    }
}

section! {
    /// `storage.cache`.
    Cache {
        /// Where the digests, sizes and media types of blobs are remembered; nowhere without a value.
        blobdescriptor: Option<BlobDescriptorCache> = choice(&["inmemory", "redis"]).tolerant()
            .differs("`inmemory` counts over S3 without a table, for a minute; other stores are asked each time. `redis` is not built yet: a warning says that no cache is used.");
        /// How many blobs the cache in memory remembers; 0 and less: any number, which is `None` in Rust.
        #[serde(deserialize_with = "positive")]
        blobdescriptorsize: Option<NonZeroU64> = INTEGER.default("10000");
    }
    also {
        /// The former name of `blobdescriptor`.
        layerinfo = TEXT.renamed("blobdescriptor");
    }
}

fn positive<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<NonZeroU64>, D::Error> {
    let size = i64::deserialize(deserializer)?;
    Ok(u64::try_from(size).ok().and_then(NonZeroU64::new))
}

/// Where blob descriptors are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobDescriptorCache {
    /// In this process.
    Inmemory,
    /// In the Redis of the `redis` section.
    Redis,
}

section! {
    /// `storage.maintenance`.
    Maintenance {
        /// The removal of uploads that nobody finishes.
        uploadpurging: UploadPurging = nested(UploadPurging::KEYS)
            .differs("What is left out has its default; Distribution panics unless `age`, `interval` and `dryrun` are all there.");
        /// Whether the registry refuses to write.
        readonly: ReadOnly = nested(ReadOnly::KEYS);
        /// The removal of content that nothing refers to.
        garbagecollect: GarbageCollect = nested(GarbageCollect::KEYS).differs("Roadstead's own.");
    }
}

section! {
    /// `storage.maintenance.uploadpurging`.
    UploadPurging {
        /// Removes uploads that are older than `age`.
        enabled: bool = BOOL.default("true");
        /// How old an upload gets before it is removed.
        age: Duration = DURATION.default("168h");
        /// How often old uploads are looked for.
        interval: Duration = DURATION.default("24h").zero_is_default();
        /// Only logs what would be removed.
        dryrun: bool = BOOL;
        /// How long after the start old uploads are first looked for; without one, some minute of the first hour.
        delay: Option<Duration> = DURATION
            .differs("Roadstead's own.");
    }
}

section! {
    /// `storage.maintenance.readonly`.
    ReadOnly {
        /// Refuses every request that would write.
        enabled: bool = BOOL
            .differs("`REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED=true` works; Distribution panics or ignores it.");
    }
}

section! {
    /// `storage.maintenance.garbagecollect`.
    GarbageCollect {
        /// How old content must be before `roadstead garbage-collect` may remove it. The same for all processes over one store: those that serve count on it.
        graceage: Duration = DURATION.default("24h")
            .differs("Roadstead's own: Distribution removes the blobs of a push that is going on.");
    }
}
