//! `redis`: the connection to Redis.

use std::time::Duration;

use crate::Secret;
use crate::schema::{BOOL, DURATION, INTEGER, TEXT, TEXTS, nested, section};

section! {
    /// `redis`.
    Redis {
        /// `host:port`; several are a cluster. None: no Redis.
        addrs: Vec<String> = TEXTS;
        /// The name of the connection.
        clientname: Option<String> = TEXT;
        /// The number of the database.
        db: i64 = INTEGER.default("0");
        /// The version of the protocol.
        protocol: i64 = INTEGER.default("3").zero_is_default();
        /// The user.
        username: Option<String> = TEXT;
        /// The user's password.
        password: Option<Secret> = TEXT.secret();
        /// The user for the sentinels.
        sentinelusername: Option<String> = TEXT;
        /// The password for the sentinels.
        sentinelpassword: Option<Secret> = TEXT.secret();
        /// How often a command is tried again; -1 is never.
        maxretries: i64 = INTEGER.default("3");
        /// The shortest pause before trying again.
        minretrybackoff: Option<Duration> = DURATION;
        /// The longest pause before trying again.
        maxretrybackoff: Option<Duration> = DURATION;
        /// How long connecting may take.
        dialtimeout: Option<Duration> = DURATION;
        /// How long reading may take.
        readtimeout: Option<Duration> = DURATION;
        /// How long writing may take.
        writetimeout: Option<Duration> = DURATION;
        /// Lets a request's own deadline count too.
        contexttimeoutenabled: bool = BOOL;
        /// Uses the connection that has been idle longest.
        poolfifo: bool = BOOL;
        /// How many connections there are.
        poolsize: Option<i64> = INTEGER;
        /// How long to wait for a connection.
        pooltimeout: Option<Duration> = DURATION;
        /// How many idle connections are kept at least.
        minidleconns: i64 = INTEGER.default("0");
        /// How many idle connections are kept at most.
        maxidleconns: i64 = INTEGER.default("0");
        /// How many connections there are at most; 0 is any number.
        maxactiveconns: i64 = INTEGER.default("0");
        /// How long a connection may be idle.
        connmaxidletime: Option<Duration> = DURATION;
        /// How old a connection may be.
        connmaxlifetime: Option<Duration> = DURATION;
        /// How many redirections in a cluster are followed.
        maxredirects: Option<i64> = INTEGER;
        /// Reads from replicas.
        readonly: bool = BOOL;
        /// Reads from the nearest node.
        routebylatency: bool = BOOL;
        /// Reads from any node.
        routerandomly: bool = BOOL;
        /// The name of the master: the addresses are sentinels.
        mastername: Option<String> = TEXT;
        /// Does not tell the library's name.
        disableidentity: bool = BOOL;
        /// What follows the library's name.
        identitysuffix: Option<String> = TEXT;
        /// Takes unstable answers of RESP 3.
        unstableresp3: bool = BOOL;
        /// TLS.
        tls: RedisTls = nested(RedisTls::KEYS);
    }
    also {
        /// The address, in Distribution 2.
        addr = TEXT.renamed("addrs");
        /// The pool of connections, in Distribution 2.
        pool = nested(RedisPool::KEYS).removed("the keys of redis itself describe the pool");
    }
}

section! {
    /// `redis.tls`.
    RedisTls {
        /// The file of the client's certificate.
        certificate: Option<String> = TEXT;
        /// The file of the certificate's key.
        key: Option<String> = TEXT;
        /// The files of the authorities that the server's certificate may be from.
        rootcas: Vec<String> = TEXTS;
        /// Switches TLS on without a certificate.
        enabled: bool = BOOL.differs("Documented in 2.x and in the example of 3, and without effect there.");
    }
    also {
        /// What Distribution's documentation calls `rootcas`.
        clientcas = TEXTS.renamed("rootcas").differs("Distribution ignores the documented name.");
    }
}

/// `redis.pool`: only its keys are known, their values count for others.
struct RedisPool;

impl RedisPool {
    const KEYS: &'static [crate::schema::Key] = &[
        INTEGER.renamed("redis.maxidleconns").named(
            "maxidle",
            "How many idle connections are kept, in Distribution 2.",
        ),
        INTEGER.renamed("redis.maxactiveconns").named(
            "maxactive",
            "How many connections there are, in Distribution 2.",
        ),
        DURATION.renamed("redis.connmaxidletime").named(
            "idletimeout",
            "How long one may be idle, in Distribution 2.",
        ),
    ];
}
