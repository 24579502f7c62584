use crate::access::{Access, ApiKeys, Oidc, TokenServer};
use crate::auth::{AUTH, Auth};
use crate::health::Health;
use crate::http::Http;
use crate::log::Log;
use crate::metadata::{METADATA, Metadata};
use crate::middleware::Middleware;
use crate::notifications::Notifications;
use crate::proxy::Proxy;
use crate::redis::Redis;
use crate::schema::{ANY, BOOL, COUNT, INTEGER, Key, TEXT, TEXTS, nested, section};
use crate::storage::{STORAGE, Storage};
use crate::validation::Validation;

section! {
    /// A whole configuration: every field is named like its key.
    Configuration {
        /// The version of this format.
        version: String = TEXT.check(version);
        /// What is written about requests and about the registry itself.
        log: Log = nested(Log::KEYS);
        /// Where bytes lie.
        storage: Storage = STORAGE;
        /// Where it is known what lies in the store: the manifests, tags and blobs of each repository. Roadstead's own: Distribution ignores it.
        metadata: Metadata = METADATA;
        /// Who may do what.
        auth: Auth = AUTH;
        /// What users may do.
        access: Option<Access> = nested(Access::KEYS).strict(&["rules", "path"]).differs("Roadstead's own; in Distribution every user may do everything.");
        /// Keys that stand in for the passwords of users.
        apikeys: Option<ApiKeys> = nested(ApiKeys::KEYS).strict(&["path"]).differs("Roadstead's own.");
        /// Tokens of other issuers in the place of passwords (OpenID Connect).
        oidc: Option<Oidc> = nested(Oidc::KEYS).strict(&["issuers"]).differs("Roadstead's own.");
        /// The file of the public RSA key whose owner may do everything, by requests that it has signed; as in docker-registry 0.9. Off without one.
        privileged_key: Option<String> = TEXT.differs("Roadstead's own; the key of docker-registry 0.9.");
        /// A token server of the registry's own.
        tokenserver: TokenServer = nested(TokenServer::KEYS).differs("Roadstead's own.");
        /// What stands in front of the registry, its repositories and its storage.
        middleware: Middleware = nested(Middleware::KEYS);
        /// The server.
        http: Http = nested(Http::KEYS);
        /// Who is told what happened.
        notifications: Notifications = nested(Notifications::KEYS);
        /// The connection to Redis.
        redis: Redis = nested(Redis::KEYS).embeds("OPTIONS").later("the connection to Redis");
        /// What must work for the registry to call itself healthy.
        health: Health = nested(Health::KEYS);
        /// The list of repositories.
        catalog: Catalog = nested(Catalog::KEYS);
        /// The lists of tags.
        tags: Tags = nested(Tags::KEYS);
        /// The pull-through cache.
        proxy: Proxy = nested(Proxy::KEYS);
        /// What a manifest must fulfil to be taken.
        validation: Validation = nested(Validation::KEYS);
        /// What is allowed at all.
        policy: Policy = nested(Policy::KEYS);
    }
    also {
        /// The former name of `log.level`.
        loglevel = TEXT.renamed("log.level");
        /// Error reports to Bugsnag and New Relic, in Distribution 2.
        reporting = nested(Reporting::KEYS).removed("neither service is supported; remove the section");
        /// Schema 1 manifests, in Distribution 2.
        compatibility = nested(Compatibility::KEYS).removed("schema 1 manifests are not supported; remove the section");
    }
}

/// The `0.1` of every configuration there is.
fn version(version: &str) -> Result<(), String> {
    if version == "0.1" {
        Ok(())
    } else {
        Err(format!("unsupported version: {version:?}"))
    }
}

section! {
    /// `catalog`.
    Catalog {
        /// How many repositories an answer lists at most.
        maxentries: u64 = INTEGER.default("1000").zero_is_default();
    }
}

section! {
    /// `tags`.
    Tags {
        /// How many tags an answer to a request with `n` lists at most; without `n`, all are listed.
        maxtags: u64 = COUNT.default("1000").zero_is_default();
    }
}

section! {
    /// `policy`.
    Policy {
        /// What holds for repositories.
        repository: RepositoryPolicy = nested(RepositoryPolicy::KEYS);
    }
}

section! {
    /// `policy.repository`.
    RepositoryPolicy {
        /// The classes of content that are taken; empty: all.
        classes: Vec<String> = TEXTS.refused("the policy of repository classes");
    }
}

struct Reporting;

impl Reporting {
    const KEYS: &'static [Key] = &[
        nested(&[
            TEXT.secret().named("apikey", "The key."),
            TEXT.named("releasestage", "Where the registry runs."),
            TEXT.named("endpoint", "The address of the service."),
        ])
        .named("bugsnag", "Error reports to Bugsnag."),
        nested(&[
            TEXT.secret().named("licensekey", "The key."),
            TEXT.named("name", "The name of the application."),
            BOOL.named("verbose", "Logs what is sent."),
        ])
        .named("newrelic", "Error reports to New Relic."),
    ];
}

struct Compatibility;

impl Compatibility {
    const KEYS: &'static [Key] = &[nested(&[
        TEXT.named("signingkeyfile", "The file of the key that signs."),
        ANY.secret().named(
            "trustkey",
            "The file of the key that signs, in older versions.",
        ),
        BOOL.named("enabled", "Takes schema 1 manifests."),
    ])
    .named("schema1", "Schema 1 manifests.")];
}
