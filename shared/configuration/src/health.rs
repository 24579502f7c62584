//! `health`: what must work for the registry to call itself healthy.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::Secret;
use crate::address;
use crate::schema::{BOOL, DURATION, HEADERS, INTEGER, SHORT, TEXT, entries, nested, section};

section! {
    /// `health`.
    Health {
        /// The store must answer.
        storagedriver: StorageDriverCheck = nested(StorageDriverCheck::KEYS);
        /// Files that must not exist.
        file: Vec<FileCheck> = entries(FileCheck::KEYS).alias(&["FILECHECKERS"]);
        /// URLs that must answer.
        http: Vec<HttpCheck> = entries(HttpCheck::KEYS).alias(&["HTTPCHECKERS"]);
        /// Addresses that must accept connections.
        tcp: Vec<TcpCheck> = entries(TcpCheck::KEYS).alias(&["TCPCHECKERS"]);
    }
}

section! {
    /// `health.storagedriver`.
    StorageDriverCheck {
        /// Checks the store.
        enabled: bool = BOOL;
        /// How often.
        interval: Duration = DURATION.default("10s").zero_is_default();
        /// After how many failures in a row the registry is unhealthy; 0 and 1 are at once.
        threshold: i64 = INTEGER.default("0");
    }
}

section! {
    /// An entry of `health.file`.
    FileCheck {
        /// The file that must not exist.
        file: Option<String> = TEXT;
        /// How often to look.
        interval: Duration = DURATION.default("10s").zero_is_default();
        /// After how many failures in a row the registry is unhealthy.
        threshold: i64 = INTEGER.default("0").differs("Distribution ignores it.");
    }
}

section! {
    /// An entry of `health.http`.
    HttpCheck {
        /// The URL that must answer a HEAD request.
        uri: Option<String> = TEXT;
        /// Headers to send with it.
        headers: BTreeMap<String, Vec<Secret>> = HEADERS.secret();
        /// How long the answer may take; unset: as long as `interval`.
        timeout: Option<Duration> = DURATION;
        /// The status it must have.
        statuscode: u16 = SHORT.default("200").zero_is_default();
        /// How often to ask.
        interval: Duration = DURATION.default("10s").zero_is_default();
        /// After how many failures in a row the registry is unhealthy.
        threshold: i64 = INTEGER.default("0");
    }
}

section! {
    /// An entry of `health.tcp`.
    TcpCheck {
        /// `host:port`.
        addr: Option<String> = TEXT.check(address::check);
        /// How long connecting may take; unset: as long as `interval`.
        timeout: Option<Duration> = DURATION;
        /// How often to connect.
        interval: Duration = DURATION.default("10s").zero_is_default();
        /// After how many failures in a row the registry is unhealthy.
        threshold: i64 = INTEGER.default("0");
    }
}
